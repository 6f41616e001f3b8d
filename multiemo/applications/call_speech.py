"""Who speaks when on the channels of a call, and how the speakers get on: overlaps, interruptions, silences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Floats
from multiemo.media.reading import iter_media
from multiemo.voice_activity import RATE, STEP, VoiceActivity

#: Start and end, seconds.
Stretch: TypeAlias = tuple[float, float]

#: Probabilities of a voice at which a stretch of speech begins and ends, as silero-vad has them.
_ENTER, _LEAVE = 0.5, 0.35
#: Seconds: shorter gaps do not part two stretches; shorter stretches are none.
_GAP, _SHORTEST = 0.3, 0.25
#: A channel this much (dB) below the other while both hold a voice holds the other's, by crosstalk; where the channels
#: are less than twice that apart, half of what they are.
_CROSSTALK = 20.0
#: Channels that are less apart (dB) and hold the same sound, if shifted, are no speaker each.
_APART = 12.0
#: Correlation above which they do, the seconds over which it is taken, and those by which they may be shifted.
_ALIKE, _PIECE, _SHIFT = 0.3, 1.0, 0.02
#: Shares of the moments with a voice whose differences in level stand for the two speakers.
_SIDES = (0.1, 0.9)
#: Seconds of common speech that are an overlap, and of common silence that count.
OVERLAP, SILENCE = 0.3, 2.0
#: Share of the energy in the difference of two channels below which they are the same sound.
_SAME = 1e-3
#: Seconds that are read at a time; whole steps of the voice network.
_BLOCK = 320 * STEP / RATE
#: Steps over which a level is averaged.
_AROUND = 7


@dataclass(slots=True)
class CallSpeech:
    """What is heard on the channels of a call.

    Args:
        spans: for each speaker the stretches of speech, in order.
        loudest: for each channel its level in the loudest 32 ms, dB of full scale.
        duration: seconds.
        same: two channels hold the same sound, so there is one trajectory.
        separation: dB by which a voice is louder on its own channel than on the other; ``None`` without two channels
            and a voice.
        mixed: the channels are no speaker each, so that what is heard on them cannot be told apart.
        problems: what went wrong while reading.
    """

    spans: list[list[Stretch]]
    loudest: list[float]
    duration: float
    same: bool
    separation: float | None
    mixed: bool
    problems: list[str]


class SpeakerChannel(NamedTuple):
    """What a speaker is heard on: a channel of a track, or the mean of its channels; see ``read_media``."""

    track: int | None = None
    channel: int | None = None


def blocks(path: Path, channel: SpeakerChannel, rate: int = RATE) -> Iterator[tuple[Floats, list[str]]]:
    """The sound of a speaker's channel, piece by piece without gaps, and what went wrong at the end.

    Raises:
        MediaError: the file cannot be read.
    """
    for media in iter_media(path, window=_BLOCK, rate=rate, track=channel.track, channel=channel.channel):
        count = round(media.duration * rate)
        samples = np.zeros(count, np.float32)
        if media.audio is not None:
            samples[: len(media.audio)] = media.audio[:count]
        yield samples, media.problems


def find_speech(path: Path, channels: Sequence[SpeakerChannel]) -> CallSpeech:
    """Find the speech on each speaker's channel.

    Args:
        path: a file with sound.
        channels: one, or one of each speaker.

    Raises:
        MediaError: the file cannot be read.
    """
    networks = [VoiceActivity() for _ in channels]
    voices: list[list[Floats]] = [[] for _ in channels]
    powers: list[list[NDArray[np.float64]]] = [[] for _ in channels]
    problems: list[str] = []
    read, energy, alike = 0, np.zeros(3), np.zeros(2)  # energies: of all, of the difference, of the sum
    nothing = (np.zeros(0, np.float32), list[str]())
    for pieces in zip_longest(*[blocks(path, channel) for channel in channels], fillvalue=nothing):
        length = max(len(samples) for samples, _ in pieces)
        sounds = [np.pad(samples, (0, length - len(samples))) for samples, _ in pieces]
        problems += dict.fromkeys(p for _, found in pieces for p in found if p not in problems)
        read += length
        for i, sound in enumerate(sounds):
            voices[i].append(networks[i](sound))
            steps = np.pad(sound, (0, -length % STEP)).reshape(-1, STEP)
            powers[i].append(np.square(steps, dtype=np.float64).mean(1))
        first, last = sounds[0].astype(np.float64), sounds[-1].astype(np.float64)
        energy += [sum(float((s**2).sum()) for s in sounds), ((first - last) ** 2).sum(), ((first + last) ** 2).sum()]
        alike += _likeness(first, last) if len(channels) == 2 else 0.0
    for network, voice in zip(networks, voices, strict=True):
        voice.append(network.flush())
    heard = [np.concatenate(v) for v in voices]
    power = [np.concatenate(p) for p in powers]
    same = len(channels) > 1 and min(energy[1:]) < _SAME * energy[0]
    loudest = [float(_level(p.max(initial=0.0))) for p in power]
    separation, centre = _separation(heard, power) if len(channels) == 2 else (None, 0.0)
    shared = bool(alike[0] > _ALIKE * alike[1])
    mixed = separation is not None and separation < _APART and shared
    if separation is not None and not (same or mixed):
        below = min(_CROSSTALK, separation / 2) if shared else _CROSSTALK
        heard = _without_crosstalk(heard, power, below, centre)
    spans = [_stretches(h) for h in (heard[:1] if same else heard)]
    return CallSpeech(spans, loudest, read / RATE, same, separation, mixed and not same, problems)


def _likeness(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """How alike two sounds are where they are shifted best, weighed by their energy, and the weight: ``[2]``."""
    size, most = round(_PIECE * RATE), round(_SHIFT * RATE)
    found = np.zeros(2)
    for start in range(0, len(first), size):
        a, b = first[start : start + size], second[start : start + size]
        scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
        if scale > 0:
            spectrum = np.fft.rfft(a, 2 * size) * np.conj(np.fft.rfft(b, 2 * size))
            shifted = np.abs(np.fft.irfft(spectrum))
            found += [max(shifted[: most + 1].max(), shifted[-most:].max()), scale]
    return found


def _smooth(powers: Sequence[NDArray[np.float64]], count: int) -> list[NDArray[np.float64]]:
    """Levels of the steps, averaged over those around."""
    flat = np.ones(_AROUND) / _AROUND
    return [_level(np.convolve(power[:count], flat, mode="same")) for power in powers]


def _separation(voices: Sequence[Floats], powers: Sequence[NDArray[np.float64]]) -> tuple[float | None, float]:
    """By how many dB a voice is louder on its own channel, ``None`` where nobody speaks; and the first channel's gain.

    Half of what lies between the moments that belong most to one channel and those that belong most to the other, and
    its middle, so that it does not matter which is recorded louder; where one speaks alone, the difference itself.
    """
    count = min(len(voices[0]), len(voices[1]), len(powers[0]))
    spoken = np.maximum(voices[0][:count], voices[1][:count]) >= _ENTER
    if not spoken.any():
        return None, 0.0
    first, second = _smooth(powers, count)
    difference = (first - second)[spoken]
    low, high = np.quantile(difference, _SIDES)
    if low < 0 < high and high - low >= 2 * _APART:
        return float(high - low) / 2, float(high + low) / 2
    return float(max((high - low) / 2, np.median(np.abs(difference)))), 0.0


def _level(power: Any) -> Any:
    """dB of full scale."""
    return 10 * np.log10(power + 1e-10)


def _without_crosstalk(
    voices: Sequence[Floats], powers: Sequence[NDArray[np.float64]], below: float, centre: float
) -> list[Floats]:
    """Two channels, each without the voice that comes over from the other, louder there by more than ``below`` dB.

    ``centre``: by how many dB the first is recorded louder.
    """
    count = min(len(voices[0]), len(voices[1]), len(powers[0]))
    smooth = _smooth(powers, count)
    smooth[0] = smooth[0] - centre
    kept = []
    for own, other in ((0, 1), (1, 0)):
        leaked = (voices[other][:count] >= _LEAVE) & (smooth[own] < smooth[other] - below)
        kept.append(np.where(leaked, np.float32(0), voices[own][:count]))
    return kept


def _stretches(voice: Floats) -> list[Stretch]:
    """Probabilities of a voice to stretches of speech."""
    found: list[Stretch] = []
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


def seconds(spans: Iterable[Stretch], start: float = 0.0, end: float = np.inf) -> float:
    """How much of a time the stretches cover.

    Example:
        >>> seconds([(0.0, 2.0), (3.0, 5.0)], 1.0, 4.0)
        2.0
    """
    return sum(max(0.0, min(b, end) - max(a, start)) for a, b in spans)


def overlaps(first: Sequence[Stretch], second: Sequence[Stretch]) -> list[Stretch]:
    """Where both speak, for at least ``OVERLAP`` seconds.

    Example:
        >>> overlaps([(0.0, 2.0), (5.0, 6.0)], [(1.0, 5.1)])
        [(1.0, 2.0)]
    """
    both = [(max(a, c), min(b, d)) for a, b in first for c, d in second]
    return [(start, end) for start, end in both if end - start >= OVERLAP]


def interruptions(speaker: Sequence[Stretch], other: Sequence[Stretch]) -> list[float]:
    """When a speaker begins while the other speaks, for at least ``OVERLAP`` seconds, and the other stops first.

    Example:
        >>> interruptions([(1.0, 4.0)], [(0.0, 2.0), (3.0, 3.5)]), interruptions([(1.0, 1.6)], [(0.0, 2.0)])
        ([1.0], [])
    """
    return [start for start, end in speaker for a, b in other if a < start and start + OVERLAP <= b < end]


def silences(spans: Iterable[Stretch]) -> list[Stretch]:
    """Where nobody speaks for at least ``SILENCE`` seconds, between the first word of the call and the last.

    Example:
        >>> silences([(0.0, 1.0), (4.0, 5.0), (0.5, 1.5)])
        [(1.5, 4.0)]
    """
    found: list[Stretch] = []
    reached: float | None = None
    for start, end in sorted(spans):
        if reached is not None and start - reached >= SILENCE:
            found.append((reached, start))
        reached = end if reached is None else max(reached, end)
    return found
