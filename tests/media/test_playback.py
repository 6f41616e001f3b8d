"""The length of files whose header says something else: late captions, and clocks that do not begin at 0."""

from __future__ import annotations

import gc
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from av.subtitles.subtitle import SubtitleSet

from multiemo.errors import MediaError
from multiemo.media.reading import Playback, PlayedFrame, PlayedSound, iter_media, probe, read_media
from tests.support.media_files import grid, picture, tone, write
from tests.support.subtitled_films import STYLES

RATE = 16000


def captioned(source: Path, path: Path, codec: str, end: float) -> Path:
    """Copy an MP4 film and add a caption from its beginning to ``end``, seconds."""
    with av.open(str(source)) as film, av.open(str(path), "w") as container:
        copies = {stream.index: container.add_stream_from_template(stream) for stream in film.streams}
        captions = container.add_stream(codec)
        captions.codec_context.subtitle_header = STYLES
        container.start_encoding()
        ticks = 1 / captions.time_base
        made = SubtitleSet.create(text=b"0,0,Default,,0,0,0,,Hello.", start=0, end=int(end * ticks), pts=0)
        packet = captions.codec_context.encode_subtitle(made)
        packet.stream, packet.time_base = captions, captions.time_base
        container.mux(packet)
        for packet in film.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                container.mux(packet)
    return path


def cut(path: Path, share: float = 0.6) -> Path:
    """Write the beginning of a file to another file."""
    made = path.with_name(f"cut_{path.name}")
    made.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return made


def without_durations(path: Path) -> Path:
    """Rename the tags of a Matroska file that give the end of each track, which not all programs write."""
    data = path.read_bytes()
    assert b"DURATION" in data
    path.write_bytes(data.replace(b"DURATION", b"DURATIAN"))
    return path


def check_length(path: Path, seconds: float, *, known: bool = True) -> None:
    """Check the length by every way of reading, and that nothing is said to be missing."""
    playback = Playback(path, rate=RATE, fps=2.0)
    if known:
        assert playback.duration == pytest.approx(seconds, abs=0.25)
    sound = np.concatenate([p.samples for p in playback.pieces() if isinstance(p, PlayedSound)])
    assert playback.duration == pytest.approx(seconds, abs=0.25)
    assert len(sound) / RATE == pytest.approx(seconds, abs=0.25)
    info, media = probe(path), read_media(path, rate=RATE, fps=2.0)
    assert media.duration == pytest.approx(seconds, abs=0.25)
    if known:
        assert info.duration == pytest.approx(seconds, abs=0.25)
    windows = list(iter_media(path, window=1.0, rate=RATE, fps=2.0))
    assert sum(w.duration for w in windows) == pytest.approx(seconds, abs=0.25)
    assert [*playback.problems, *info.problems, *media.problems, *windows[-1].problems] == []
    part = read_media(path, rate=RATE, start=1.2, end=1.9)
    assert (part.duration, part.problems) == (pytest.approx(0.7), [])
    np.testing.assert_allclose(part.audio, sound[round(1.2 * RATE) : round(1.9 * RATE)], atol=0.02)


def check_cut_off(path: Path) -> None:
    """Check that every way of reading says that the end is missing."""
    playback = Playback(path, rate=RATE, fps=2.0)
    list(playback.pieces())
    for problems in (playback.problems, probe(path).problems, read_media(path, rate=RATE, fps=2.0).problems):
        assert any("the file is cut off" in note for note in problems)


@pytest.mark.parametrize(
    ("ending", "codec"), [("mp4", "mov_text"), ("mov", "mov_text"), ("mkv", "subrip"), ("mkv", "ass")]
)
@pytest.mark.parametrize("end", [3.6, 9.0])
def test_a_caption_that_outlasts_the_film_does_not_lengthen_it(
    tmp_path: Path, ending: str, codec: str, end: float
) -> None:
    film = write(tmp_path / "film.mp4", stamps=grid(75), audio=tone(3.0))
    path = captioned(film, tmp_path / f"captions.{ending}", codec, end)
    check_length(path, 3.0)
    if ending == "mkv":
        check_cut_off(cut(path))
        check_length(without_durations(path), 3.0)


@pytest.mark.parametrize("tagged", [True, False])
def test_a_long_film_with_a_late_caption(tmp_path: Path, tagged: bool) -> None:
    film = write(tmp_path / "film.mp4", stamps=grid(120, 1.0), audio=tone(120.0, 8000), rate=8000)
    path = captioned(film, tmp_path / "captions.mkv", "subrip", 150.0)
    if tagged:
        check_cut_off(cut(path))
    else:
        without_durations(path)
    check_length(path, 120.0, known=tagged)


def with_duration(path: Path, seconds: float) -> Path:
    """Change the duration in the header of a Matroska file."""
    data = bytearray(path.read_bytes())
    at = data.index(b"\x44\x89\x88") + 3
    data[at : at + 8] = struct.pack(">d", 1000 * seconds)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("begins", [100.0, 0.9, -1.5])
@pytest.mark.parametrize("ending", ["mkv", "webm"])
def test_a_clock_that_does_not_begin_at_0(tmp_path: Path, ending: str, begins: float) -> None:
    noise = np.random.default_rng(0)
    path = write(
        tmp_path / f"film.{ending}",
        stamps=[begins + t for t in grid(75)],
        frames=[noise.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(75)],
        audio=tone(3.0, 48000),
        audio_at=begins,
        rate=48000,
        video_codec="libx264" if ending == "mkv" else "libvpx",
        audio_codec="aac" if ending == "mkv" else "libopus",
        options={"avoid_negative_ts": "disabled"},
    )
    with av.open(str(path)) as container:
        assert container.start_time / av.time_base == pytest.approx(begins, abs=0.1)
        assert container.duration / av.time_base == pytest.approx(begins + 3.0, abs=0.1)  # FFmpeg writes the end
    check_length(path, 3.0)
    if begins > 0:
        check_cut_off(cut(path))
        check_length(with_duration(path, 3.0), 3.0)  # as mkvmerge does


def test_a_long_film_whose_clock_does_not_begin_at_0(tmp_path: Path) -> None:
    path = write(
        tmp_path / "film.mkv",
        stamps=[50 + t for t in grid(120, 1.0)],
        audio=tone(120.0, 8000),
        audio_at=50.0,
        rate=8000,
    )
    check_length(path, 120.0)
    check_cut_off(cut(path))


def test_a_cut_off_file_whose_clock_begins_below_0_is_read_as_far_as_it_can_be(tmp_path: Path) -> None:
    path = write(
        tmp_path / "film.mkv",
        stamps=[t - 1.5 for t in grid(75)],
        frames=[picture(i) for i in range(75)],
        audio=tone(3.0),
        audio_at=-1.5,
        options={"avoid_negative_ts": "disabled"},
    )
    check_cut_off(cut(path))
    assert read_media(cut(path), rate=RATE, start=1.2).duration == pytest.approx(0.66, abs=0.1)
    with pytest.raises(MediaError, match=r"nothing could be decoded from 1\.20 s on .*; the file is cut off"):
        read_media(cut(path, 0.3), rate=RATE, start=1.2)


def test_a_film_does_not_keep_its_pictures_until_the_next_garbage_collection(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", stamps=grid(50), frames=[picture(n) for n in range(50)])
    gc.collect()
    gc.disable()
    try:
        for piece in Playback(film, rate=None, fps=25.0).pieces():
            assert isinstance(piece, PlayedFrame)
            piece.frame.rgb(32)
        frames = read_media(film, fps=25.0).frames
        del piece
        kept = sum(type(entry) is av.VideoFrame for entry in gc.get_objects())
    finally:
        gc.enable()
    assert frames is not None
    assert len(frames) == 50
    assert kept < 10
