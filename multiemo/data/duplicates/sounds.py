"""Near-duplicate recordings: a robust audio fingerprint, an index of it, and the bit error rate.

The fingerprint is that of Haitsma & Kalker (2002, "A highly robust audio fingerprinting system", ISMIR): the energy of
33 bands between 300 and 2000 Hz in overlapping windows. Each bit is the sign of the change over time of the difference
between two neighbouring bands. The fingerprint is robust against lossy codecs, resampling and gain. In two copies of a
recording some words agree exactly at a constant time lag, so sorting the words finds the candidates without comparing
every pair of clips.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Floats

Words: TypeAlias = NDArray[np.int64]

#: Sample rate of the analysed audio, in Hz.
SAMPLE_RATE = 5120
#: Window of one word (0.4 s) and hop between words (12.5 ms), in samples: the paper's overlap of 31/32.
_WINDOW_SAMPLES, _HOP_SAMPLES = 2048, 64
_BITS = 32
#: Edges of the frequency bands, in FFT bins.
_BAND_EDGES = np.round(np.geomspace(300, 2000, _BITS + 2) * _WINDOW_SAMPLES / SAMPLE_RATE).astype(np.int64)
#: Words at moments this many dB below the loudest one are ignored: codecs leave only their own noise there.
_DYNAMIC_RANGE_DB = 30.0
#: A recording whose loudest moment has a mean square below this (-80 dBFS) is silent.
_SILENCE_POWER = 1e-8
#: Number of windows transformed at a time.
_BLOCK_WINDOWS = 512
#: Marks a moment that is too quiet for a word.
QUIET = -1

#: Maximum share of differing bits. Between a lossy copy and its original it is below 0.15, between two lossy copies
#: below 0.17; between two takes of a sentence by one speaker it is above 0.25.
MAX_BIT_ERROR_RATE = 0.2
#: Of two independent recordings half of the bits differ, with three times the standard deviation of independent bits
#: (the paper; a result of the overlapping windows). The error rate of a short overlap must be this many deviations
#: below one half: one false match in 10^15 comparisons.
_DEVIATIONS, _SPREAD = 8.0, 1.5
#: Minimum share of the shorter recording's audible words that must overlap with the other recording.
_MIN_OVERLAP = 0.8
#: Minimum number of audible words (0.8 s with the window); fewer could agree by chance.
_MIN_WORDS = 32
#: Candidates have words that agree in all bits of one of these masks (the lower and the upper 22 bits), at least this
#: often at the same time lag.
_KEY_MASKS, _MIN_VOTES = ((1 << 22) - 1, ((1 << 22) - 1) << 10), 2
#: A word is compared with at most this many equal words, so that a sound common to all clips (a hum, a beep) does not
#: cause N^2 comparisons.
_MAX_MATCHES_PER_WORD = 256
_BIT_COUNTS = np.array([number.bit_count() for number in range(1 << 16)], dtype=np.uint8)


def sound_words(samples: Floats) -> Words:
    """Compute the fingerprint of a recording.

    Args:
        samples: ``[N]`` mono at :data:`SAMPLE_RATE`.

    Returns:
        ``[T]`` one 32-bit word per 12.5 ms, :data:`QUIET` at quiet moments; empty if the recording is shorter than
        0.42 s or silent.
    """
    if len(samples) < _WINDOW_SAMPLES + _HOP_SAMPLES:
        return np.zeros(0, dtype=np.int64)
    energy = _energies(samples)
    difference = energy[:, :-1] - energy[:, 1:]
    bits = difference[1:] > difference[:-1]
    words = bits @ (1 << np.arange(_BITS, dtype=np.int64))
    level = energy.sum(axis=1)
    level = np.minimum(level[1:], level[:-1])
    if level.max() < _SILENCE_POWER:
        return np.zeros(0, dtype=np.int64)
    return np.where(level > level.max() * 10 ** (-_DYNAMIC_RANGE_DB / 10), words, QUIET)


def _energies(samples: Floats) -> NDArray[np.float64]:
    """Return the mean square of the samples in each band, ``[T, bands]``, from low to high frequencies."""
    hann = np.hanning(_WINDOW_SAMPLES).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW_SAMPLES)[::_HOP_SAMPLES]
    pieces = []
    for start in range(0, len(windows), _BLOCK_WINDOWS):
        spectrum = np.fft.rfft(windows[start : start + _BLOCK_WINDOWS] * hann, axis=1)
        spectrum = spectrum[:, _BAND_EDGES[0] : _BAND_EDGES[-1]]
        power = spectrum.real**2 + spectrum.imag**2
        pieces.append(np.add.reduceat(power.astype(np.float64), _BAND_EDGES[:-1] - _BAND_EDGES[0], axis=1))
    return np.asarray(np.concatenate(pieces) * (2 / (_WINDOW_SAMPLES * float((hann**2).sum()))))


def is_distinctive(words: Words) -> bool:
    """Return whether a recording has enough audible sound (0.8 s) to be compared with others."""
    return int(np.count_nonzero(words != QUIET)) >= _MIN_WORDS


def same_sounds(recordings: Sequence[Words]) -> Iterator[tuple[int, int, float]]:
    """Find pairs of recordings that are copies of each other, or of which one is part of the other.

    Args:
        recordings: fingerprints from :func:`sound_words`.

    Yields:
        (first, second, share of differing bits) by index, first below second; each pair once, in order.
    """
    best: dict[tuple[int, int], float] = {}
    for first, second, offset in _candidates(recordings):
        error_rate = _bit_error_rate(recordings[first], recordings[second], offset)
        if error_rate is not None and error_rate < best.get((first, second), 1.0):
            best[first, second] = error_rate
    for (first, second), error_rate in sorted(best.items()):
        yield first, second, error_rate


def _candidates(recordings: Sequence[Words]) -> list[tuple[int, int, int]]:
    """Return (first, second, lag of the second in words) for pairs in which some words agree."""
    if not recordings:
        return []
    votes = np.concatenate([_agreements(recordings, part) for part in _KEY_MASKS])
    keys, counts = np.unique(votes, return_counts=True)
    longest, clips = max(len(words) for words in recordings), len(recordings)
    pairs, offsets = np.divmod(keys[counts >= _MIN_VOTES], 2 * longest + 1)
    return [
        (int(pair) // clips, int(pair) % clips, int(offset) - longest)
        for pair, offset in zip(pairs, offsets, strict=True)
    ]


def _agreements(recordings: Sequence[Words], part: int) -> Words:
    """Return one number for each two words of two recordings that agree in the bits of ``part``.

    The number encodes the two recordings and the time lag. Of a run of equal words only the first is used.
    """
    parts = [np.where(words == QUIET, QUIET, words & part) for words in recordings]
    begins = [np.flatnonzero((word != QUIET) & (np.diff(word, prepend=QUIET) != 0)) for word in parts]
    clip = np.repeat(np.arange(len(parts)), [len(places) for places in begins])
    place = np.concatenate(begins)
    word = np.concatenate([words[places] for words, places in zip(parts, begins, strict=True)])
    order = np.argsort(word, kind="stable")  # equal words stay in the order of the clips
    clip, place, word = clip[order], place[order], word[order]
    longest = max(len(words) for words in recordings)
    found = [word[:0]]
    for step in range(1, _MAX_MATCHES_PER_WORD):
        same = np.flatnonzero(word[step:] == word[:-step])
        if not len(same):
            break
        same = same[clip[same] != clip[same + step]]
        offset = place[same] - place[same + step] + longest
        found.append((clip[same] * len(parts) + clip[same + step]) * (2 * longest + 1) + offset)
    return np.concatenate(found)


def _bit_error_rate(first: Words, second: Words, offset: int) -> float | None:
    """Return the share of differing bits at a lag of ``offset`` words, or ``None`` if the recordings do not match."""
    shorter = min(np.count_nonzero(first != QUIET), np.count_nonzero(second != QUIET))
    if shorter < _MIN_WORDS:
        return None
    a, b = first[max(0, offset) :], second[max(0, -offset) :]
    a, b = a[: len(b)], b[: len(a)]
    both = (a != QUIET) & (b != QUIET)
    count = np.count_nonzero(both)
    if count < _MIN_OVERLAP * shorter:
        return None
    different = a[both] ^ b[both]
    error_rate = float(_BIT_COUNTS[different & 0xFFFF].sum() + _BIT_COUNTS[different >> 16].sum()) / (_BITS * count)
    chance_level = 0.5 - _DEVIATIONS * _SPREAD / (_BITS * count) ** 0.5
    return error_rate if error_rate <= min(MAX_BIT_ERROR_RATE, chance_level) else None
