"""Files of several joined recordings: the start of each, and the length of the file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from multiemo.media.reading import Playback, PlayedFrame, PlayedSound, probe, read_media
from tests.support.heard_sounds import RATE, heard
from tests.support.media_files import grid, tone, write


def pitch(sound: np.ndarray) -> float:
    """Return the strongest frequency, Hz."""
    return float(np.abs(np.fft.rfft(sound * np.hanning(len(sound)))).argmax()) * RATE / len(sound)


JOINED = [
    ("flac", "flac", None), ("opus", "libopus", None), ("webm", "libopus", None), ("mka", "flac", None),
    ("mp3", "libmp3lame", None), ("aac", "aac", None), ("ts", "aac", None), ("ac3", "ac3", None),
    ("au", "pcm_s16be", None), ("webm", "libopus", "libvpx"), ("mkv", "flac", "libx264"),
    ("ts", "aac", "libx264"), ("mpg", "mp2", "mpeg4"), ("avi", "libmp3lame", "mpeg4"),
]  # fmt: skip


@pytest.mark.parametrize(("ending", "codec", "video"), JOINED)
def test_what_was_joined_is_read_to_its_end(tmp_path: Path, ending: str, codec: str, video: str | None) -> None:
    """Concatenate two recordings to one file, as ``cat`` does: the clock restarts in the middle."""
    parts = []
    for number, hz in enumerate((300.0, 900.0)):
        how = {"stamps": grid(25 + 25 * number), "video_codec": video} if video else {}
        part = tmp_path / f"part{number}.{ending}"
        write(part, audio=tone(1.0 + number, 48000, hz), audio_codec=codec, rate=48000, **how)
        parts.append(part.read_bytes())
    path = tmp_path / f"joined.{ending}"
    path.write_bytes(b"".join(parts))
    playback = Playback(path, rate=RATE, fps=12.5 if video else None)
    assert playback.duration == pytest.approx(3.0, abs=0.25)
    pieces = list(playback.pieces())
    sound = np.concatenate([p.samples for p in pieces if isinstance(p, PlayedSound)])
    assert len(sound) / RATE == pytest.approx(3.0, abs=0.2)
    assert pitch(sound[: RATE // 2]) == pytest.approx(300, abs=3)
    assert pitch(sound[-RATE:]) == pytest.approx(900, abs=3)
    assert pitch(sound[round(1.3 * RATE) : 2 * RATE]) == pytest.approx(900, abs=3)
    if video:
        shown = [p.time for p in pieces if isinstance(p, PlayedFrame)]
        assert len(shown) == pytest.approx(37, abs=2)
        assert shown == sorted(shown)
        assert shown[-1] == pytest.approx(2.95, abs=0.2)
    assert not any("broken" in note or "cut off" in note for note in playback.problems)
    assert probe(path).duration == pytest.approx(3.0, abs=0.25)
    if ending not in ("mp3", "aac", "ac3", "au", "avi"):  # formats without a clock
        assert any("2 recordings were joined" in note for note in playback.problems)
        assert any("2 recordings were joined" in note for note in probe(path).problems)
    span = read_media(path, rate=RATE, fps=5 if video else None, start=1.6, end=2.4)
    assert span.audio is not None
    assert len(span.audio) == round(0.8 * RATE)
    assert pitch(span.audio) == pytest.approx(900, abs=3)
    assert len(span.times) == (4 if video else 0)


@pytest.mark.parametrize("ending", ["wav", "aiff", "mp4", "m4a"])
def test_another_recording_behind_the_only_one_is_said_to_be_there(tmp_path: Path, ending: str) -> None:
    codec = {"wav": "pcm_s16le", "aiff": "pcm_s16be"}.get(ending, "aac")
    one = write(tmp_path / f"one.{ending}", audio=tone(1.0), audio_codec=codec)
    path = tmp_path / f"joined.{ending}"
    path.write_bytes(one.read_bytes() * 2)
    playback = Playback(path, rate=RATE, fps=None)
    playback.close()
    for problems in (read_media(path, rate=RATE).problems, probe(path).problems, playback.problems):
        assert any(f"another recording begins at byte {one.stat().st_size} of" in note for note in problems)
    assert read_media(one, rate=RATE).problems == []


def test_three_recordings_and_a_clock_that_goes_on_later(tmp_path: Path) -> None:
    parts = []
    for number, (hz, begins) in enumerate(((300.0, 0.0), (600.0, 5000.0), (900.0, 70.0))):
        part = tmp_path / f"part{number}.ts"
        write(part, stamps=[begins + t for t in grid(25)], audio=tone(1.0, 48000, hz), audio_at=begins, rate=48000)
        parts.append(part.read_bytes())
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    sound = heard(path)
    assert len(sound) / RATE == pytest.approx(3.0, abs=0.3)
    for number, hz in enumerate((300, 600, 900)):
        middle = round((number * len(sound) / RATE / 3 + 0.3) * RATE)
        assert pitch(sound[middle : middle + RATE // 3]) == pytest.approx(hz, abs=5)
    assert "3 recordings were joined" in read_media(path, rate=RATE).problems[-1]


def test_joined_recordings_of_several_rates_that_ffmpeg_does_not_read_are_said_to_be_there(tmp_path: Path) -> None:
    data = b""
    for rate in (44100, 22050):
        part = tmp_path / f"{rate}.ogg"
        with av.open(str(part), "w") as container:
            stream = container.add_stream("vorbis", rate=rate, layout="stereo")
            stream.codec_context.options = {"strict": "experimental"}
            sound = np.tile(tone(1.0, rate), (2, 1))
            for start in range(0, rate, 64):
                frame = av.AudioFrame.from_ndarray(sound[:, start : start + 64].copy(), format="fltp", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        data += part.read_bytes()
    path = tmp_path / "joined.ogg"
    path.write_bytes(data)
    (note,) = read_media(path, rate=RATE).problems
    assert "reading stopped after 1.0" in note
    assert "the next joined recording has another sample rate or channel count; split the file there" in note


def test_a_track_of_pictures_that_jumps_back_alone_is_no_join(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mkv", stamps=[0.0, 0.04, 0.08, 1.0, 1.9, 2.0, 2.04, 3.5], audio=tone(3.6))
    assert probe(film).duration == pytest.approx(3.6, abs=0.1)
    assert read_media(film, rate=RATE, fps=1).problems == []


def test_a_recording_whose_header_does_not_tell_its_end_is_measured(tmp_path: Path) -> None:
    path = write(tmp_path / "live.webm", audio=tone(2.0, 48000), audio_codec="libopus", rate=48000,
                 options={"live": "1"})  # fmt: skip
    with av.open(str(path)) as container:
        assert container.duration is None
    assert Playback(path, rate=RATE, fps=None).duration == pytest.approx(2.0, abs=0.05)
    assert probe(path).duration == pytest.approx(2.0, abs=0.05)
