"""The benchmark of the prosody track: its figures on tracks and voices whose answer is known."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.measure import pitch, prosody
from benchmarks.measure.pitch import RATE, STEP, Track


def track(f0: list[float]) -> Track:
    """Unvoiced where 0."""
    values = np.array(f0)
    return Track(np.where(values > 0, values, 1.0), values > 0)


def contour(seconds: float = 2.0) -> Track:
    """From 150 Hz, four semitones up and down, unvoiced at both ends."""
    t = np.arange(round(seconds * RATE / STEP) + 1) * STEP / RATE
    return Track(150 * 2 ** (4 / 12 * np.sin(np.pi * t)), (t > 0.2) & (t < seconds - 0.2))


def buzz(f0: float = 110.0, seconds: float = 2.0) -> np.ndarray:
    """A steady voice."""
    t = np.arange(round(seconds * RATE)) / RATE
    return sum(0.2 / k * np.sin(2 * np.pi * k * f0 * t) for k in range(1, 20)).astype(np.float32)


def test_agreement_of_two_tracks_by_hand() -> None:
    cent = 2 ** (1 / 1200)
    there = track([100, 100, 100, 100, 0, 0, 0, 0])
    found = pitch.compare([(track([100, 100 * cent**19, 100 * cent**40, 200, 0, 0, 0, 100]), there)])
    assert found["frames"] == 8
    assert found["common"] == 4
    assert found["median"] == pytest.approx((19 + 40) / 2)
    assert (found["within_20"], found["within_50"], found["gross"]) == (0.5, 0.75, 0.25)
    assert found["voicing"] == 7 / 8
    assert found["kappa"] == pytest.approx((7 / 8 - 1 / 2) / (1 - 1 / 2))


def test_a_made_voice_has_the_pitch_it_was_given_and_not_the_take_s() -> None:
    voice, truth = pitch.resynthesise(buzz(), contour())
    found = pitch.compare([(pitch.ours(voice), truth)])
    assert found["common"] > 0.95 * truth.voiced.sum()
    assert found["within_20"] > 0.95
    assert found["median"] < 3


@pytest.mark.parametrize("tracker", [pitch.ours, pytest.param(pitch.pyin, marks=pytest.mark.slow)])
def test_trackers_stand_at_the_same_times(tracker: Callable[..., Track]) -> None:
    """On a glide of an octave a second 10 ms are 12 cents."""
    t = np.arange(2 * RATE) / RATE
    phase = 2 * np.pi * np.cumsum(120 * 2**t) / RATE
    wave = sum(0.2 / k * np.sin(k * phase) for k in range(1, 12)).astype(np.float32)
    truth = 120 * 2 ** (np.arange(201) * STEP / RATE)
    found = tracker(wave)
    inside = found.voiced[20:-20]
    assert inside.mean() > 0.9
    assert np.abs(np.median(1200 * np.log2(found.f0 / truth)[20:-20][inside])) < 6


def test_praat_stands_at_the_same_times() -> None:
    pytest.importorskip("parselmouth")
    voice, truth = pitch.resynthesise(buzz(), contour())
    assert pitch.compare([(pitch.praat(voice), truth)])["median"] < 3


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two actors, two emotions, two repetitions, named as RAVDESS's."""
    for actor in (1, 2):
        for emotion in (1, 5):
            for repetition in (1, 2):
                name = f"03-01-{emotion:02d}-01-01-{repetition:02d}-{actor:02d}.wav"
                file = tmp_path / "ravdess" / f"Actor_{actor:02d}" / name
                file.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(file, buzz(100.0 * actor + 10 * repetition, 0.5), RATE)
    monkeypatch.setenv("MULTIEMO_DATA", str(tmp_path))
    return tmp_path


def test_one_take_for_every_actor_and_emotion(corpus: Path) -> None:
    takes = prosody.draw_takes(prosody.corpus_folder())
    assert [(take.actor, take.name[6:8]) for take in takes] == [
        (1, "05"),
        (1, "01"),
        (2, "05"),
        (2, "01"),
    ]  # angry, neutral
    assert all(len(take.wave) == RATE // 2 for take in takes)
    assert [take.name for take in takes] == [take.name for take in prosody.draw_takes(prosody.corpus_folder())]


def test_without_opensmile_its_row_is_left_out_and_said_so(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(prosody, "agreement", lambda waves, men: {})
    found = prosody.measure(turns=1)
    for row in found["speed"]:
        assert row["seconds"] == 2.0
        assert all(way["time"] > 0 and "ratio" not in way for way in row["ways"].values())
    printed = prosody.table(found)
    assert 'pip install "opensmile>=2.5"' in printed
    assert "pip install praat-parselmouth" in printed


@pytest.mark.slow
def test_all_trackers_are_right_about_steady_voices(corpus: Path) -> None:
    takes = prosody.draw_takes(prosody.corpus_folder())
    found = pitch.agreement([take.wave for take in takes], [take.actor % 2 == 1 for take in takes])
    assert (
        found["ours, pYIN: men"]["frames"] == found["ours, pYIN: women"]["frames"] == found["ours, pYIN"]["frames"] / 2
    )
    for name, said in found.items():
        assert said["within_20"] > 0.95, name


def test_with_opensmile_every_way_has_a_ratio_to_it(corpus: Path) -> None:
    pytest.importorskip("opensmile")
    rows = prosody.speed(prosody.draw_takes(prosody.corpus_folder()), turns=1)
    for row in rows:
        assert row["ways"][prosody.OPENSMILE]["ratio"] == 1.0
        assert all(way["range"][0] <= way["ratio"] <= way["range"][1] for way in row["ways"].values())
    assert "x openSMILE" in prosody.table({"speed": rows, "pitch": {}})


def test_without_the_corpus_the_part_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULTIEMO_DATA", str(tmp_path))
    printed = prosody.table(prosody.measure())
    assert str(tmp_path / "ravdess") in printed
    assert "MULTIEMO_DATA" in printed


@pytest.mark.slow
def test_pitch_of_voices_made_from_real_takes(real_data: Path) -> None:
    """Where the truth is known our pitch is nearer to it than pYIN's, even along pYIN's own tracks."""
    takes = prosody.draw_takes(real_data / "ravdess")[::36]
    found = pitch.agreement([take.wave for take in takes], [take.actor % 2 == 1 for take in takes], known=1)
    assert found["ours, truth along ours"]["within_20"] > 0.80
    for along in ("ours", "pYIN"):
        assert found[f"ours, truth along {along}"]["within_20"] > found[f"pYIN, truth along {along}"]["within_20"] + 0.1
