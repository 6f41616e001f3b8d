"""Pretrained speech models of the transformers library: supported types, loading, and faster or safer layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from multiemo.encoders.common.attention import keep_on_device
from multiemo.encoders.common.half_precision import suit_half_precision
from multiemo.encoders.common.pretrained import load_weights, resolve_model
from multiemo.errors import ConfigError, first_line

# Models that read the waveform. In those of ONE_BY_ONE padding would change a clip's end, so they process single clips.
PADDABLE = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat")
ONE_BY_ONE = ("data2vec-audio", "sew", "sew-d", "wav2vec2-conformer")
FROM_BANDS = ("whisper", "wav2vec2-bert")


def build_speech_model(model: str, assets: Path | None, where: str) -> tuple[Any, Any]:
    """Build a transformers model prepared for training, and its feature extractor.

    Args:
        model: as in :func:`~multiemo.encoders.common.pretrained.resolve_model`.
        assets: folder with its configuration. The architecture is then built from it, without weights.
        where: config key that holds ``model``, for messages.

    Raises:
        ConfigError: the model does not exist, is not a speech model, or lacks some of its weights.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel

    has_assets = assets is not None and (assets / "config.json").is_file()
    folder = str(assets) if has_assets else resolve_model(model, where)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        _check_kind(config, f"{where}: {model!r}")
        # The library's own masking fails on clips of a few frames, and its layer drop would remove layers to be mixed.
        for name in ("mask_time_prob", "mask_feature_prob", "layerdrop", "encoder_layerdrop"):
            if hasattr(config, name):
                setattr(config, name, 0.0)
        if hasattr(config, "add_adapter"):
            config.add_adapter = False
        extractor = _extractor(folder, config)
        if has_assets:
            built = AutoModel.from_config(config, trust_remote_code=False)
        else:
            what = f"{where}: {model!r}"
            built = load_weights(AutoModel, folder, config, what, used=_encoder, unread=_unread(config))
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = first_line(error)
        raise ConfigError(f"{where}: {model!r} does not load as a speech model: {reason}") from None
    built = _encoder(built)
    if config.model_type == "wavlm":
        for layer in built.encoder.layers:
            layer.attention.torch_multi_head_self_attention = MethodType(fused_attention, layer.attention)
    if config.model_type in PADDABLE:
        built._get_feature_vector_attention_mask = _given_mask
    _freeze_unread(built)
    keep_on_device(built)
    suit_half_precision(built)
    return built, extractor


def frame_mask(real: Tensor, kernels: Sequence[int], strides: Sequence[int]) -> Tensor:
    """The mask of the frames that a stack of convolutions without padding makes of real samples only.

    The convolutions are taken together: they read ``width`` samples for a frame and move on by ``step``. The library
    divides once per layer instead, and copies a number to the device.

    Args:
        real: ``[B, N]`` bool, true for real samples, which come first.
        kernels: width of each convolution, steps of its input.
        strides: stride of each convolution, steps of its input.

    Returns:
        ``[B, T]`` bool.

    Example:
        >>> real = torch.arange(12) < torch.tensor([[12], [7]])
        >>> frame_mask(real, [3, 2], [2, 2]).tolist()
        [[True, True], [True, False]]
    """
    width = step = 1
    for kernel, stride in zip(kernels, strides, strict=True):
        width, step = width + (kernel - 1) * step, step * stride
    frames = (real.shape[1] - width) // step + 1
    counts = (real.sum(1, keepdim=True) - width) // step + 1
    return torch.arange(frames, device=real.device) < counts


def _given_mask(_: int, mask: Tensor, *__: Any, **___: Any) -> Tensor:
    """In place of a wav2vec 2.0 model's own method: the mask given to the model already has its frames as steps."""
    return mask


def _encoder(built: Any) -> Any:
    """The part of a model that is used: Whisper's encoder, or the whole model."""
    return built.get_encoder() if built.config.model_type == "whisper" else built


def _unread(config: Any) -> tuple[str, ...]:
    """Beginnings of the names of parameters that no forward pass uses; a checkpoint may lack them.

    These are the vector of the library's own masking, the layer with which SEW returns to the rate of its convolutions,
    and the positions that the conformer has but never uses.
    """
    unread = ("masked_spec_embed", "encoder.upsample.")
    return (*unread, "encoder.pos_conv_embed.") if config.model_type == "wav2vec2-conformer" else unread


def _freeze_unread(backbone: Any) -> None:
    """Freeze the parameters that no forward pass uses. Training them is useless and fails in a distributed step."""
    for name, parameter in backbone.named_parameters():
        if name.startswith(_unread(backbone.config)):
            parameter.requires_grad_(False)


def fused_attention(self: Any, hidden: Tensor, mask: Tensor | None, bias: Tensor, *more: bool) -> tuple[Tensor, None]:
    """WavLM's attention with its gated position bias, through SDPA.

    The library's own version stores every attention weight. It also reads the weights of the projections directly
    instead of calling them, so adapters in the projections would have no effect.

    Args:
        self: the ``WavLMAttention`` that this function becomes a method of.
        hidden: ``[B, T, H]``.
        mask: ``[B, T]`` bool, true for real steps, or ``None``.
        bias: ``[B * heads, T, T]``.
        more: flag of older versions of the library that requests the attention weights; ignored.
    """
    size, steps, _ = hidden.shape
    shape = (size, steps, self.num_heads, self.head_dim)
    query, key, value = (p(hidden).view(shape).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
    bias = bias.view(size, self.num_heads, steps, steps).to(query.dtype)
    if mask is not None:
        bias = bias.masked_fill(~mask.bool()[:, None, None, :], torch.finfo(bias.dtype).min)
    dropout = self.dropout if self.training else 0.0
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)
    return self.out_proj(out.transpose(1, 2).reshape(hidden.shape)), None


def _check_kind(config: Any, what: str) -> None:
    known = (*PADDABLE, *ONE_BY_ONE, *FROM_BANDS)
    kind = getattr(config, "model_type", "unknown")
    if kind not in known:
        raise ConfigError(f"{what} is a {kind!r} model; name a speech model, one of {', '.join(known)}")


def _extractor(folder: str, config: Any) -> Any:
    """The feature extractor of the folder. If its file is missing, the usual one for the model type is used."""
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

    if config.model_type == "whisper":
        kind, settings = WhisperFeatureExtractor, {"feature_size": config.num_mel_bins}
    elif config.model_type == "wav2vec2-bert":
        kind, settings = SeamlessM4TFeatureExtractor, {}
    else:
        normalize = getattr(config, "feat_extract_norm", "layer") == "layer"
        kind, settings = Wav2Vec2FeatureExtractor, {"do_normalize": normalize}
    if any((Path(folder) / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        return kind.from_pretrained(folder, local_files_only=True)
    return kind(**settings)
