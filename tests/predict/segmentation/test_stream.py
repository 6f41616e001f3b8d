"""The words of segments that a recogniser hears."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from multiemo.arrays import Floats
from multiemo.predict.segmentation.segmenter import Mode
from multiemo.predict.segmentation.stream import Segment, SegmentStream
from multiemo.transcripts import Cue, Transcript

RATE = 16000


def heard(samples: Floats, start: float) -> Transcript:
    """One word for each full second that is heard, named after it."""
    end = start + len(samples) / RATE
    cues = [Cue(float(n), n + 0.9, f"w{n}", "A") for n in range(100) if start <= n and n + 0.9 <= end]
    return Transcript.of(cues, "ears", language="en")


def segments_of(mode: Mode, seconds: int, hop: float | None = None, cues: tuple[Cue, ...] = ()) -> list[Segment]:
    found: list[Segment] = []
    stream = SegmentStream({}, mode=mode, window=4.0, hop=hop, rate=RATE, audio=True, video=False, transcribe=heard)
    with stream:
        stream.push_cues(cues)
        for _ in range(seconds):
            found += stream.push_audio(np.zeros(RATE, np.float32))
        return found + stream.close()


@given(hop=st.sampled_from([None, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0]), seconds=st.integers(1, 14))
def test_every_window_has_the_words_heard_in_it_once(hop: float | None, seconds: int) -> None:
    segments = segments_of("windows", seconds, hop)
    for segment in segments:
        words = [f"w{n}" for n in range(100) if segment.start <= n and n + 0.9 <= segment.end]
        assert segment.text == (" ".join(words) or None)
        assert segment.speaker == ("A" if words else None)
    assert {w for s in segments for w in (s.text or "").split()} == {f"w{n}" for n in range(seconds)} or hop == 0.5


def test_words_that_were_pushed_stand_between_those_that_were_heard() -> None:
    segments = segments_of("windows", 8, 2.0, (Cue(2.95, 3.0, "pushed"), Cue(7.95, 8.0, "last")))
    assert [segment.text for segment in segments] == [
        "w0 w1 w2 pushed w3", "w2 pushed w3 w4 w5", "w4 w5 w6 w7 last",
    ]  # fmt: skip
