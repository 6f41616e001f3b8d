"""The benchmark of the prosody track, with and without openSMILE."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import soundfile

from benchmarks.measure import pitch, prosody
from benchmarks.measure.pitch import RATE
from tests.support.voices import buzz


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
