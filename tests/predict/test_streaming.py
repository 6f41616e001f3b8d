"""A stream says what the file says, while it runs."""

from __future__ import annotations

import numpy as np
import pytest

from multiemo.errors import MediaError
from multiemo.media.reading import Playback, PlayedSound, read_media
from multiemo.predict.segmentation.stream import TRACK_FPS
from multiemo.transcripts import Cue
from tests.support.answers import spans
from tests.support.documents import check_record

#: Of the film, Hz.
RATE = 16000


def pieces(talk, seconds, rate=RATE):
    """The film as pieces of sound with the pictures that came before each ended."""
    playback = Playback(talk, rate=rate, fps=TRACK_FPS)
    heard, pictures = [], []
    for piece in playback.pieces():
        if isinstance(piece, PlayedSound):
            heard.append(piece.samples)
        else:
            pictures.append(piece)
    sound = np.concatenate(heard)
    step = round(seconds * rate)
    for start in range(0, len(sound), step):
        edge = (start + step) / rate
        yield sound[start : start + step], [p for p in pictures if p.time < edge]
        pictures = [p for p in pictures if p.time >= edge]
    yield np.zeros(0, np.float32), pictures


def stream_all(stream, talk, seconds):
    said, delays = [], []
    now = 0.0
    for sound, pictures in pieces(talk, seconds):
        for picture in pictures:
            said += stream.push(frame=picture.frame, time=picture.time)
        got = stream.push(audio=sound)
        now += len(sound) / RATE
        delays += [now - e["end"] for e in got]
        said += got
    return said + stream.close(), delays


@pytest.mark.parametrize("seconds", [0.05, 0.7, 6.0])
def test_a_stream_in_pieces_of_any_size_says_what_the_file_says(model, talk, entry, seconds):
    said, _ = stream_all(model.stream(), talk, seconds)
    whole = spans(entry)
    assert [(s["start"], s["kind"], s.get("label")) for s in said] == [
        (s["start"], s["kind"], s.get("label")) for s in whole
    ]
    for a, b in zip(said, whole, strict=True):
        if "probs" in b:
            assert a["probs"] == pytest.approx(b["probs"], abs=2e-3)
            assert a["smoothed"]["label"] == b["smoothed"]["label"]


def test_a_stream_answers_while_it_runs(model, talk):
    said, delays = [], []
    stream = model.stream(video=False)
    for n, (sound, _) in enumerate(pieces(talk, 0.25)):
        got = stream.push(audio=sound)
        said += got
        delays += [0.25 * (n + 1) - e["end"] for e in got]
    assert len(delays) >= 6
    said += stream.close()
    longest = max(s["end"] - s["start"] for s in said)
    assert max(delays) < 3 * longest + 2  # its own end, and the two segments that smoothing waits for


def test_a_stream_takes_words_and_another_rate(model, talk):
    sound = read_media(talk, rate=44100).audio
    assert sound is not None
    with model.stream(rate=44100, video=False) as stream:
        said = stream.push(words=[Cue(0.2, 1.0, "hello")])
        for start in range(0, len(sound), 4410):
            said += stream.push(audio=sound[start : start + 4410])
        said += stream.close()
    for segment in said:
        check_record(segment)
    assert said[0]["text"] == "hello"
    assert {"text", "speech"} <= set(said[0]["present"])
    assert all(s["absent"]["face"] == "there are no pictures" for s in said)


def test_a_stream_without_sound_goes_by_windows(model):
    face = np.full((96, 128, 3), 90, np.uint8)
    stream = model.stream(audio=False, window=2.0)
    said = [e for n in range(61) for e in stream.push(frame=face, time=n / 10)]
    said += stream.close()
    assert [s["end"] for s in said] == [2.0, 4.0, 6.0]
    assert all("no face found" in s["absent"]["face"] for s in said)


def test_memory_of_a_stream_is_bounded(model):
    rng = np.random.default_rng(0)
    stream = model.stream(video=False, segments="windows", window=1.0)
    sizes = []
    for _ in range(40):
        stream.push(audio=rng.normal(0, 0.1, RATE // 2).astype(np.float32))
        sizes.append(sum(map(len, stream._stream._sound._blocks)))
    assert max(sizes) <= 3 * RATE
    stream.close()


def test_what_a_stream_cannot_use_is_an_error_that_says_so(model):
    silence = np.zeros(1600, np.float32)
    with model.stream(video=False) as stream:
        with pytest.raises(MediaError, match="video=False"):
            stream.push(frame=np.zeros((4, 4, 3), np.uint8), time=0.0)
        with pytest.raises(MediaError, match=r"\[N\] floats"):
            stream.push(audio=np.zeros((2, 10), np.float32))
        with pytest.raises(MediaError, match=r"\[N\] floats"):
            stream.push(audio=np.zeros(10, np.int16))
        with pytest.raises(MediaError, match="not finite"):
            stream.push(audio=np.array([np.nan], np.float32))
    with pytest.raises(MediaError, match="is closed"):
        stream.push(audio=silence)
    with model.stream(audio=False) as stream:
        with pytest.raises(MediaError, match="audio=False"):
            stream.push(audio=silence)
        with pytest.raises(MediaError, match="needs its time"):
            stream.push(frame=np.zeros((4, 4, 3), np.uint8))
        with pytest.raises(MediaError, match=r"\[H, W, 3\] uint8"):
            stream.push(frame=np.zeros((4, 4), np.uint8), time=0.0)
        with pytest.raises(MediaError, match="times are seconds from the start"):
            stream.push(frame=np.zeros((4, 4, 3), np.uint8), time=1e9)
