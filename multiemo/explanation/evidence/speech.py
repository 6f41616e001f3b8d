"""Evidence inside speech: bands of time, cues of the voice, and a map over the spectrogram."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from multiemo.encoders.base import Standardize
from multiemo.explanation.evidence.base import ClipInput, Evidence, InputChange, PartView
from multiemo.explanation.evidence.spectrogram import mel_map, wave_map
from multiemo.explanation.evidence.voice_changes import cue_changes, wave_changes
from multiemo.explanation.evidence.voice_views import Neutral, cue_view, time_view
from multiemo.explanation.records import EvidenceMap
from multiemo.explanation.target import ClipTarget
from multiemo.inputs.material import Audio
from multiemo.preprocess.voice.baseline import VoiceBaseline
from multiemo.preprocess.voice.cues import NO_VOICE, MeasuredVoice, voice_cues
from multiemo.preprocess.voice.tensors import trimmed_start
from multiemo.registry import evidence
from multiemo.types import PROSODY_CHANNELS, SpeechSpec, WaveformSpec


def speech_spec(clip: ClipInput) -> SpeechSpec | WaveformSpec:
    """The specification of a sound input."""
    spec = clip.entry.spec
    assert isinstance(spec, (SpeechSpec, WaveformSpec))
    return spec


def first_row_time(clip: ClipInput) -> float:
    """Time of the first row of the tensor, seconds from the start of the input: quiet ends are cut off."""
    cut = 0.0
    if isinstance(clip.raw, Audio):
        cut = trimmed_start(clip.raw.samples, clip.raw.rate, speech_spec(clip))
    return clip.start + cut


def prosody_column(spec: SpeechSpec | WaveformSpec) -> int | None:
    """First column of the prosody channels; ``None`` without them."""
    if not spec.prosody:
        return None
    return spec.n_mels if isinstance(spec, SpeechSpec) else spec.row_samples


def measured_cues(clip: ClipInput) -> MeasuredVoice:
    """The cues of a clip; none if its input has no prosody channels."""
    spec = speech_spec(clip)
    first = prosody_column(spec)
    return NO_VOICE if first is None else voice_cues(clip.tensor[:, first:].float(), spec.hop)


def neutral_of(clip: ClipInput, target: ClipTarget) -> Neutral:
    """The input and what replaces it: means over the training clips where the encoder stores them, else silence.

    Columns of which an encoder stores no statistics are replaced with the mean of the clip.
    """
    spec, x = speech_spec(clip), target.x.float()
    columns, first = x.shape[1], prosody_column(spec)
    mels = isinstance(spec, SpeechSpec)
    origin = x.mean(0) if mels else torch.zeros(columns, device=x.device)
    scale = x.std(0, unbiased=False).clamp_min(1e-6)
    known = _statistics(target, columns if mels else len(PROSODY_CHANNELS))
    if known is not None and (mels or first is not None):
        start = 0 if mels else first
        origin[start:], scale[start:] = known[0], known[1]
    elif first is not None and not mels:
        origin[first:] = x[:, first:].mean(0)
    return Neutral(x, origin, scale, first, mels)


def _training_baseline(target: ClipTarget) -> VoiceBaseline | None:
    """Usual values of the training frames, if the encoder stores them."""
    for module in target.model.encoders[target.modality].modules():
        if isinstance(module, Standardize) and module.mean.numel() >= len(PROSODY_CHANNELS):
            count = len(PROSODY_CHANNELS)
            return VoiceBaseline.of_statistics(module.mean[-count:], module.std[-count:])
    return None


def _statistics(target: ClipTarget, columns: int) -> tuple[Tensor, Tensor] | None:
    """Mean and standard deviation of every column over the training clips, if the encoder stores them."""
    for module in target.model.encoders[target.modality].modules():
        if isinstance(module, Standardize) and module.mean.numel() == columns:
            return module.mean, module.std
    return None


@evidence.register("speech")
@evidence.register("waveform")
class SpeechEvidence(Evidence):
    """Evidence inside sound, whether an encoder reads mel bands with prosody or the waveform."""

    def views(self, clip: ClipInput, target: ClipTarget) -> list[PartView]:
        """Cues, if the encoder reads prosody channels, and bands of time."""
        spec, neutral = speech_spec(clip), neutral_of(clip, target)
        smooth = isinstance(spec, SpeechSpec)
        timed = time_view(neutral, 1 / spec.rows_per_second, first_row_time(clip), smooth)
        if neutral.prosody is None:
            timed.notes = ("the encoder reads no prosody channels, so cues cannot be removed from its input",)
            return [timed]
        others = "spectrum" if smooth else "waveform"
        cued = cue_view(neutral, measured_cues(clip), clip.voice or _training_baseline(target), others, smooth)
        return [timed] if cued is None else [cued, timed]

    def maps(self, clip: ClipInput, target: ClipTarget) -> list[EvidenceMap]:
        """The spectrogram: mel bands by integrated gradients, a waveform by removing bands of frequency and time."""
        spec, neutral, start = speech_spec(clip), neutral_of(clip, target), first_row_time(clip)
        if isinstance(spec, SpeechSpec):
            return [mel_map(neutral, spec, target, start)] if spec.n_mels else []
        return [wave_map(neutral, spec, target, start)]

    def changes(self, clip: ClipInput, target: ClipTarget) -> Iterator[InputChange]:
        """Cues moved in both directions; of a recording without prosody channels, its tempo and level."""
        spec, neutral = speech_spec(clip), neutral_of(clip, target)
        if neutral.prosody is not None:
            return cue_changes(neutral, spec.hop)
        if isinstance(spec, WaveformSpec):
            return wave_changes(neutral.x, spec.sample_rate, levels=not spec.normalize)
        return iter(())
