"""Speech through a pretrained transformers model: the wav2vec 2.0 family, Whisper's encoder, w2v-BERT."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from multiemo.encoders.base import (
    AttentiveStatistics,
    BatchStandardize,
    Encoder,
    FrozenPart,
    masked_mean,
    weighted_statistics,
)
from multiemo.encoders.common.attention import recompute_layers
from multiemo.encoders.common.depth import depth_groups
from multiemo.encoders.common.lora import Lora, add_lora, check_adapters
from multiemo.encoders.common.lower_layers import LowerLayers
from multiemo.encoders.common.speaker_offset import SpeakerOffset
from multiemo.encoders.speech.augmentation import mask_spans
from multiemo.encoders.speech.backbones import ONE_BY_ONE, build_speech_model, frame_mask
from multiemo.encoders.speech.frontends import KaldiFrontEnd, MaskedGroupNorm, WhisperFrontEnd
from multiemo.encoders.speech.masked_frames import MaskedWave
from multiemo.encoders.speech.speech_prosody import SpeechProsody
from multiemo.encoders.speech.whisper import encode_above, encode_bands
from multiemo.errors import ConfigError
from multiemo.registry import Count, Positive, Share, Size, encoders
from multiemo.types import WaveformSpec

_WHERE = "encoders.speech"


@encoders.register("speech_pretrained", modality="speech")
class SpeechPretrained(Encoder):
    """Pools the layers of a pretrained model over time, and mixes them with learnt weights (Yang et al. 2021, SUPERB).

    The columns of a completely frozen model are then standardised over the batch, since their scales differ by orders
    of magnitude; those of a trained one by layer normalisation.

    SDPA attention is used wherever the architecture supports it. The host does not wait for the device, except with
    models in which padding would change the result (data2vec, SEW, the conformer). These process one clip at a time and
    need its length.

    Args:
        model: a model folder, ``package:NAME`` for one inside an installed package, or the name of a hub model
            ("microsoft/wavlm-base-plus").
        pooling: over time: ``mean``; ``statistics``, the mean and standard deviation of every layer (Snyder et al.
            2018); or ``attentive`` mean and standard deviation of the mixture of layers (Okabe et al. 2018).
        layers: ``mixed`` with learnt weights, or ``concatenated``. With few clips and a frozen model, ``statistics`` of
            ``concatenated`` layers with a ``dropout`` of 0.7 were best.
        freeze: ``none``; ``feature_extractor``, the convolutions over the waveform (or Whisper's over the mel bands);
            or ``all`` of the pretrained model.
        frozen_layers: number of layers, from the input on, that are not trained either, nor what precedes them. What
            they compute is cached for Whisper; other models run as a whole in every epoch.
        lora: train low-rank adapters in the pretrained model instead of its own weights, above ``frozen_layers``.
        prosody: add a small ``speech_prosody`` encoder that reads the prosody track; both embeddings are concatenated
            before the projection to D.
        out_dim: D, the width of the embedding.
        dropout: share of values dropped before the projection to D.
        time_mask: longest span of time hidden in training, as a share of the clip; two spans are drawn (SpecAugment,
            Park et al. 2019). They are hidden after the convolutions over the waveform, as in wav2vec 2.0 (Baevski et
            al. 2020), or in the mel bands.
        feature_mask: the same across the features, or the mel bands. Input of frozen layers is not masked.
        speaker_normalization: with ``freeze: all``, subtract what is usual for the speaker from the hidden states of
            every layer (or from their mean and standard deviation, if those are pooled), as far as other clips of the
            speaker show it.
        whisper_window: what Whisper reads: the ``clip`` and half a second of silence, or ``30s``, padded with silence
            as in its own training. The clip alone is about ten times faster for a clip of 4 s.
        max_seconds: longest speech that is read, from its beginning; at most 30 s for Whisper.
        trim: both ends are cut where they are this many dB below the clip's loudest 25 ms (0.1 s is kept);
            0 cuts nothing.
        assets: folder written by :meth:`save_assets`; the architecture is then built from it without weights.

    Raises:
        ConfigError: ``model`` is unavailable or not a speech model; or adapters are given for a completely frozen
            model or for layers it does not have; or speakers are to be normalised and the model is not frozen.
    """

    modality = "speech"
    shifts_states = True
    input_spec: WaveformSpec
    input_kind = "waveform"
    leaves_masks = True

    def __init__(
        self,
        *,
        model: str,
        pooling: Literal["mean", "statistics", "attentive"] = "attentive",
        layers: Literal["mixed", "concatenated"] = "mixed",
        freeze: Literal["none", "feature_extractor", "all"] = "feature_extractor",
        frozen_layers: Count = 0,
        lora: Lora | None = None,
        prosody: bool = False,
        out_dim: Size = 256,
        dropout: Share = 0.1,
        time_mask: Share = 0.1,
        feature_mask: Share = 0.1,
        speaker_normalization: bool = False,
        whisper_window: Literal["clip", "30s"] = "clip",
        max_seconds: Positive = 12.0,
        trim: float = 40.0,
        assets: Path | None = None,
    ) -> None:
        super().__init__()
        if freeze == "all" and lora is not None:
            raise ConfigError(
                f"{_WHERE}.freeze is 'all', but {_WHERE}.lora trains inside the model; remove one of them"
            )
        if freeze == "all" and frozen_layers:
            raise ConfigError(
                f"{_WHERE}.freeze is 'all' and {_WHERE}.frozen_layers {frozen_layers}; remove one of them"
            )
        if speaker_normalization and freeze != "all":
            raise ConfigError(
                f"{_WHERE}.speaker_normalization: compares hidden states, which must not change: set {_WHERE}.freeze "
                "to 'all', or remove it"
            )
        self.backbone, extractor = build_speech_model(model, assets, f"{_WHERE}.model")
        self.extractor = extractor
        self.kind: str = self.backbone.config.model_type
        self.clip_by_clip = self.kind in ONE_BY_ONE
        self.freeze, self.time_mask, self.feature_mask = freeze, time_mask, feature_mask
        self.whisper_window = whisper_window
        self.front: WhisperFrontEnd | KaldiFrontEnd | None = None
        if self.kind == "whisper":
            self.front = WhisperFrontEnd(extractor, whole=whisper_window == "30s")
            max_seconds = min(max_seconds, float(extractor.chunk_length))
        elif self.kind == "wav2vec2-bert":
            self.front = KaldiFrontEnd(extractor)
        else:
            self._prepare_waveform_model()
        _freeze(self.backbone, freeze)
        self.lower = LowerLayers(self.backbone, frozen_layers, _WHERE) if frozen_layers else None
        if lora is not None:
            add_lora(self.backbone, lora, _WHERE, () if self.lower is None else self.lower.modules)
        self.input_spec = WaveformSpec(
            sample_rate=int(extractor.sampling_rate),
            max_seconds=max_seconds,
            trim=trim,
            normalize=self.front is None and bool(extractor.do_normalize),
            prosody=prosody,
        )
        hidden = int(self.backbone.config.hidden_size)
        count = int(self.backbone.config.num_hidden_layers) + 1
        self.layer_weights = nn.Parameter(torch.zeros(count)) if layers == "mixed" else None
        self.pooling = pooling
        self.layer_width = 2 * hidden if pooling == "statistics" else hidden
        if speaker_normalization:
            self.speaker_offset = SpeakerOffset(torch.ones(count * self.layer_width, dtype=torch.bool))
        side_by_side = count if layers == "concatenated" else 1
        self.pool = AttentiveStatistics(side_by_side * hidden) if pooling == "attentive" else None
        self.sequence_dim = side_by_side * hidden
        self.prosody = SpeechProsody(n_mels=0, sample_rate=self.input_spec.sample_rate) if prosody else None
        wide = side_by_side * (hidden if pooling == "mean" else 2 * hidden)
        wide += self.prosody.out_dim if self.prosody else 0
        norm = BatchStandardize(wide) if freeze == "all" else nn.LayerNorm(wide)
        self.project = nn.Sequential(norm, nn.Dropout(dropout), nn.Linear(wide, out_dim))
        self.out_dim = out_dim
        if lora is not None and assets is None:
            check_adapters(self.backbone, self._example, _WHERE)
        self.note_pretrained("backbone")

    def _prepare_waveform_model(self) -> None:
        config = self.backbone.config
        self._masking = False  # whether the next forward pass hides spans
        self.backbone.encoder.register_forward_pre_hook(self._mask_projected, with_kwargs=True)
        # If set, the library needs the waveform's gradient, and so a backward pass through frozen convolutions.
        self.backbone.feature_extractor._requires_grad = False
        if getattr(config, "feat_extract_norm", "layer") == "group":
            first = self.backbone.feature_extractor.conv_layers[0]
            first.layer_norm = MaskedGroupNorm(first.layer_norm)

    def train(self, mode: bool = True) -> SpeechPretrained:
        """As ``nn.Module.train``, but frozen layers stay in evaluation mode (no dropout)."""
        super().train(mode)
        if self.freeze == "all":
            self.backbone.eval()
        elif self.lower is not None:
            self.lower.train(mode)
        return self

    def fit_statistics(self, inputs: Iterable[Tensor]) -> None:
        """Fit the statistics of the prosody columns, if any, to training inputs ``[T, hop samples + P]``."""
        if self.prosody is not None:
            self.prosody.fit_statistics(x[:, self.input_spec.row_samples :] for x in inputs)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        states: tuple[Tensor, Tensor] | None = None,
        *,
        padded: bool = True,
        offset: Tensor | None = None,
    ) -> Tensor:
        """Embed a padded batch.

        Args:
            x: ``[B, N, 1]``, or ``[B, T, hop samples + P]`` with prosody; with ``states``, ``[B, T, P]`` or anything.
            mask: ``[B, N]`` or ``[B, T]`` bool.
            states: result of :meth:`frozen_states`, if it is known.
            padded: false if all steps are real.
            offset: ``[B, L * W]``, subtracted from the states of all layers, or from their mean and standard deviation,
                side by side.

        Returns:
            ``[B, D]``.
        """
        prosody = x
        if states is None:
            wave, real, prosody = self.split(x, mask)
            layers, steps = self._hidden(wave, real, padded=padded)
        else:
            layers, steps = self._unpacked(*states)
        if self.pool is None and (states is None or self.lower is not None):
            layers = self._summaries(layers, steps)
        if offset is not None:
            shift = offset.to(layers.dtype).view(len(offset), len(layers), 1, -1)
            layers = layers - shift.transpose(0, 1)
        pooled = self._combined(layers)
        pooled = pooled.squeeze(1) if self.pool is None else self.pool(pooled, steps)
        pooled = pooled.to(self._dtype)
        if self.prosody is not None:
            pooled = torch.cat([pooled, self.prosody(prosody, mask)], 1)
        embedding: Tensor = self.project(pooled)
        return embedding

    def speaker_vector(self, x: Tensor, mask: Tensor) -> Tensor:
        """As :meth:`Encoder.speaker_vector`: the mean over time of every layer's hidden states, side by side.

        For pooling ``statistics``, also their standard deviation.
        """
        states, steps = self.frozen_states(x, mask)
        return masked_mean(states.float(), steps)

    def frozen_part(self) -> FrozenPart | None:
        """As :meth:`Encoder.frozen_part`: the whole model with ``freeze: all``, or Whisper's lower layers."""
        beside = self.input_spec.row_samples if self.prosody is not None else None
        if self.freeze == "all":
            settings = {"pooling": "" if self.pool else self.pooling, "window": self.whisper_window}
            return FrozenPart(self.backbone.state_dict(), settings, beside)
        if self.lower is None or self.kind != "whisper" or self.whisper_window != "clip":
            return None
        return FrozenPart(self.lower.weights(), {"layers": self.lower.count}, beside)

    def frozen_states(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`Encoder.frozen_states`: every layer side by side; already pooled over time if not attentively.

        With ``frozen_layers``, the input of each of them and of the layer above, for all steps that are attended to. A
        last column is one for the steps of the clip, and zero for the silence after it.

        Args:
            x: as in :meth:`forward`.
            mask: as in :meth:`forward`.
        """
        wave, real, _ = self.split(x, mask)
        if self.lower is not None:
            return self._lower_states(wave, real, self.lower)
        layers, steps = self._hidden(wave, real)
        if self.pool is None:
            layers, steps = self._summaries(layers, steps), steps[:, :1]
        return _side_by_side(layers), steps

    def _lower_states(self, wave: Tensor, real: Tensor, lower: LowerLayers) -> tuple[Tensor, Tensor]:
        bands, steps, attended = self._bands(wave, real, None)
        assert attended is not None
        layers = encode_bands(self.backbone, bands.transpose(1, 2), attended, lower.count)
        return torch.cat([_side_by_side(torch.stack(layers)), steps.unsqueeze(2)], 2), attended

    def _unpacked(self, states: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states of every layer, ``[L, B, T, H]``, and the mask ``[B, T]`` of the clip, from cached states.

        Of a model that is frozen as a whole and not pooled attentively, ``[L, B, 1, W]`` (:meth:`_summaries`).
        """
        states = states.to(self._dtype)
        if self.lower is None:
            return states.view(*steps.shape, -1, self.layer_width).permute(2, 0, 1, 3), steps
        hidden = int(self.backbone.config.hidden_size)
        layers = states[..., :-1].reshape(*steps.shape, -1, hidden).permute(2, 0, 1, 3)
        above = encode_above(self.backbone, layers[-1], steps, self.lower.count)
        return torch.cat([layers, torch.stack(above)]), steps & (states[..., -1] > 0)

    @property
    def _dtype(self) -> torch.dtype:
        """Of the weights that are trained."""
        return next(self.project.parameters()).dtype

    def _combined(self, layers: Tensor) -> Tensor:
        """Layers ``[L, B, T, W]``, mixed with the learnt weights to ``[B, T, W]`` or side by side ``[B, T, L * W]``."""
        if self.layer_weights is None:
            return _side_by_side(layers)
        return torch.einsum("lbtd,l->btd", layers, self.layer_weights.softmax(0))

    def _summaries(self, layers: Tensor, steps: Tensor) -> Tensor:
        """The mean over time of each layer, and for pooling ``statistics`` also the standard deviation.

        Args:
            layers: ``[L, B, T, H]``.
            steps: ``[B, T]`` bool, true for real steps.

        Returns:
            ``[L, B, 1, W]``, with W = H or 2 H.
        """
        if self.pooling == "mean":
            return torch.stack([masked_mean(layer.float(), steps) for layer in layers]).unsqueeze(2)
        weights = steps.float()
        return weighted_statistics(layers.float(), weights / weights.sum(1, keepdim=True)).unsqueeze(2)

    def split(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split the input: waveform ``[B, N]``, zero where padded, its mask ``[B, N]``, and prosody ``[B, T, P]``."""
        row = self.input_spec.row_samples
        real = mask.repeat_interleave(row, 1)
        return x[..., :row].flatten(1).masked_fill(~real, 0.0), real, x[..., row:]

    def sequence(self, wave: Tensor, real: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode a waveform to the sequence that is pooled over time.

        Args:
            wave: ``[B, N]`` samples, zero where padded.
            real: ``[B, N]`` bool, true for real samples.
            hidden: ``[B, N]`` bool, true for samples to hide from the model; masking in training is then off.

        Returns:
            ``[B, T, H]``, the mixture of layers, or ``[B, T, L * H]``, all of them, and the mask ``[B, T]`` of real
            steps.
        """
        layers, steps = self._hidden(wave, real, hidden)
        return self._combined(layers), steps

    def _hidden(
        self, wave: Tensor, real: Tensor, hidden: Tensor | None = None, *, padded: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Hidden states ``[L, B, T, H]`` of a waveform and the mask ``[B, T]``; arguments as in :meth:`sequence`.

        Args:
            wave: as in :meth:`sequence`.
            real: as in :meth:`sequence`.
            hidden: as in :meth:`sequence`.
            padded: false if all samples are real.
        """
        if hidden is not None:
            wave = wave.masked_fill(hidden, 0.0)
        masking = self.training and hidden is None and self.freeze != "all" and self.lower is None
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.freeze != "all"):
            if self.front is None:
                self._masking = masking
                return self._one_by_one(wave, real) if self.clip_by_clip else self._layers(wave, real, padded=padded)
            bands, steps, attention = self._bands(wave, real, hidden)
            if masking:
                bands = self._mask(bands, steps.sum(1) * (bands.shape[1] // steps.shape[1]))
            return self._from_bands(bands, attention), steps

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """As :meth:`Encoder.layer_groups`: front-end, each layer of the backbone, prosody with mixing and pooling."""
        return depth_groups(self, self.backbone)

    def recompute_activations(self) -> None:
        """As :meth:`Encoder.recompute_activations`. A frozen backbone stores none.

        Raises:
            ConfigError: the architecture does not support it.
        """
        if self.freeze == "all":
            return
        recompute_layers(self.backbone, _WHERE)
        if self._group_norm() is not None:  # it holds the lengths of the latest batch, which may have changed by then
            self.backbone.feature_extractor.conv_layers[0].gradient_checkpointing = False

    def masked_task(self) -> MaskedWave:
        """A task that predicts the log-mel frames of hidden spans of the waveform.

        Raises:
            ConfigError: the model is frozen.
        """
        if self.freeze == "all":
            raise ConfigError(f"{_WHERE}.freeze: 'all' leaves objective 'masked' nothing to train; freeze less")
        return MaskedWave(self.sequence_dim, self._stride(), self.input_spec.sample_rate)

    def save_assets(self, folder: Path) -> None:
        """Write the architecture and the feature extractor's settings."""
        self.backbone.config.save_pretrained(str(folder))
        self.extractor.save_pretrained(str(folder))

    def _stride(self) -> int:
        """Samples between two steps of the model."""
        if self.front is not None:
            return self.front.step
        config = self.backbone.config
        strides: list[int] = [*config.conv_stride, getattr(config, "squeeze_factor", 1)]
        return math.prod(strides)

    def _example(self) -> Tensor:
        """Hidden states of every layer for half a second of silence, or for less of what Whisper reads."""
        if self.kind == "whisper":
            bands = torch.zeros(1, int(self.backbone.config.num_mel_bins), 16)
            return torch.stack(encode_bands(self.backbone, bands, torch.ones(1, 8, dtype=torch.bool)))
        wave = torch.zeros(1, self.input_spec.sample_rate // 2)
        real = torch.ones_like(wave, dtype=torch.bool)
        return self._hidden(wave, real, ~real)[0]

    def _bands(self, wave: Tensor, real: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """What the front-end computes."""
        assert self.front is not None
        with torch.autocast(wave.device.type, enabled=False):  # half precision would overflow in the spectrum
            bands, steps, attended = self.front(wave, real, hidden)
        return bands, steps, attended

    def _from_bands(self, bands: Tensor, attention: Tensor | None) -> Tensor:
        """Hidden states ``[L, B, T, H]`` of the model."""
        if self.kind == "whisper":
            bands = bands.transpose(1, 2)
            if attention is not None:
                return torch.stack(encode_bands(self.backbone, bands, attention))
        return _stack(self.backbone(bands, attention_mask=attention, output_hidden_states=True))

    def _layers(self, wave: Tensor, real: Tensor, *, padded: bool = True) -> tuple[Tensor, Tensor]:
        """Hidden states ``[L, B, T, H]`` of a waveform and their mask ``[B, T]``.

        Args:
            wave: ``[B, N]`` samples, zero where padded.
            real: ``[B, N]`` bool, true for real samples.
            padded: false if all samples are real; no mask is then made.
        """
        config, norm = self.backbone.config, self._group_norm()
        kernels, strides = list(config.conv_kernel), list(config.conv_stride)
        steps = frame_mask(real, kernels, strides) if padded else None
        if norm is not None:
            norm.lengths = (real.sum(1) - kernels[0]) // strides[0] + 1 if padded else None
        layers = _stack(self.backbone(wave, attention_mask=steps, output_hidden_states=True))
        return layers, layers.new_ones(layers.shape[1:3], dtype=torch.bool) if steps is None else steps

    def _group_norm(self) -> MaskedGroupNorm | None:
        """The norm of the first convolution, if it needs the lengths of the clips."""
        if self.front is not None:
            return None
        norm = getattr(self.backbone.feature_extractor.conv_layers[0], "layer_norm", None)
        return norm if isinstance(norm, MaskedGroupNorm) else None

    def _one_by_one(self, wave: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        sequences = []
        for clip, length in zip(wave, real.sum(1).tolist(), strict=True):
            out = self.backbone(clip[None, :length], output_hidden_states=True)
            sequences.append(_stack(out).squeeze(1).transpose(0, 1))
        padded = nn.utils.rnn.pad_sequence(sequences, batch_first=True)
        count = torch.tensor([len(sequence) for sequence in sequences], device=wave.device)
        steps = torch.arange(padded.shape[1], device=wave.device) < count.unsqueeze(1)
        return padded.permute(2, 0, 1, 3), steps

    def _mask_projected(self, encoder: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Forward hook that hides spans in the input ``[B, T, H]`` of the layers."""
        if not self._masking:
            return None
        projected, *rest = inputs
        attention = options.get("attention_mask")
        return (self._mask(projected, None if attention is None else attention.sum(1)), *rest), options

    def _mask(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        if self.time_mask > 0:
            x = mask_spans(x, 2, self.time_mask, dim=1, lengths=lengths)
        return mask_spans(x, 2, self.feature_mask, dim=2) if self.feature_mask > 0 else x


def _stack(out: Any) -> Tensor:
    """Every hidden state, ``[L, B, T, D]``; the last one after the model's final normalisation, if it has one."""
    *before, last = out.hidden_states
    # SEW upsamples its last state to the rate of its convolutions. That layer is not used here.
    final = out.last_hidden_state
    return torch.stack([*before, final if final.shape[1] == last.shape[1] else last])


def _side_by_side(layers: Tensor) -> Tensor:
    """``[L, B, T, H]`` to ``[B, T, L * H]``."""
    return layers.permute(1, 2, 0, 3).flatten(2)


def _freeze(backbone: Any, freeze: str) -> None:
    if freeze == "all":
        backbone.requires_grad_(False)
    elif freeze == "feature_extractor":
        for name in ("feature_extractor", "conv1", "conv2"):
            part = getattr(backbone, name, None)
            if isinstance(part, nn.Module):
                part.requires_grad_(False)
