"""Who speaks when on the channels of a call, and how the speakers get on: overlaps, interruptions, silences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from multiemo.data.media import iter_media
from multiemo.voice_activity import RATE, STEP, VoiceActivity

Floats: TypeAlias = NDArray[np.float32]
#: Start and end, seconds.
Span: TypeAlias = tuple[float, float]

#: Probabilities of a voice at which a stretch of speech begins and ends, as silero-vad has them.
_ENTER, _LEAVE = 0.5, 0.35
#: Seconds: shorter gaps do not part two stretches; shorter stretches are none.
_GAP, _SHORTEST = 0.3, 0.25
#: A channel this much (dB) below the other while both hold a voice holds the other's, by crosstalk.
_CROSSTALK = 20.0
#: Seconds of common speech that are an overlap, and of common silence that count.
OVERLAP, SILENCE = 0.3, 2.0
#: Share of the energy in the difference of two channels below which they are the same sound.
_SAME = 1e-3
#: Seconds that are read at a time; whole steps of the voice network.
_BLOCK = 320 * STEP / RATE
#: Steps over which a level is averaged.
_AROUND = 7


@dataclass(slots=True)
class Talk:
    """What is heard on the channels of a call.

    Args:
        spans: for each speaker the stretches of speech, in order.
        loudest: for each channel its level in the loudest 32 ms, dB of full scale.
        duration: seconds.
        same: two channels hold the same sound, so there is one trajectory.
        problems: what went wrong while reading.
    """

    spans: list[list[Span]]
    loudest: list[float]
    duration: float
    same: bool
    problems: list[str]


def blocks(path: Path, channel: int | None, rate: int = RATE) -> Iterator[tuple[Floats, list[str]]]:
    """The sound of one channel, or the mix, piece by piece without gaps, and what went wrong at the end.

    Raises:
        MediaError: the file cannot be read.
    """
    for media in iter_media(path, window=_BLOCK, rate=rate, channel=channel):
        count = round(media.duration * rate)
        samples = np.zeros(count, np.float32)
        if media.audio is not None:
            samples[: len(media.audio)] = media.audio[:count]
        yield samples, media.problems


def listen(path: Path, channels: int) -> Talk:
    """Find the speech on each channel.

    Args:
        path: a file with sound.
        channels: 2: each is a speaker; 1: the mix is.

    Raises:
        MediaError: the file cannot be read.
    """
    wanted = [None] if channels == 1 else list(range(channels))
    networks = [VoiceActivity() for _ in wanted]
    voices: list[list[Floats]] = [[] for _ in wanted]
    powers: list[list[NDArray[np.float64]]] = [[] for _ in wanted]
    problems: list[str] = []
    read, difference, energy = 0, 0.0, 0.0
    for pieces in zip(*[blocks(path, c) for c in wanted], strict=True):
        sounds = [samples for samples, _ in pieces]
        problems += [p for _, found in pieces for p in found if p not in problems]
        read += len(sounds[0])
        for i, sound in enumerate(sounds):
            voices[i].append(networks[i](sound))
            steps = np.pad(sound, (0, -len(sound) % STEP)).reshape(-1, STEP)
            powers[i].append(np.square(steps, dtype=np.float64).mean(1))
        energy += sum(float(np.square(s, dtype=np.float64).sum()) for s in sounds)
        difference += float(np.square(sounds[0] - sounds[-1], dtype=np.float64).sum())
    for network, voice in zip(networks, voices, strict=True):
        voice.append(network.flush())
    heard = [np.concatenate(v) for v in voices]
    power = [np.concatenate(p) for p in powers]
    same = len(wanted) > 1 and difference < _SAME * energy
    loudest = [float(_level(p.max(initial=0.0))) for p in power]
    if not same and len(wanted) == 2:
        heard = _without_crosstalk(heard, power)
    spans = [_stretches(h) for h in (heard[:1] if same else heard)]
    return Talk(spans, loudest, read / RATE, same, problems)


def _level(power: Any) -> Any:
    """dB of full scale."""
    return 10 * np.log10(power + 1e-10)


def _without_crosstalk(voices: Sequence[Floats], powers: Sequence[NDArray[np.float64]]) -> list[Floats]:
    """Two channels, each without the voice that comes over from the other."""
    count = min(len(voices[0]), len(voices[1]), len(powers[0]))
    flat = np.ones(_AROUND) / _AROUND
    smooth = [_level(np.convolve(power[:count], flat, mode="same")) for power in powers]
    kept = []
    for own, other in ((0, 1), (1, 0)):
        leaked = (voices[other][:count] >= _LEAVE) & (smooth[own] < smooth[other] - _CROSSTALK)
        kept.append(np.where(leaked, np.float32(0), voices[own][:count]))
    return kept


def _stretches(voice: Floats) -> list[Span]:
    """Probabilities of a voice to stretches of speech."""
    found: list[Span] = []
    begun: int | None = None
    for i, level in enumerate([*voice.tolist(), 0.0]):
        if begun is None and level >= _ENTER:
            begun = i
        elif begun is not None and level < _LEAVE:
            start, end = begun * STEP / RATE, i * STEP / RATE
            begun = None
            if found and start - found[-1][1] < _GAP:
                start = found.pop()[0]
            found.append((start, end))
    return [(start, end) for start, end in found if end - start >= _SHORTEST]


def seconds(spans: Iterable[Span], start: float = 0.0, end: float = np.inf) -> float:
    """How much of a time the stretches cover.

    Example:
        >>> seconds([(0.0, 2.0), (3.0, 5.0)], 1.0, 4.0)
        2.0
    """
    return sum(max(0.0, min(b, end) - max(a, start)) for a, b in spans)


def overlaps(first: Sequence[Span], second: Sequence[Span]) -> list[Span]:
    """Where both speak, for at least ``OVERLAP`` seconds.

    Example:
        >>> overlaps([(0.0, 2.0), (5.0, 6.0)], [(1.0, 5.1)])
        [(1.0, 2.0)]
    """
    both = [(max(a, c), min(b, d)) for a, b in first for c, d in second]
    return [(start, end) for start, end in both if end - start >= OVERLAP]


def interruptions(speaker: Sequence[Span], other: Sequence[Span]) -> list[float]:
    """When a speaker begins while the other speaks, for at least ``OVERLAP`` seconds, and the other stops first.

    Example:
        >>> interruptions([(1.0, 4.0)], [(0.0, 2.0), (3.0, 3.5)]), interruptions([(1.0, 1.6)], [(0.0, 2.0)])
        ([1.0], [])
    """
    return [start for start, end in speaker for a, b in other if a < start and start + OVERLAP <= b < end]


def silences(spans: Iterable[Span]) -> list[Span]:
    """Where nobody speaks for at least ``SILENCE`` seconds, between the first word of the call and the last.

    Example:
        >>> silences([(0.0, 1.0), (4.0, 5.0), (0.5, 1.5)])
        [(1.5, 4.0)]
    """
    found: list[Span] = []
    reached: float | None = None
    for start, end in sorted(spans):
        if reached is not None and start - reached >= SILENCE:
            found.append((reached, start))
        reached = end if reached is None else max(reached, end)
    return found
