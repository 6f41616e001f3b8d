"""Speech by a pretrained transformers model: wav2vec 2.0 and its kin, Whisper's encoder, w2v-BERT."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from multiemo.encoders.base import AttentiveStatistics, Encoder, masked_mean
from multiemo.encoders.pretrained import resolve_model
from multiemo.encoders.speech_frontends import KaldiFrontEnd, MaskedGroupNorm, WhisperFrontEnd
from multiemo.errors import ConfigError
from multiemo.registry import encoders
from multiemo.types import WaveformSpec

_WHERE = "encoders.speech.model"
# These read the waveform; those in the second set let padding leak into a clip's end, so they see one clip at a time.
_PADDABLE = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat")
_ONE_BY_ONE = ("data2vec-audio", "sew", "sew-d", "wav2vec2-conformer")
_OTHERS = ("whisper", "wav2vec2-bert")


@encoders.register("speech_pretrained", modality="speech")
class SpeechPretrained(Encoder):
    """A learnt mixture of the model's layers (Yang et al. 2021, SUPERB), pooled over time.

    Args:
        model: a model folder, ``package:NAME`` for one inside an installed package, or the name of a hub model
            ("microsoft/wavlm-base-plus").
        pooling: ``mean``, or ``attentive`` mean and standard deviation.
        freeze: ``none``; ``feature_extractor``, the convolutions over the waveform (or Whisper's over the mel bands);
            or ``all`` of the pretrained model.
        out_dim: D.
        dropout: before the projection to D.
        max_seconds: longer audio is cut; Whisper reads 30 s at most.
        trim: see :class:`~multiemo.types.SpeechSpec`.
        assets: the folder :meth:`save_assets` wrote; the architecture is then built from it without weights.

    Raises:
        ConfigError: ``model`` is not to be had, or is not a speech model.
    """

    modality = "speech"

    def __init__(
        self,
        *,
        model: str,
        pooling: Literal["mean", "attentive"] = "attentive",
        freeze: Literal["none", "feature_extractor", "all"] = "feature_extractor",
        out_dim: int = 256,
        dropout: float = 0.1,
        max_seconds: float = 12.0,
        trim: float = 40.0,
        assets: Path | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.extractor = _build(model, assets)
        config = self.backbone.config
        self.kind: str = config.model_type
        self.freeze = freeze
        self.front: nn.Module | None = None
        self.norm: MaskedGroupNorm | None = None
        if self.kind == "whisper":
            self.front = WhisperFrontEnd(self.extractor)
            max_seconds = min(max_seconds, float(self.extractor.chunk_length))
        elif self.kind == "wav2vec2-bert":
            self.front = KaldiFrontEnd(self.extractor)
        elif getattr(config, "feat_extract_norm", "layer") == "group":
            first = self.backbone.feature_extractor.conv_layers[0]
            first.layer_norm = self.norm = MaskedGroupNorm(first.layer_norm)
        _freeze(self.backbone, freeze)
        hidden = int(config.hidden_size)
        layers = int(config.num_hidden_layers) + 1
        self.layer_weights = nn.Parameter(torch.zeros(layers))
        self.pool = AttentiveStatistics(hidden) if pooling == "attentive" else None
        wide = 2 * hidden if self.pool is not None else hidden
        self.project = nn.Sequential(nn.LayerNorm(wide), nn.Dropout(dropout), nn.Linear(wide, out_dim))
        self.out_dim = out_dim
        self.input_spec = WaveformSpec(
            sample_rate=int(self.extractor.sampling_rate),
            max_seconds=max_seconds,
            trim=trim,
            normalize=self.front is None and bool(self.extractor.do_normalize),
        )

    def train(self, mode: bool = True) -> SpeechPretrained:
        """As in torch, but a frozen backbone stays in evaluation mode (no dropout)."""
        super().train(mode)
        if self.freeze == "all":
            self.backbone.eval()
        return self

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``[B, N, 1]`` and ``[B, N]`` to ``[B, D]``."""
        wave = x.squeeze(-1).masked_fill(~mask, 0.0)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.freeze != "all"):
            if self.kind in _ONE_BY_ONE:
                layers, frames = self._one_by_one(wave, mask)
            else:
                layers, frames = self._layers(wave, mask)
        weights = self.layer_weights.softmax(0)
        hidden = torch.einsum("lbtd,l->btd", layers, weights)
        pooled = masked_mean(hidden, frames) if self.pool is None else self.pool(hidden, frames)
        embedding: Tensor = self.project(pooled)
        return embedding

    def save_assets(self, folder: Path) -> None:
        """Write the architecture and the feature extractor's settings."""
        self.backbone.config.save_pretrained(str(folder))
        self.extractor.save_pretrained(str(folder))

    def _layers(self, wave: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """``[L, B, T, D]`` hidden states and their mask ``[B, T]``."""
        if self.front is not None:
            features, frames, attention = self.front(wave, mask)
            out = self.backbone(features, attention_mask=attention, output_hidden_states=True)
            return _stack(out), frames
        lengths = mask.sum(1)
        if self.norm is not None:
            config = self.backbone.config
            self.norm.lengths = (lengths - config.conv_kernel[0]) // config.conv_stride[0] + 1
        out = self.backbone(wave, attention_mask=mask.long(), output_hidden_states=True)
        layers = _stack(out)
        steps = self.backbone._get_feat_extract_output_lengths(lengths)
        return layers, torch.arange(layers.shape[2], device=wave.device) < steps.unsqueeze(1)

    def _one_by_one(self, wave: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        alone = []
        for clip, length in zip(wave, mask.sum(1).tolist(), strict=True):
            out = self.backbone(clip[None, :length], output_hidden_states=True)
            alone.append(_stack(out).squeeze(1).transpose(0, 1))
        padded = nn.utils.rnn.pad_sequence(alone, batch_first=True)
        steps = torch.tensor([len(one) for one in alone], device=wave.device)
        frames = torch.arange(padded.shape[1], device=wave.device) < steps.unsqueeze(1)
        return padded.permute(2, 0, 1, 3), frames


def _stack(out: Any) -> Tensor:
    """``[L, B, T, D]``: every hidden state; the last one after the model's final normalisation, where it has one."""
    return torch.stack([*out.hidden_states[:-1], out.last_hidden_state])


def _freeze(backbone: Any, freeze: str) -> None:
    if freeze == "all":
        backbone.requires_grad_(False)
    elif freeze == "feature_extractor":
        for name in ("feature_extractor", "conv1", "conv2"):
            part = getattr(backbone, name, None)
            if isinstance(part, nn.Module):
                part.requires_grad_(False)


def _build(model: str, assets: Path | None) -> tuple[Any, Any]:
    """The transformers model and its feature extractor."""
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel

    has_assets = assets is not None and (assets / "config.json").is_file()
    folder = str(assets) if has_assets else resolve_model(model, _WHERE)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        _check_kind(config, model)
        # The library's own masking fails on clips of a few frames and its layer drop hides layers from the mixture.
        for name in ("mask_time_prob", "mask_feature_prob", "layerdrop", "encoder_layerdrop"):
            if hasattr(config, name):
                setattr(config, name, 0.0)
        if hasattr(config, "add_adapter"):
            config.add_adapter = False
        extractor = _extractor(folder, config)
        if has_assets:
            built = AutoModel.from_config(config, trust_remote_code=False)
        else:
            built = AutoModel.from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
            )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{_WHERE}: {model!r} does not load as a speech model: {reason}") from None
    return (built.get_encoder() if config.model_type == "whisper" else built), extractor


def _check_kind(config: Any, model: str) -> None:
    known = (*_PADDABLE, *_ONE_BY_ONE, *_OTHERS)
    kind = getattr(config, "model_type", "unknown")
    if kind not in known:
        raise ConfigError(f"{_WHERE}: {model!r} is a {kind!r} model; name a speech model, one of {', '.join(known)}")


def _extractor(folder: str, config: Any) -> Any:
    """The feature extractor in the folder; where its file is missing, the one such models are published with."""
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
