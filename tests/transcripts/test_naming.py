"""Tags in the name of a transcript."""

from __future__ import annotations

import pytest

from multiemo.transcripts import side_transcripts
from tests.support.captions import write

NAMES = [
    ("film.mp4.srt", None),
    ("film.English.srt", "en"),
    ("film.eng.forced.srt", "en"),
    ("film.en-US.vtt", "en"),
    ("film.zh-Hans.srt", "zh"),
    ("film.es-419.cc.srt", "es"),
    ("film.2_English.srt", "en"),
    ("film.Deutsch (SDH).srt", "de"),
    ("film.mp4.pt-BR.srt", "pt"),
    ("film.简体中文.srt", "zh"),
    ("film.en (GB).srt", "en"),
    ("film.zh_TW.srt", "zh"),
    ("film.zh-Hans-CN.srt", "zh"),
    ("film.hi.srt", "hi"),
    ("film.en.hi.srt", "en"),
    ("film.sl.srt", "sl"),
    ("film.hrv.srt", "hr"),
    ("film.yue.srt", "yue"),
    ("film.iw.vtt", "he"),
]


@pytest.mark.parametrize(("name", "language"), NAMES)
def test_tags_in_the_name_of_a_transcript(tmp_path, name, language):
    media = write(tmp_path, "film.mp4", "x")
    write(tmp_path, name, "00:01 --> 00:02\nBarcelona\n")
    found = next(side_transcripts(media, []))
    assert (found.source, found.language) == (name, language)
