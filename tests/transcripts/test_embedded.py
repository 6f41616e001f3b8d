"""Subtitles embedded in a media file."""

from __future__ import annotations

import av
import pytest

from multiemo.errors import MediaError
from multiemo.transcripts.embedded import embedded_subtitles
from tests.support.captions import times, write
from tests.support.subtitled_films import film

# --- inside the media
SAID = [(1.0, 2.5, "I can't <b>believe</b> it!"), (3.0, 4.0, "{\\an8}Tom & I\\Nleft. [door]")]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mov_text"), ("a.mkv", "subrip"), ("b.mkv", "ass"), ("c.mkv", "webvtt")]
)
def test_embedded_subtitles(tmp_path, name, codec):
    found = embedded_subtitles(film(tmp_path / name, (codec, "eng", "default", SAID)))
    assert found is not None
    assert times(found) == [(1.0, 2.5, "I can't believe it!"), (3.0, 4.0, "Tom & I left.")]
    assert (found.language, found.timed) == ("en", True)
    assert found.source.startswith("subtitle track")
    assert found.notes == ("1 description(s) of sounds such as [music] or (laughs) were left out",)


def test_the_default_track_is_read_and_forced_ones_last(tmp_path):
    captions = {word: [(0.0, 1.0, word)] for word in ("uno", "zwei", "three")}
    forced = ("subrip", "spa", "forced", captions["uno"])
    plain = ("subrip", "ger", "", captions["zwei"])
    default = ("subrip", "eng", "default", captions["three"])
    for number, (tracks, wanted) in enumerate([((forced, plain, default), "three"), ((forced, plain), "zwei")]):
        found = embedded_subtitles(film(tmp_path / f"{number}.mkv", *tracks))
        assert found is not None
        assert found.text == wanted
    assert found.language == "de"  # one word is not enough, so the track's language counts


def test_a_track_whose_language_is_not_utf_8(tmp_path):
    path = film(tmp_path / "a.mkv", ("subrip", "ger", "", SAID))
    path.write_bytes(path.read_bytes().replace(b"ger", b"g\xe9r"))
    found = embedded_subtitles(path)
    assert found is not None
    assert found.source.endswith(", g\ufffdr)")


def test_no_subtitles_and_what_is_not_text(tmp_path):
    notes: list[str] = []
    assert embedded_subtitles(film(tmp_path / "a.mp4"), notes) is None
    assert notes == []
    assert embedded_subtitles(film(tmp_path / "b.mkv", ("subrip", "eng", "", [(0, 1, "[music]")])), notes) is None
    assert notes == ["the subtitle track has no words"]
    drawing = film(tmp_path / "d.mkv", ("ass", "eng", "", [(0, 1, "{\\an7\\p1}m 0 0 l 9 9"), (1, 2, "Hi.")]))
    assert times(embedded_subtitles(drawing)) == [(1.0, 2.0, "Hi.")]
    with pytest.raises(MediaError, match="not a media file"):
        embedded_subtitles(write(tmp_path, "c.mp4", "words"))


def test_subtitles_that_are_pictures(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("dvdsub")
        container.start_encoding()
        packet = av.Packet(b"\x00\x10" + bytes(14))
        packet.stream, packet.pts, packet.dts, packet.duration, packet.time_base = stream, 0, 0, 1000, stream.time_base
        container.mux(packet)
    notes: list[str] = []
    assert embedded_subtitles(tmp_path / "a.mkv", notes) is None
    assert notes == ["the subtitles are pictures (dvdsub), not text, so their words cannot be read"]


def test_a_cut_off_file_gives_the_captions_that_are_there(tmp_path):
    whole = film(tmp_path / "a.mkv", ("subrip", "eng", "default", SAID)).read_bytes()
    for share in (0.3, 0.5, 0.7, 0.9):
        cut = write(tmp_path, "cut.mkv", whole[: int(share * len(whole))])
        found = embedded_subtitles(cut)
        assert found is None or found.text in ("I can't believe it!", "I can't believe it! Tom & I left.")
