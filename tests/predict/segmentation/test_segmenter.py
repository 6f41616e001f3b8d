"""Spans tile the media, whatever comes in and in whatever blocks, and come out in time."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from multiemo.errors import ConfigError, MediaError
from multiemo.media.reading import read_media
from multiemo.predict.segmentation.segmenter import Mode, Segmenter, Span
from multiemo.predict.segmentation.turns import ENTER, LEAVE, MIN_PAUSE, PAD
from multiemo.voice_activity import RATE, STEP, VoiceActivity

Floats = NDArray[np.float32]
SECOND = RATE / STEP  # steps


class Told:
    """A voice network that is told its answers: a step's probability is its largest sample."""

    def __init__(self) -> None:
        self.kept: Floats = np.zeros(0, np.float32)

    def __call__(self, samples: Floats) -> Floats:
        sound = np.concatenate([self.kept, samples])
        steps = len(sound) // STEP
        self.kept = sound[steps * STEP :].copy()
        return sound[: steps * STEP].reshape(steps, STEP).max(axis=1)

    def flush(self) -> Floats:
        return np.array([self.kept.max()], np.float32) if len(self.kept) else self.kept


def sound_of(runs: Iterable[tuple[float, float]]) -> Floats:
    """Sound for :class:`Told` from (probability, seconds) runs; a run is a whole number of steps."""
    return np.concatenate([np.zeros(0), *(np.full(round(s * SECOND) * STEP, p) for p, s in runs)]).astype(np.float32)


def spans_of(
    samples: Floats, *, window: float = 4.0, blocks: Sequence[int] = (), duration: float | None = None
) -> list[Span]:
    """Spans of ``speech`` from sound in blocks of these sizes, over and over; the look-ahead is checked on the way."""
    segmenter = Segmenter("speech", window=window, voice=Told())
    found: list[Span] = []
    sizes = itertools.cycle(blocks or (len(samples),))
    first = 0
    while first < len(samples):
        last = first + next(sizes)
        found += segmenter.audio(samples[first:last])
        first = min(last, len(samples))
        assert first / RATE - (found[-1].end if found else 0.0) <= segmenter.look_ahead
    return found + segmenter.close(len(samples) / RATE if duration is None else duration)


def tiles(spans: Sequence[Span], duration: float) -> bool:
    edges = [0.0, *(s.end for s in spans)]
    return [s.start for s in spans] == edges[:-1] and edges[-1] == duration and all(s.end > s.start for s in spans)


#: Voices, silences, and what lies between the two thresholds, with lengths around every limit.
runs = st.lists(
    st.tuples(
        st.sampled_from((0.02, 0.2, 0.4, 0.6, 0.97)),
        st.one_of(st.floats(0.04, 0.6), st.floats(0.1, 2.5), st.floats(3.0, 20.0)),
    ),
    max_size=14,
)
windows = st.sampled_from((0.5, 1.0, 4.0, 7.3))


# --------------------------------------------------------------------------------------------------------------------
# Turns and pauses


@settings(deadline=None, max_examples=150)
@given(runs, windows, st.integers(0, STEP - 1), st.floats(0.0, 30.0))
def test_spans_tile_the_media(told: list[tuple[float, float]], window: float, odd: int, longer: float) -> None:
    samples = np.concatenate([sound_of(told), np.full(odd, 0.6, np.float32)])
    duration = len(samples) / RATE + longer
    spans = spans_of(samples, window=window, duration=duration, blocks=(1600,))
    floor = min(MIN_PAUSE, window / 2)
    if duration == 0:
        assert spans == [Span(0.0, 0.0, "pause")]
        return
    assert tiles(spans, duration)
    assert {s.kind for s in spans} <= {"speech", "pause"}
    slack = 2 * STEP / RATE
    for span in spans:
        length = span.end - span.start
        if span.kind == "pause":
            assert length <= window + 1e-9
            assert length >= floor - slack or len(spans) == 1
        else:
            assert 0.25 < length <= 1.5 * window + floor + slack


@settings(deadline=None, max_examples=60)
@given(runs, windows, st.lists(st.integers(1, 60_000), min_size=1, max_size=6))
def test_blocks_of_any_size_give_the_same_spans(
    told: list[tuple[float, float]], window: float, blocks: list[int]
) -> None:
    samples = sound_of(told)
    blocks.append(9_000)
    assert spans_of(samples, window=window, blocks=blocks) == spans_of(samples, window=window)


def turns_by_silero(levels: Floats) -> list[tuple[float, float]]:
    """Turns, seconds, by the package's own rule, unpadded."""
    from silero_vad import get_speech_timestamps_from_probs

    found = get_speech_timestamps_from_probs(levels.tolist(), min_silence_duration_ms=500, speech_pad_ms=0)
    return [(turn["start"] / RATE, turn["end"] / RATE) for turn in found]


def spans_by_hand(turns: Sequence[tuple[float, float]], end: float) -> list[Span]:
    """Short pauses shared, long ones kept: with all turns at hand, and without pieces."""
    spans: list[Span] = []
    start = 0.0
    for k, (low, high) in enumerate(turns):
        before = turns[k - 1][1] if k else 0.0
        if low - before >= MIN_PAUSE + (2 if k else 1) * PAD:
            spans.append(Span(start, low - PAD, "pause"))
            start = low - PAD
        elif k:
            middle = (before + low) / 2
            spans.append(Span(start, middle, "speech"))
            start = middle
        after = turns[k + 1][0] if k + 1 < len(turns) else end
        if after - high >= MIN_PAUSE + (2 if k + 1 < len(turns) else 1) * PAD:
            spans.append(Span(start, high + PAD, "speech"))
            start = high + PAD
    return [*spans, Span(start, end, "speech" if turns and start <= turns[-1][0] else "pause")]


def close_to(spans: Sequence[Span], expected: Sequence[Span]) -> None:
    assert [s.kind for s in spans] == [s.kind for s in expected]
    np.testing.assert_allclose([s.end for s in spans], [s.end for s in expected], atol=1.01 / RATE)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.sampled_from((0.02, 0.2, 0.6, 0.97)), st.floats(0.04, 3.0)), max_size=14))
def test_turns_are_those_of_silero(told: list[tuple[float, float]]) -> None:
    samples = sound_of([*told, (0.0, 0.6)])
    turns = turns_by_silero(samples[::STEP])
    close_to(spans_of(samples, window=100.0), spans_by_hand(turns, len(samples) / RATE))


def test_turns_of_real_speech_are_those_of_silero(real_data: Path) -> None:
    takes = sorted((real_data / "ravdess" / "Actor_05").glob("*.flac"))[:6]
    found = [read_media(take, rate=RATE).audio for take in takes]
    samples = np.concatenate([audio for audio in found if audio is not None])
    segmenter = Segmenter("speech", window=100.0)
    spans = segmenter.audio(samples) + segmenter.close(len(samples) / RATE)
    network = VoiceActivity()
    turns = turns_by_silero(np.concatenate([network(samples), network.flush()]))
    assert len(turns) >= 6
    close_to(spans, spans_by_hand(turns, len(samples) / RATE))


def test_a_turn_between_pauses() -> None:
    spans = spans_of(sound_of([(0.1, 3.2), (0.9, 1.92), (0.1, 2.56)]))
    expected = [Span(0.0, 3.2 - PAD, "pause"), Span(3.2 - PAD, 5.12 + PAD, "speech"), Span(5.12 + PAD, 7.68, "pause")]
    assert spans == [Span(pytest.approx(s.start), pytest.approx(s.end), s.kind) for s in expected]


def test_short_pauses_are_shared_and_blips_are_none() -> None:
    spans = spans_of(sound_of([(0.1, 0.64), (0.9, 1.6), (0.1, 0.8), (0.9, 1.6), (0.1, 0.64)]))
    assert spans == [Span(0.0, 2.64, "speech"), Span(2.64, 5.28, "speech")]
    nearly_long = spans_of(sound_of([(0.9, 1.6), (0.1, 1.024), (0.9, 1.6)]))
    assert nearly_long == [Span(0.0, 2.112, "speech"), Span(2.112, 4.224, "speech")]
    assert [s.kind for s in spans_of(sound_of([(0.1, 1.6), (0.9, 0.224), (0.1, 1.6)]))] == ["pause"]
    assert [s.kind for s in spans_of(sound_of([(0.1, 1.6), (0.9, 0.32), (0.1, 1.6)]))] == ["pause", "speech", "pause"]


def test_a_dip_between_the_thresholds_does_not_end_a_turn() -> None:
    between = (ENTER + LEAVE) / 2
    assert len(spans_of(sound_of([(0.9, 1.6), (between, 2.0), (0.9, 1.6)]))) == 1
    assert len(spans_of(sound_of([(0.9, 1.6), (0.1, 0.2), (between, 2.0), (0.9, 1.6)]))) == 3


def test_long_turns_are_cut_where_the_voice_is_weakest() -> None:
    told = [(0.95, 3.2), (0.4, 0.32), (0.95, 1.6), (0.6, 0.32), (0.95, 3.2)]
    spans = spans_of(sound_of([*told, (0.0, 2.0)]), window=4.0)
    assert [s.kind for s in spans] == ["speech", "speech", "pause"]
    assert spans[0].end == pytest.approx(3.36, abs=0.16)
    even = spans_of(sound_of([(0.9, 40.0)]), window=4.0)
    assert tiles(even, len(sound_of([(0.9, 40.0)])) / RATE)
    assert all(2.0 <= s.end - s.start <= 6.0 for s in even)
    assert [s.end - s.start for s in even[:-2]] == pytest.approx([4.0] * (len(even) - 2), abs=STEP / RATE)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from((0.4, 0.55, 0.7, 0.97)), st.floats(0.1, 6.0)), min_size=1), windows)
def test_no_part_of_a_long_turn_is_short(told: list[tuple[float, float]], window: float) -> None:
    spans = spans_of(sound_of([(0.97, 0.4), *told, (0.97, 0.4)]), window=window, blocks=(512,))
    assert all(s.kind == "speech" for s in spans)
    assert len(spans) == 1 or min(s.end - s.start for s in spans) >= window / 2
    assert max(s.end - s.start for s in spans) <= 1.5 * window + STEP / RATE


def test_long_pauses_come_in_pieces_as_they_go_on() -> None:
    segmenter = Segmenter("speech", window=4.0, voice=Told())
    assert segmenter.audio(np.zeros(round(5.1 * RATE), np.float32)) == [Span(0.0, 4.0, "pause")]
    rest = segmenter.close(9.0)
    assert rest == [Span(4.0, 6.5, "pause"), Span(6.5, 9.0, "pause")]


@pytest.mark.parametrize("kind", ["noise", "chords", "clicks", "silence"])
def test_music_and_noise_are_pauses(kind: str) -> None:
    rng = np.random.default_rng(1)
    t = np.arange(12 * RATE) / RATE
    sounds = {
        "noise": 0.1 * rng.standard_normal(len(t)),
        "chords": 0.1 * sum(np.sin(2 * np.pi * f * t * 2 ** (np.floor(t) / 12)) for f in (262, 330, 392, 523)),
        "clicks": np.where(np.arange(len(t)) % 8000 < 40, 0.8, 0.0),
        "silence": np.zeros(len(t)),
    }
    segmenter = Segmenter("speech")
    spans = segmenter.audio(np.asarray(sounds[kind], dtype=np.float32)) + segmenter.close(12.0)
    assert tiles(spans, 12.0)
    assert {s.kind for s in spans} == {"pause"}


# --------------------------------------------------------------------------------------------------------------------
# Clocks


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.floats(0.001, 9.0), max_size=12), st.floats(0.0, 9.0), st.sampled_from(("whole", "speech", "windows"))
)
def test_media_without_sound_has_a_clock(steps: list[float], rest: float, mode: Mode) -> None:
    segmenter = Segmenter(mode, window=2.0)
    found: list[Span] = []
    time = 0.0
    for step in steps:
        time += step
        found += segmenter.advance(time)
        assert time - (found[-1].end if found else 0.0) <= segmenter.look_ahead + 1 / RATE
    found += segmenter.close(time + rest)
    assert tiles(found, time + rest) or found == [Span(0.0, time + rest, found[0].kind)]
    other = Segmenter(mode, window=2.0)
    at_once = other.close(time + rest)
    assert [s.kind for s in found] == [s.kind for s in at_once]
    np.testing.assert_allclose([s.end for s in found], [s.end for s in at_once], atol=2 / RATE)


def test_sound_that_begins_late_stands_at_its_time() -> None:
    told = sound_of([(0.9, 1.92), (0.0, 3.2)])
    late, filled = (Segmenter("speech", voice=Told()) for _ in range(2))
    found = late.advance(1.0) + late.advance(2.003125)
    found += late.audio(told[:5000]) + late.audio(told[5000:]) + late.close(7.5)
    silence = np.zeros(round(2.003125 * RATE), np.float32)
    assert found == filled.audio(silence) + filled.audio(told) + filled.close(7.5)
    assert [s.kind for s in found] == ["pause", "speech", "pause"]
    assert found[1].start == pytest.approx(2.003125, abs=2 * STEP / RATE)


def test_gaps_count_as_silence_and_a_clock_behind_the_sound_is_ignored() -> None:
    told = sound_of([(0.9, 1.6)])
    gap, filled = (Segmenter("speech", voice=Told()) for _ in range(2))
    found = gap.audio(told) + gap.advance(0.5) + gap.advance(4.8) + gap.audio(told) + gap.close(6.4)
    assert found == filled.audio(np.concatenate([told, np.zeros(round(3.2 * RATE), np.float32), told])) + filled.close(
        6
    )
    assert [s.kind for s in found] == ["speech", "pause", "speech"]


def test_sound_beyond_the_stated_end_is_not_lost() -> None:
    segmenter = Segmenter("windows", window=2.0)
    assert segmenter.audio(np.zeros(5 * RATE, np.float32))[-1].end == 4.0
    assert segmenter.close(1.0) == [Span(4.0, 5.0, "window")]


@pytest.mark.parametrize("duration", [0.0, 1e-9, 1 / 3, 2.0000001, 7.00003, 123.456789])
@pytest.mark.parametrize("mode", ["whole", "speech", "windows"])
def test_the_last_span_ends_exactly_with_the_media(mode: Mode, duration: float) -> None:
    segmenter = Segmenter(mode)
    found = segmenter.advance(duration) + segmenter.close(duration)
    assert found[-1].end == duration
    segmenter = Segmenter(mode)
    found = segmenter.audio(np.zeros(int(duration * RATE), np.float32)) + segmenter.close(duration)
    assert found[-1].end == duration


# --------------------------------------------------------------------------------------------------------------------
# Windows, and the whole


@settings(deadline=None, max_examples=60)
@given(st.floats(0.5, 6.0), st.floats(0.05, 1.0), st.floats(0.0, 40.0), st.integers(1, 50_000))
def test_windows_cover_the_media_at_every_hop(window: float, share: float, duration: float, block: int) -> None:
    hop = window * share
    segmenter = Segmenter("windows", window=window, hop=hop)
    found: list[Span] = []
    samples = np.zeros(int(duration * RATE), np.float32)
    for first in range(0, len(samples), block):
        found += segmenter.audio(samples[first : first + block])
        due = found[-1].start + hop if found else 0.0
        assert min(first + block, len(samples)) / RATE - due <= segmenter.look_ahead + 2 / RATE
    found += segmenter.close(duration)
    np.testing.assert_allclose([s.start for s in found], np.arange(len(found)) * hop, atol=0.5e-3 * (1 + len(found)))
    assert all(s.end - s.start == pytest.approx(window, abs=1e-4) for s in found[:-1])
    assert found[-1].end == duration
    assert len(found) == 1 or found[-1].end - found[-2].end >= hop / 2 - 1e-3
    assert found[-1].end - found[-1].start <= window + hop / 2 + 1e-3


def test_whole_is_one_span_and_waits_for_the_end() -> None:
    segmenter = Segmenter("whole")
    assert math.isinf(segmenter.look_ahead)
    assert segmenter.audio(np.ones(RATE * 30, np.float32)) == []
    assert segmenter.close(31.5) == [Span(0.0, 31.5, "whole")]


# --------------------------------------------------------------------------------------------------------------------
# Bounds


def test_an_even_voice_is_cut_once_the_rest_is_half_a_window() -> None:
    segmenter = Segmenter("speech", window=4.0, voice=Told())
    assert segmenter.audio(sound_of([(0.9, 5.9)])) == []
    assert segmenter.audio(sound_of([(0.9, 0.2)])) == [Span(0.0, 4.0, "speech")]


def test_the_documented_look_ahead() -> None:
    assert Segmenter("speech", window=4.0, voice=Told()).look_ahead == pytest.approx(8.564)
    assert Segmenter("windows", window=4.0, hop=1.0).look_ahead == 4.5
    decided = Segmenter("speech", window=4.0, voice=Told())
    assert decided.audio(sound_of([(0.9, 2.0), (0.0, 1.0)])) == []
    assert [s.kind for s in decided.audio(sound_of([(0.0, 0.1)]))] == ["speech"]


@pytest.mark.parametrize("told", [[(0.0, 9.0)], [(0.9, 9.0)], [(0.4, 9.0)], [(0.9, 0.2), (0.1, 0.1), (0.4, 9.0)],
                                  [(0.9, 1.0), (0.1, 0.6)], [(0.9, 0.1), (0.1, 0.3)]])  # fmt: skip
def test_memory_does_not_grow(told: list[tuple[float, float]]) -> None:
    segmenter, minute = Segmenter("speech", voice=Told()), np.resize(sound_of(told), 60 * RATE)
    sizes = []
    for _ in range(4):
        tracemalloc.start()
        for _ in range(4):
            segmenter.audio(minute)
        sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
    assert max(sizes) < 60_000  # bytes kept of four minutes of sound


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"mode": "turns"}, "'turns'"),
        ({"mode": "speech", "window": 0.1}, "window is 0.1"),
        ({"mode": "speech", "window": math.nan}, "window is nan"),
        ({"mode": "speech", "hop": 1.0}, "hop is 1.0"),
        ({"mode": "windows", "hop": 5.0}, "hop is 5.0"),
        ({"mode": "windows", "hop": 0.0}, "hop is 0.0"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Segmenter(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("time", [math.nan, math.inf])
def test_a_time_that_is_none_is_an_error(time: float) -> None:
    with pytest.raises(MediaError, match="not a number of seconds"):
        Segmenter("whole").advance(time)
    with pytest.raises(MediaError, match="not a number of seconds"):
        Segmenter("whole").close(time)
