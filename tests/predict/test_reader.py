"""The transcript of a file: which source is read."""

from __future__ import annotations

from pathlib import Path

import pytest

import multiemo
from tests.support.captions import SRT, write
from tests.support.subtitled_films import film

MUSIC = "1\n00:00:01,000 --> 00:00:02,000\n[music]\n"
SAID = [(1.0, 2.5, "I am so happy.")]


@pytest.mark.parametrize("name", ["a.srt", "a.json"])
def test_a_transcript_without_words_does_not_hide_the_subtitles_in_the_file(
    model: multiemo.Predictor, tmp_path: Path, name: str
) -> None:
    path = film(tmp_path / "a.mkv", ("subrip", "eng", "default", SAID))
    write(tmp_path, name, MUSIC if name == "a.srt" else '{"segments": []}')
    entry = model.predict(path)
    assert entry["words"]["source"].startswith("subtitle track")
    assert f"the transcript ({name}) has no words and was not used" in entry["notes"]


def test_a_transcript_without_words_is_named_as_the_reason(model: multiemo.Predictor, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv")
    write(tmp_path, "a.srt", MUSIC)
    reason = "the transcript (a.srt) has no words and was not used"
    for transcript in (None, multiemo.transcripts.read_transcript(tmp_path / "a.srt")):
        entry = model.predict_item(multiemo.predict.Item("a", path, transcript=transcript))
        assert entry["words"] == {"absent": reason}
        assert entry["notes"].count(reason) == 1
    write(tmp_path, "a.en.srt", SRT)
    entry = model.predict(path)
    assert entry["words"]["source"] == "a.en.srt"
    assert reason in entry["notes"]
    assert not [note for note in entry["notes"] if "was read, not" in note]
