"""Both kinds of sound input."""

from __future__ import annotations

import numpy as np
import pytest

from multiemo.inputs import build_input
from multiemo.inputs.material import Audio, ClipMaterial, Request
from multiemo.types import Absent, Clip, SpeechSpec, WaveformSpec

SPECS = [SpeechSpec(max_seconds=1.0), WaveformSpec(max_seconds=1.0), WaveformSpec(max_seconds=1.0, prosody=True)]


def noise(seconds: float) -> Audio:
    return Audio(np.random.default_rng(0).normal(0, 0.1, round(16000 * seconds)).astype(np.float32), 16000)


@pytest.mark.parametrize("spec", SPECS)
def test_what_is_cut_is_said(spec):
    entry = build_input("speech", spec)
    assert entry.request == Request(sample_rate=16000)
    assert entry.decodes
    long = entry.read(ClipMaterial(audio=noise(1.5)))
    assert list(long.notes) == ["only the first 1 s of 1.5 s of voice were read (encoders.speech.max_seconds)"]
    short = entry.read(ClipMaterial(audio=noise(0.5)))
    assert list(short.notes) == []
    assert entry.cut_note([len(long.tensor), len(short.tensor), 0]) == (
        "speech: only the first 1 s are read of 1 of 3 clips; encoders.speech.max_seconds sets the limit"
    )
    assert entry.cut_note([len(short.tensor)]) is None
    assert len(short.tensor) == pytest.approx(0.5 * entry.steps_per_unit, abs=1)


@pytest.mark.parametrize("spec", SPECS)
def test_where_a_row_keeps_it(spec):
    entry = build_input("speech", spec)
    assert entry.source(Clip(id="a", corpus="x", audio="a.wav", video="a.mp4"), "speech") == "a.wav"
    assert entry.source(Clip(id="a", corpus="x", video="a.mp4"), "speech") == "a.mp4"
    assert entry.source(Clip(id="a", corpus="x", image="a.png"), "speech") == Absent(
        "the row has neither audio nor video"
    )
    assert entry.read(ClipMaterial()) == Absent("the file has no audio track")


@pytest.mark.parametrize("spec", SPECS)
def test_a_baseline_describes_mel_bands_and_prosody(spec):
    described = build_input("speech", spec).baseline_input()
    assert described.spec == SpeechSpec(max_seconds=1.0)


def test_another_raw_form_is_a_mistake_of_the_program():
    with pytest.raises(TypeError, match="expected Audio, got str"):
        build_input("speech", SpeechSpec()).prepare("words")
