"""What the transparent rules say about the input of a model, whether its branch is one of rules or a trained one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from multiemo.encoders.base import Encoder
from multiemo.encoders.common.tensor_rules import TensorRules
from multiemo.encoders.features.features import FeatureEncoder
from multiemo.explanation.evidence.base import ClipInput
from multiemo.explanation.records import RuleReading
from multiemo.inputs.material import FeatureRows, Utterance
from multiemo.inputs.rules import RuleInput
from multiemo.labels.action_units import unit_name
from multiemo.preprocess.voice.baseline import VoiceBaseline
from multiemo.preprocess.voice.cues import voice_cues
from multiemo.rules.deviations import CueBaseline
from multiemo.rules.face import column_largest, read_units, unit_columns
from multiemo.rules.findings import Findings
from multiemo.rules.label_sets import label_shares
from multiemo.rules.speech import read_tone
from multiemo.rules.text import read_text
from multiemo.types import PROSODY_CHANNELS, FeatureSpec, Modality, SpeechSpec, WaveformSpec


def rule_findings(clip: ClipInput, encoder: Encoder) -> Findings | None:
    """What the rules find in one modality of a clip.

    A branch of rules is asked itself. Beside a trained branch, words are read as they are, and action units are
    compared with the statistics that the encoder fitted to its training data. A voice is compared with ``clip.voice``.

    Args:
        clip: the input.
        encoder: encoder of its modality.

    Returns:
        The findings; ``None`` if there are no rules for this kind of input.
    """
    if isinstance(clip.entry, RuleInput):
        found = None if clip.raw is None else clip.entry.find(clip.raw)
        return found if isinstance(found, Findings) else None
    if isinstance(encoder, TensorRules):
        return encoder.find(clip.tensor)
    spec = clip.entry.spec
    if isinstance(clip.raw, Utterance):
        return read_text(clip.raw.text, language=clip.raw.language)
    if isinstance(spec, SpeechSpec | WaveformSpec) and spec.prosody:
        cues = voice_cues(clip.tensor[:, -len(PROSODY_CHANNELS) :], spec.hop)
        return read_tone(cues.values, _tone_baseline(clip.voice), voiced=cues.voiced)
    if isinstance(spec, FeatureSpec) and isinstance(encoder, FeatureEncoder):
        named = clip.raw.columns if isinstance(clip.raw, FeatureRows) else ()
        return _units(clip.tensor, spec.columns or named, encoder)
    return None


def rule_reading(modality: Modality, findings: Findings, labels: Sequence[str], decided: str) -> RuleReading:
    """Findings in the labels of a model, beside the label that the model decides for.

    Args:
        modality: modality of the findings.
        findings: what the rules find.
        labels: C labels of the model.
        decided: label of the model.
    """
    shares = label_shares(findings, labels)
    label = max(shares, key=shares.__getitem__) if findings.reasons else None
    return RuleReading(
        modality=modality,
        label=label,
        probs={name: round(share, 6) for name, share in shares.items()},
        reasons=list(findings.reasons),
        agrees=None if label is None else label == decided,
        limits=list(findings.limits),
    )


def _tone_baseline(voice: VoiceBaseline | None) -> CueBaseline:
    """The usual values of a voice in the form that rules take; empty if only those of single frames are known."""
    if voice is None or voice.of_frames:
        return CueBaseline({}, {}, 0)
    return CueBaseline(voice.mean, voice.spread, voice.clips, voice.whose)


def _units(x: Tensor, columns: Sequence[str], encoder: FeatureEncoder) -> Findings | None:
    """Findings of action units ``[T, dim]`` beside a trained encoder; ``None`` if no column is one."""
    units = unit_columns(columns)
    if not units:
        return None
    mean, sd = encoder.standardize.mean.tolist(), encoder.standardize.std.tolist()
    baseline = CueBaseline(
        {unit_name(unit): mean[index] for unit, index in units.items()},
        {unit_name(unit): sd[index] for unit, index in units.items()},
        clips=0,
    )
    values = x.float().mean(0).tolist()
    largest = {unit: column_largest(columns[index]) for unit, index in units.items()}
    return read_units({unit: values[index] for unit, index in units.items()}, largest, baseline)
