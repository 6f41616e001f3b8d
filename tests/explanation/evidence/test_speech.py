"""Evidence inside speech, on planted models whose answer is known, and on every family of speech encoders."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from multiemo.calibration import Calibration
from multiemo.encoders.base import Encoder, Standardize
from multiemo.encoders.speech.speech_prosody import SpeechProsody
from multiemo.explanation.attribution import attribute, explain_modality
from multiemo.explanation.evidence.base import ClipInput
from multiemo.explanation.evidence.speech import SpeechEvidence, measured_cues
from multiemo.explanation.evidence.voice_changes import wave_changes
from multiemo.explanation.target import ClipTarget
from multiemo.inputs import build_input
from multiemo.inputs.material import Audio
from multiemo.model import EmotionModel
from multiemo.preprocess.voice.baseline import VoiceBaseline
from multiemo.preprocess.voice.cues import voice_cues
from multiemo.preprocess.voice.prosody import prosody
from multiemo.runs.device import Compute
from multiemo.types import PROSODY_CHANNELS, Absent, Sample, SpeechSpec
from tests.support.tiny_speech import build
from tests.support.voices import RATE, syllables

M = 64


class Planted:
    """Stands in for a ClipTarget: any function of the standardised input."""

    def __init__(self, x: Tensor, score: Callable[[Tensor], Tensor], mean: Tensor, std: Tensor) -> None:
        self.x, self.score, self.modality = x, score, "speech"
        self.standardize = Standardize(len(mean))
        self.standardize.mean.copy_(mean)
        self.standardize.std.copy_(std)
        self.model: Any = SimpleNamespace(encoders={"speech": nn.ModuleList([self.standardize])}, task="single")

    def __call__(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.score(self.standardize(x))


def clip_of(samples: np.ndarray, start: float = 0.0) -> ClipInput:
    entry = build_input("speech", SpeechSpec(n_mels=M))
    raw = Audio(samples, RATE)
    prepared = entry.prepare(raw)
    assert not isinstance(prepared, Absent)
    return ClipInput("speech", entry, prepared.tensor, raw, start)


def planted(clip: ClipInput, score: Callable[[Tensor], Tensor]) -> Any:
    x = clip.tensor
    return Planted(x, score, x.mean(0) + 0.5, x.std(0).clamp_min(0.1))


def scores(clip: ClipInput, target: Any, unit: str) -> dict[str, float]:
    view = next(v for v in SpeechEvidence().views(clip, target) if v.unit == unit)
    found, method = attribute(view, target)
    assert method == "integrated gradients"
    return {part.name: round(float(s), 4) for part, s in zip(view.parts, found, strict=True)}


@pytest.mark.parametrize(
    ("channel", "function", "cue"),
    [
        ("rate", lambda c: c.mean(1), "speaking rate"),
        ("f0", lambda c: c.mean(1), "pitch level"),
        ("f0", lambda c: c.std(1), "pitch range"),
        ("energy", lambda c: c.mean(1), "loudness"),
        ("energy", lambda c: c.std(1), "loudness range"),
        ("delta_f0", lambda c: c.abs().mean(1), "pitch movement"),
    ],
)
def test_only_the_cue_that_a_model_reads_is_credited(
    channel: str, function: Callable[[Tensor], Tensor], cue: str
) -> None:
    clip, column = clip_of(syllables()), M + PROSODY_CHANNELS.index(channel)
    target = planted(clip, lambda x: function(x[..., column]))
    found = scores(clip, target, "cue")
    whole = target(clip.tensor[None], None) - target(clip.tensor.mean(0).add(0.5).expand_as(clip.tensor)[None], None)
    assert found.pop(cue) == pytest.approx(float(whole), abs=0.02)
    assert max(abs(v) for v in found.values()) < 0.02


def test_a_recording_that_is_only_louder_differs_in_loudness_and_not_in_its_spectrum() -> None:
    clip = clip_of(syllables())
    x = clip.tensor
    quieter = x.clone()
    quieter[:, :M] -= 10 * 0.2302585
    quieter[:, M + PROSODY_CHANNELS.index("energy")] -= 10
    target = Planted(x, lambda z: z[..., :M].mean((1, 2)), quieter.mean(0), torch.ones(x.shape[1]))
    found = scores(clip, target, "cue")
    assert found["loudness"] == pytest.approx(10 * 0.2302585, abs=0.01)
    assert abs(found["spectrum"]) < 0.01


def test_only_the_band_of_time_that_a_model_reads_is_credited() -> None:
    silence = np.zeros(RATE, dtype=np.float32)
    clip = clip_of(np.concatenate([silence, syllables(seconds=3.0)]), start=20.0)
    # The tensor starts 0.1 s before the voice, so its rows 110 to 140 are the seconds 22.0 to 22.3 of the file.
    target = planted(clip, lambda x: x[:, 110:140].sum((1, 2)))
    view = next(v for v in SpeechEvidence().views(clip, target) if v.unit == "time")
    found, _ = attribute(view, target)
    total = float(found.abs().sum())
    near = [p for p, s in zip(view.parts, found, strict=True) if abs(float(s)) > 0.02 * total]
    assert total > 1
    assert 1 <= len(near) <= 3
    assert near[0].start == pytest.approx(22.0, abs=0.31)
    assert near[-1].end == pytest.approx(22.3, abs=0.31)
    assert view.parts[0].start == pytest.approx(20.9, abs=0.03)


def test_the_map_shows_the_cell_that_a_model_reads() -> None:
    clip = clip_of(syllables())
    target = planted(clip, lambda x: x[:, 100:110, 8:12].sum((1, 2)))
    found = SpeechEvidence().maps(clip, target)[0]
    cells = np.abs(np.array(found.scores))
    assert np.unravel_index(cells.argmax(), cells.shape)[0] == 2  # four bands in a row
    assert cells[2, 9:12].sum() == pytest.approx(cells.sum(), rel=1e-3)
    assert cells.sum() > 0
    assert found.picture is not None
    assert base64.b64decode(found.picture)[1:4] == b"PNG"


def real_target(encoder: Encoder, samples: np.ndarray) -> tuple[ClipInput, ClipTarget]:
    torch.manual_seed(0)
    entry = build_input("speech", encoder.input_spec)
    prepared = entry.prepare(Audio(samples, RATE))
    assert not isinstance(prepared, Absent)
    model = EmotionModel({"speech": encoder}, 3).eval()
    sample = Sample("a", "c", "s", {"speech": prepared.tensor}, {}, None, torch.zeros(3))
    target = ClipTarget(model, Calibration(), Compute(torch.device("cpu")), sample, "speech", 0, ("a", "b", "c"))
    return ClipInput("speech", entry, prepared.tensor, Audio(samples, RATE)), target


@pytest.mark.parametrize(
    ("kind", "prosody"),
    [("wav2vec2-group", True), ("hubert", False), ("wavlm", False)]
    + [pytest.param("whisper", p, marks=pytest.mark.slow) for p in (False, True)],
)
def test_pretrained_encoders_are_explained_by_removing_parts(kind: str, prosody: bool, tmp_path: Path) -> None:
    encoder = build(kind, tmp_path, prosody=prosody, freeze="all")
    clip, target = real_target(encoder, syllables(seconds=1.0))
    found = explain_modality(clip, target)
    assert [view.unit for view in found.views] == (["cue", "time"] if prosody else ["time"])
    assert all("gradients" not in view.method for view in found.views)
    assert any(part.score for part in found.views[-1].parts)
    if prosody:
        assert {part.name: part.score for part in found.views[0].parts}["waveform"] != 0
    else:
        assert found.views[0].notes
    assert found.maps[0].method == "occlusion"
    assert np.any(found.maps[0].scores)


def test_a_changed_pitch_range_keeps_the_mean_and_scales_the_slope() -> None:
    clip, target = real_target(SpeechProsody(), syllables())
    changes = list(SpeechEvidence().changes(clip, target))
    assert [c.size for c in changes] == sorted(c.size for c in changes)
    x, f0, slope = clip.tensor, M + PROSODY_CHANNELS.index("f0"), M + PROSODY_CHANNELS.index("delta_f0")
    change = next(c for c in changes if "narrower" in c.words)
    share = change.tensor[:, f0].std() / x[:, f0].std()
    assert share < 1
    assert "not in the recording" in change.words
    assert change.tensor[:, f0].mean() == pytest.approx(float(x[:, f0].mean()), abs=1e-3)
    assert torch.allclose(change.tensor[:, slope], share * x[:, slope], atol=1e-3)
    faster = next(c for c in changes if "faster" in c.words)
    assert len(faster.tensor) < len(x)
    assert len(faster.mask) == len(faster.tensor)


def test_one_frame_of_sound_is_explained() -> None:
    clip, target = real_target(SpeechProsody(), syllables(seconds=0.06))
    found = explain_modality(clip, target)
    assert len(next(v for v in found.views if v.unit == "time").parts) == 1


def test_a_recording_at_another_tempo_keeps_its_pitch() -> None:
    wave = torch.from_numpy(syllables(f0=150.0, reach=0.1, rate=4.0)).unsqueeze(1)
    changes = list(wave_changes(wave, RATE, levels=False))
    assert {c.name for c in changes} == {"speaking rate"}
    slow, fast = changes[-2:]
    for change in (slow, fast):
        found = voice_cues(prosody(change.tensor[:, 0], RATE), 0.01)
        assert change.amount is not None
        assert found.shown("pitch_level") == pytest.approx(150, rel=0.02)
        assert found.values["speaking_rate"] == pytest.approx(4 * change.amount, rel=0.2)
    quieter = next(c for c in wave_changes(wave, RATE, levels=True) if "quieter" in c.words)
    assert quieter.tensor.std() / wave.std() == pytest.approx(10 ** (-3 / 20), rel=1e-3)


def test_a_segment_is_compared_with_its_baseline() -> None:
    others = [measured_cues(clip_of(syllables(gain=g))) for g in (0.0, 0.5, -0.5)]
    loud = replace(clip_of(syllables(gain=14.0)), voice=VoiceBaseline.fitted(others, "the rest of this file"))
    parts = {p.name: p for p in SpeechEvidence().views(loud, planted(loud, lambda x: x.mean((1, 2))))[0].parts}
    assert parts["loudness"].deviation is not None
    assert parts["loudness"].deviation > 1.0
    assert "loud" in str(parts["loudness"].detail)
    assert "sd above the rest of this file" in str(parts["loudness"].detail)


def test_a_voice_is_not_made_louder_than_full_scale() -> None:
    clip, target = real_target(SpeechProsody(), syllables(gain=10.0))
    energy = M + PROSODY_CHANNELS.index("energy")
    louder = [c for c in SpeechEvidence().changes(clip, target) if "louder" in c.words]
    assert louder
    assert max(float(c.tensor[:, energy].max()) for c in louder) <= 0
    assert len(louder) < 6
