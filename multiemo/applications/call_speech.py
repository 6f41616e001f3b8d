"""Finds who speaks when in a call, and from that overlaps, interruptions and silences."""

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

#: Start and end of a stretch of speech or silence, seconds.
Stretch: TypeAlias = tuple[float, float]

#: Probabilities of a voice at which a stretch of speech begins and ends; those of silero-vad.
_ENTER, _LEAVE = 0.5, 0.35
#: Seconds: stretches with a shorter gap between them are joined; shorter stretches are dropped.
_GAP, _SHORTEST = 0.3, 0.25
#: While both channels contain a voice, one that is this much quieter (dB) than the other contains crosstalk. For
#: channels whose separation is less than twice this, half of the separation counts.
_CROSSTALK_DB = 20.0
#: Channels with a smaller separation (dB) that contain the same sound do not each belong to one speaker.
_MIN_SEPARATION_DB = 12.0
#: Channels contain the same sound above this correlation, taken over pieces of the second number of seconds and
#: maximised over delays up to the third.
_SAME_CORRELATION, _CORRELATION_SECONDS, _MAX_DELAY = 0.3, 1.0, 0.02
#: Quantiles of the level difference, over all moments with a voice, that stand for the two speakers.
_SPEAKER_QUANTILES = (0.1, 0.9)
#: Least duration of an overlap and of a silence, seconds.
OVERLAP, SILENCE = 0.3, 2.0
#: Two channels are identical if their difference has less than this share of the energy.
_IDENTICAL = 1e-3
#: Seconds that are read at a time; a whole number of steps of the voice network.
_BLOCK = 320 * STEP / RATE
#: Number of steps over which a level is averaged.
_LEVEL_STEPS = 7


@dataclass(slots=True)
class CallSpeech:
    """The speech on the channels of a call.

    Args:
        spans: the stretches of speech of each speaker, in order of time.
        loudest: level of each channel in its loudest 32 ms, dB of full scale.
        duration: seconds.
        same: both channels contain the same sound, so there is a single trajectory.
        separation: level difference of a voice between its own channel and the other, dB; ``None`` unless there are
            two channels and a voice.
        mixed: each channel contains both speakers, so that they cannot be separated.
        problems: problems while reading the file.
    """

    spans: list[list[Stretch]]
    loudest: list[float]
    duration: float
    same: bool
    separation: float | None
    mixed: bool
    problems: list[str]


class SpeakerChannel(NamedTuple):
    """The sound of a speaker: one channel of a track, or the mean of all its channels; see ``read_media``."""

    track: int | None = None
    channel: int | None = None


def blocks(path: Path, channel: SpeakerChannel, rate: int = RATE) -> Iterator[tuple[Floats, list[str]]]:
    """Read the sound of a speaker's channel in blocks without gaps.

    Args:
        path: a file with sound.
        channel: the channel to read.
        rate: sample rate, Hz.

    Yields:
        ``[N]`` float32 samples, and the problems found so far.

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
        channels: a single channel, or one for each speaker.

    Raises:
        MediaError: the file cannot be read.
    """
    networks = [VoiceActivity() for _ in channels]
    voices: list[list[Floats]] = [[] for _ in channels]
    powers: list[list[NDArray[np.float64]]] = [[] for _ in channels]
    problems: list[str] = []
    read, energy, correlation = 0, np.zeros(3), np.zeros(2)  # energies of all channels, of the difference, of the sum
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
        correlation += _correlation(first, last) if len(channels) == 2 else 0.0
    for network, voice in zip(networks, voices, strict=True):
        voice.append(network.flush())
    probabilities = [np.concatenate(v) for v in voices]
    power = [np.concatenate(p) for p in powers]
    same = len(channels) > 1 and min(energy[1:]) < _IDENTICAL * energy[0]
    loudest = [float(_level(p.max(initial=0.0))) for p in power]
    separation, centre = _separation(probabilities, power) if len(channels) == 2 else (None, 0.0)
    shared = bool(correlation[0] > _SAME_CORRELATION * correlation[1])
    mixed = separation is not None and separation < _MIN_SEPARATION_DB and shared
    if separation is not None and not (same or mixed):
        below = min(_CROSSTALK_DB, separation / 2) if shared else _CROSSTALK_DB
        probabilities = _without_crosstalk(probabilities, power, below, centre)
    spans = [_stretches(p) for p in (probabilities[:1] if same else probabilities)]
    return CallSpeech(spans, loudest, read / RATE, same, separation, mixed and not same, problems)


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """The correlation of two sounds at the best delay, weighted by their energy, and the weight: ``[2]``."""
    size, most = round(_CORRELATION_SECONDS * RATE), round(_MAX_DELAY * RATE)
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
    """The levels (dB) of the first ``count`` steps, from a moving average of their power."""
    flat = np.ones(_LEVEL_STEPS) / _LEVEL_STEPS
    return [_level(np.convolve(power[:count], flat, mode="same")) for power in powers]


def _separation(voices: Sequence[Floats], powers: Sequence[NDArray[np.float64]]) -> tuple[float | None, float]:
    """The separation of two channels and the gain of the first.

    The level difference of the channels is high while one speaker talks and low while the other does. Half of the
    distance between the two is the separation, and their middle is the gain, so that it does not matter which channel
    is recorded louder. If only one person speaks, the separation is the difference itself.

    Args:
        voices: for each channel ``[K]`` probability of a voice in each step.
        powers: for each channel ``[K]`` mean power in each step.

    Returns:
        Level difference of a voice between its own channel and the other, dB, ``None`` if nobody speaks; and how much
        louder the first channel is recorded, dB.
    """
    count = min(len(voices[0]), len(voices[1]), len(powers[0]))
    spoken = np.maximum(voices[0][:count], voices[1][:count]) >= _ENTER
    if not spoken.any():
        return None, 0.0
    first, second = _smooth(powers, count)
    difference = (first - second)[spoken]
    low, high = np.quantile(difference, _SPEAKER_QUANTILES)
    if low < 0 < high and high - low >= 2 * _MIN_SEPARATION_DB:
        return float(high - low) / 2, float(high + low) / 2
    return float(max((high - low) / 2, np.median(np.abs(difference)))), 0.0


def _level(power: Any) -> Any:
    """Level of a power, dB of full scale."""
    return 10 * np.log10(power + 1e-10)


def _without_crosstalk(
    voices: Sequence[Floats], powers: Sequence[NDArray[np.float64]], below: float, centre: float
) -> list[Floats]:
    """Set the probability of a voice to zero where a channel only contains crosstalk from the other.

    Args:
        voices: for each channel ``[K]`` probability of a voice in each step.
        powers: for each channel ``[K]`` mean power in each step.
        below: a voice on both channels is crosstalk on the one that is quieter by more than this, dB.
        centre: how much louder the first channel is recorded, dB.
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
    """The stretches of speech in ``[K]`` probabilities of a voice."""
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
    """How much of a period is covered by stretches, seconds.

    Args:
        spans: stretches that do not overlap.
        start, end: of the period, seconds.

    Example:
        >>> seconds([(0.0, 2.0), (3.0, 5.0)], 1.0, 4.0)
        2.0
    """
    return sum(max(0.0, min(b, end) - max(a, start)) for a, b in spans)


def overlaps(first: Sequence[Stretch], second: Sequence[Stretch]) -> list[Stretch]:
    """The stretches of at least ``OVERLAP`` seconds in which both speakers speak.

    Example:
        >>> overlaps([(0.0, 2.0), (5.0, 6.0)], [(1.0, 5.1)])
        [(1.0, 2.0)]
    """
    both = [(max(a, c), min(b, d)) for a, b in first for c, d in second]
    return [(start, end) for start, end in both if end - start >= OVERLAP]


def interruptions(speaker: Sequence[Stretch], other: Sequence[Stretch]) -> list[float]:
    """The times (seconds) at which a speaker interrupts the other.

    The speaker begins while the other speaks, both speak for at least ``OVERLAP`` seconds, and the other stops first.

    Example:
        >>> interruptions([(1.0, 4.0)], [(0.0, 2.0), (3.0, 3.5)]), interruptions([(1.0, 1.6)], [(0.0, 2.0)])
        ([1.0], [])
    """
    return [start for start, end in speaker for a, b in other if a < start and start + OVERLAP <= b < end]


def silences(spans: Iterable[Stretch]) -> list[Stretch]:
    """The stretches of at least ``SILENCE`` seconds without speech, between the first and the last speech of the call.

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
