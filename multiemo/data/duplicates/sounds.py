"""Which recordings are one recording: a robust audio fingerprint, an index of it, and the bit error rate.

The fingerprint is that of Haitsma & Kalker (2002, "A highly robust audio fingerprinting system", ISMIR): the energy of
33 bands between 300 and 2000 Hz, a third of a second at a time; each bit is the sign of how the difference of two
neighbouring bands changes from one step to the next. It survives lossy codecs, resampling and gain. Where two
recordings are one, some words agree exactly at one distance in time, so sorting the words finds the candidates without
comparing every clip with every other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Floats

Words: TypeAlias = NDArray[np.int64]

#: Hz; sound is read at this rate.
RATE = 5120
#: Samples under one word (0.4 s), and between one word and the next (12.5 ms): the paper's overlap of 31/32.
_WINDOW, _HOP = 2048, 64
_BITS = 32
#: Edges of the bands, FFT bins.
_EDGES = np.round(np.geomspace(300, 2000, _BITS + 2) * _WINDOW / RATE).astype(np.int64)
#: Words this far (dB) below the loudest moment say nothing: there a codec leaves only its own noise.
_RANGE = 30.0
#: A recording whose loudest moment has a mean square below this (-80 dB of full scale) is silent.
_SILENT = 1e-8
#: Windows transformed at a time.
_BLOCK = 512
#: Word of a moment that is too quiet.
QUIET = -1

#: Most bits that may differ. A lossy copy stays below 0.15 of its original and below 0.17 of another lossy copy; two
#: takes of a sentence by one speaker lie above 0.25.
MOST_ERRORS = 0.2
#: Bits of independent recordings differ by half, with three times the deviation of independent bits (the paper, from
#: the overlap of the windows). A short overlap must lie this many deviations below one half: one such accident in
#: 10^15 comparisons.
_DEVIATIONS, _SPREAD = 8.0, 1.5
#: How much of the shorter recording's sound must be in the other one.
_COVERED = 0.8
#: Fewer words with sound in them (0.8 s with the window) could agree by accident.
_LEAST = 32
#: Candidates are found by words that agree in all bits of one of these overlapping parts, the lower and the upper 22
#: bits, this often at one distance in time.
_PARTS, _VOTES = ((1 << 22) - 1, ((1 << 22) - 1) << 10), 2
#: A word is compared with this many of its equals, so that what every clip has (a hum, a beep) costs no N^2.
_CROWD = 256
_ONES = np.array([number.bit_count() for number in range(1 << 16)], dtype=np.uint8)


def sound_words(samples: Floats) -> Words:
    """The fingerprint of a recording.

    Args:
        samples: ``[N]`` mono at :data:`RATE`.

    Returns:
        ``[T]`` one word of 32 bits each 12.5 ms, :data:`QUIET` where there is hardly any sound; empty when the
        recording is shorter than 0.42 s or silent.
    """
    if len(samples) < _WINDOW + _HOP:
        return np.zeros(0, dtype=np.int64)
    energy = _energies(samples)
    difference = energy[:, :-1] - energy[:, 1:]
    bits = difference[1:] > difference[:-1]
    words = bits @ (1 << np.arange(_BITS, dtype=np.int64))
    level = energy.sum(axis=1)
    level = np.minimum(level[1:], level[:-1])
    if level.max() < _SILENT:
        return np.zeros(0, dtype=np.int64)
    return np.where(level > level.max() * 10 ** (-_RANGE / 10), words, QUIET)


def _energies(samples: Floats) -> NDArray[np.float64]:
    """Mean square of the samples in each band, ``[T, bands]``, low to high."""
    hann = np.hanning(_WINDOW).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    pieces = []
    for start in range(0, len(windows), _BLOCK):
        spectrum = np.fft.rfft(windows[start : start + _BLOCK] * hann, axis=1)[:, _EDGES[0] : _EDGES[-1]]
        power = spectrum.real**2 + spectrum.imag**2
        pieces.append(np.add.reduceat(power.astype(np.float64), _EDGES[:-1] - _EDGES[0], axis=1))
    return np.asarray(np.concatenate(pieces) * (2 / (_WINDOW * float((hann**2).sum()))))


def is_telling(words: Words) -> bool:
    """Whether a recording has sound enough (0.8 s) to be told from another."""
    return int(np.count_nonzero(words != QUIET)) >= _LEAST


def same_sounds(recordings: Sequence[Words]) -> Iterator[tuple[int, int, float]]:
    """Pairs of recordings that are one recording, or of which one is a part of the other.

    Args:
        recordings: fingerprints, see :func:`sound_words`.

    Yields:
        (first, second, share of bits that differ) by index, first below second; each pair once, in order.
    """
    best: dict[tuple[int, int], float] = {}
    for first, second, offset in _candidates(recordings):
        errors = _errors(recordings[first], recordings[second], offset)
        if errors is not None and errors < best.get((first, second), 1.0):
            best[first, second] = errors
    for (first, second), errors in sorted(best.items()):
        yield first, second, errors


def _candidates(recordings: Sequence[Words]) -> list[tuple[int, int, int]]:
    """(first, second, words by which the second lags) of pairs in which some words agree."""
    if not recordings:
        return []
    votes = np.concatenate([_agreements(recordings, part) for part in _PARTS])
    keys, counts = np.unique(votes, return_counts=True)
    longest, clips = max(len(words) for words in recordings), len(recordings)
    pairs, offsets = np.divmod(keys[counts >= _VOTES], 2 * longest + 1)
    return [
        (int(pair) // clips, int(pair) % clips, int(offset) - longest)
        for pair, offset in zip(pairs, offsets, strict=True)
    ]


def _agreements(recordings: Sequence[Words], part: int) -> Words:
    """One number for each two words of two recordings that agree in the bits of ``part``: which two, and how far apart.

    Of a word that lasts, only its beginning counts.
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
    for step in range(1, _CROWD):
        same = np.flatnonzero(word[step:] == word[:-step])
        if not len(same):
            break
        same = same[clip[same] != clip[same + step]]
        offset = place[same] - place[same + step] + longest
        found.append((clip[same] * len(parts) + clip[same + step]) * (2 * longest + 1) + offset)
    return np.concatenate(found)


def _errors(first: Words, second: Words, offset: int) -> float | None:
    """Share of bits that differ when ``second`` lags by ``offset`` words, if the two can be called one recording."""
    shorter = min(np.count_nonzero(first != QUIET), np.count_nonzero(second != QUIET))
    if shorter < _LEAST:
        return None
    a, b = first[max(0, offset) :], second[max(0, -offset) :]
    a, b = a[: len(b)], b[: len(a)]
    both = (a != QUIET) & (b != QUIET)
    count = np.count_nonzero(both)
    if count < _COVERED * shorter:
        return None
    different = a[both] ^ b[both]
    errors = float(_ONES[different & 0xFFFF].sum() + _ONES[different >> 16].sum()) / (_BITS * count)
    accident = 0.5 - _DEVIATIONS * _SPREAD / (_BITS * count) ** 0.5
    return errors if errors <= min(MOST_ERRORS, accident) else None
