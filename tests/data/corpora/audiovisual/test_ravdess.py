"""The adapter ``ravdess`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ConfigError
from multiemo.types import FeatureRef
from tests.support.corpora import by_id, run, touch, write


def test_ravdess_merges_the_files_of_a_take(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "RAVDESS",
        "Audio_Speech_Actors_01-24/Actor_01/03-01-05-02-02-01-01.wav",
        "Video_Speech_Actor_01/Actor_01/01-01-05-02-02-01-01.mp4",
        "Video_Speech_Actor_01/Actor_01/02-01-05-02-02-01-01.mp4",
        "Video_Speech_Actor_02/Actor_02/01-01-02-01-01-01-02.mp4",
        "Video_Speech_Actor_02/Actor_02/02-01-03-01-01-01-02.mp4",
        "Audio_Song_Actors_01-24/Actor_01/03-02-04-01-01-01-01.wav",
        "Actor_01/03-01-05-02-02-01-01.flac",
        "Actor_01/notes.wav",
    )
    write(root / "tracked/01-01-02-01-01-01-02.csv", "frame,AU01_r\n1,0\n")
    write(root / "means.csv", "clip,AU01_r\n01-01-05-02-02-01-01,0.5\n01-01-02-01-01-01-02,0.5\nnobody,1\n")
    prepared = run("ravdess", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert list(clips) == ["01-01-02-01-01-01-02", "01-01-03-01-01-01-02", "01-01-05-02-02-01-01"]
    take = clips["01-01-05-02-02-01-01"]
    assert take.audio == "RAVDESS/Actor_01/03-01-05-02-02-01-01.flac"
    assert take.video == "RAVDESS/Video_Speech_Actor_01/Actor_01/01-01-05-02-02-01-01.mp4"
    assert take.features == {"face": FeatureRef("RAVDESS/means.csv", "01-01-05-02-02-01-01")}
    assert (take.label_set, take.label, take.speaker, take.group, take.language) == (
        "ravdess8", "angry", "01", None, "en",
    )  # fmt: skip
    assert take.attributes == {"sex": "male", "intensity": "strong"}
    assert take.text == "Dogs are sitting by the door"
    video_only = clips["01-01-03-01-01-01-02"]
    assert video_only.audio is None
    assert video_only.video is not None
    with_sound = clips["01-01-02-01-01-01-02"]
    assert with_sound.audio == with_sound.video
    assert with_sound.label == "calm"
    assert with_sound.attributes == {"sex": "female", "intensity": "normal"}
    assert with_sound.features["face"] == FeatureRef("RAVDESS/tracked/01-01-02-01-01-01-02.csv")
    reasons = sorted(s.reason.split(";")[0] for s in prepared.skipped)
    assert reasons == [
        "1 rows are for takes that already have face features",
        "1 rows do not begin with the name of a take",
        "1 takes of the song channel are left out",
        "is a second copy of Actor_01/03-01-05-02-02-01-01.flac",
        "is not named like a RAVDESS take (MM-CC-EE-II-SS-RR-AA, audio 03, video 01 or 02)",
    ]


def test_ravdess_song(tmp_path: Path) -> None:
    root = touch(tmp_path / "r", "Actor_01/03-02-04-01-01-01-01.wav", "Actor_01/03-01-04-01-01-01-01.wav")
    assert list(by_id(run("ravdess", root, tmp_path / "m.jsonl", song="true"))) == [
        "01-01-04-01-01-01-01", "01-02-04-01-01-01-01",
    ]  # fmt: skip
    assert len(run("ravdess", root, tmp_path / "m.jsonl").clips) == 1
    with pytest.raises(ConfigError, match=r"prepare\.song"):
        prepare("ravdess", root, tmp_path / "m.jsonl", {"song": "perhaps"})
