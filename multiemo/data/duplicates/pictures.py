"""Near-duplicate pictures and films: a perceptual hash finds candidates, and a correlation of pixels confirms them.

The hash is the DCT hash of Zauner (2010, "Implementation and benchmarking of perceptual image hash functions"): the
signs of the 63 lowest frequencies of a small grey picture. Mirroring a picture only inverts the signs of the odd
horizontal frequencies, so mirrored copies are found with a second look-up. Face crops have similar hashes, so the
correlation of the detail of the pictures decides.

All clips of one studio have a similar picture, so films are compared by their motion: the frames minus the mean frame
of the clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Floats, Pixels

Greys: TypeAlias = NDArray[np.uint8]
Indices: TypeAlias = NDArray[np.int64]

#: Side of the small grey picture of a still, and of the frames of a film, in pixels.
STILL_SIDE, FILM_SIDE = 32, 16
#: Frames per second sampled from a film, and the number of seconds sampled.
FILM_FPS, FILM_SECONDS = 10.0, 12.0

#: Frequencies of the hash per direction, and the number of its 63 bits that may differ. Re-encoding changes up to 5.
_HASH_SIDE, _MAX_BIT_ERRORS = 8, 10
#: The detail of a picture is its difference from a blurred copy. This is the standard deviation of the blur as a share
#: of the side. Lighting and outline of two different faces are similar; their detail is not.
_BLUR_SHARE = 3 / 32
#: Minimum correlation of the detail of two stills. After re-encoding and halving it is 0.89 or more.
STILL_CORRELATION = 0.8
#: Minimum correlation of the motion of two films. Different takes of one person in one place stay below 0.8.
FILM_CORRELATION = 0.85
#: A copy may begin this many seconds earlier or later, and must overlap with this share of the shorter film.
_MAX_SHIFT_S, _MIN_OVERLAP = 0.5, 0.8
#: Below these limits (grey levels, RMS) a picture is blank and a film static. Such media are not compared.
_BLANK_STD, _STATIC_RMS = 2.0, 1.0
#: Number of hashes compared with all later ones at a time, and number of candidate pairs correlated at a time.
_BLOCK, _PAIR_CHUNK = 512, 4096


def small_greys(frames: Pixels, side: int) -> Greys:
    """Convert frames to small square grey pictures.

    Args:
        frames: ``[F, H, W, 3]`` RGB.
        side: side of the square, in pixels.

    Returns:
        ``[F, side, side]`` grey values, 0 to 255.
    """
    greys = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames)
    return np.stack([np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)) for grey in greys])


def same_stills(pictures: Sequence[Greys]) -> Iterator[tuple[int, int, float]]:
    """Find pairs of pictures that are the same, or mirror images of each other.

    Args:
        pictures: ``[side, side]`` each, see :func:`small_greys`.

    Yields:
        (first, second, 1 - correlation of the detail) by index, first below second; each pair once, in order.
    """
    best: dict[tuple[int, int], float] = {}
    details = _details(pictures)
    for firsts, seconds, mirrored in _candidates(pictures):
        for low in range(0, len(firsts), _PAIR_CHUNK):
            first, second = firsts[low : low + _PAIR_CHUNK], seconds[low : low + _PAIR_CHUNK]
            others = details[second, :, ::-1] if mirrored else details[second]
            correlation = np.einsum("nij,nij->n", details[first], others)
            for n in np.flatnonzero(correlation >= STILL_CORRELATION):
                pair = int(first[n]), int(second[n])
                best[pair] = max(float(correlation[n]), best.get(pair, 0.0))
    yield from _distances(best)


def same_films(films: Sequence[Greys]) -> Iterator[tuple[int, int, float]]:
    """Find pairs of films that are the same, or mirror images of each other.

    Args:
        films: ``[F, side, side]`` each, with :data:`FILM_FPS` frames per second.

    Yields:
        (first, second, 1 - correlation of the motion) by index, first below second; each pair once, in order.
    """
    moving = [_motion(film) for film in films]
    best: dict[tuple[int, int], float] = {}
    for firsts, seconds, mirrored in _candidates([film.mean(axis=0) for film in films]):
        for first, second in zip(firsts.tolist(), seconds.tolist(), strict=True):
            other = moving[second][:, :, ::-1] if mirrored else moving[second]
            correlation = _best_correlation(moving[first], other)
            if correlation >= FILM_CORRELATION:
                best[first, second] = max(correlation, best.get((first, second), 0.0))
    yield from _distances(best)


def _distances(correlations: Mapping[tuple[int, int], float]) -> Iterator[tuple[int, int, float]]:
    for (first, second), correlation in sorted(correlations.items()):
        yield first, second, max(0.0, 1 - correlation)


def _candidates(pictures: Sequence[NDArray[Any]]) -> Iterator[tuple[Indices, Indices, bool]]:
    """Yield (first, second, whether mirrored) for similar hashes, first below second; blank pictures are excluded."""
    contrast = np.array([float(picture.std()) for picture in pictures])
    kept = np.flatnonzero(contrast > _BLANK_STD)
    hashes = _hashes([pictures[index] for index in kept.tolist()])
    odd_columns = np.arange(_HASH_SIDE * _HASH_SIDE) % _HASH_SIDE % 2
    mirrored_hashes = hashes * np.where(odd_columns, -1.0, 1.0)[1:].astype(np.float32)
    min_product = hashes.shape[1] - 2 * _MAX_BIT_ERRORS
    for start in range(0, len(kept), _BLOCK):
        for mirrored, others in ((False, hashes), (True, mirrored_hashes)):
            rows, columns = np.nonzero(hashes[start : start + _BLOCK] @ others[start:].T >= min_product)
            later = columns > rows
            yield kept[rows[later] + start], kept[columns[later] + start], mirrored


def _hashes(pictures: Sequence[NDArray[Any]]) -> Floats:
    """Return the signs (-1 or 1) of the lowest frequencies without the mean, ``[N, 63]``."""
    hashes = np.ones((len(pictures), _HASH_SIDE * _HASH_SIDE - 1), dtype=np.float32)
    for index, picture in enumerate(pictures):
        low = cv2.dct(picture.astype(np.float32))[:_HASH_SIDE, :_HASH_SIDE].reshape(-1)[1:]
        hashes[index, low < 0] = -1
    return hashes


def _details(pictures: Sequence[Greys]) -> Floats:
    """Return the differences from the blurred pictures, ``[N, side, side]``, with unit norm; 0 for blank pictures."""
    details = []
    for picture in pictures:
        grey = picture.astype(np.float32)
        detail = grey - cv2.GaussianBlur(grey, (0, 0), _BLUR_SHARE * len(grey))
        detail -= detail.mean()
        details.append(detail / max(float(np.linalg.norm(detail)), 1.0))
    return np.stack(details) if details else np.zeros((0, 1, 1), dtype=np.float32)


def _motion(film: Greys) -> Floats:
    """Return the differences from the mean frame, ``[F, side, side]``; empty for a static film."""
    motion = film.astype(np.float32) - film.mean(axis=0, dtype=np.float32)
    return np.asarray(motion if float((motion**2).mean()) > _STATIC_RMS**2 else motion[:0])


def _best_correlation(first: Floats, second: Floats) -> float:
    """Return the highest correlation over all allowed time shifts; 0 if a film is empty."""
    shortest = min(len(first), len(second))
    if shortest == 0:
        return 0.0
    a, b = first.reshape(len(first), -1), second.reshape(len(second), -1)
    products = a @ b.T
    max_lag = round(_MAX_SHIFT_S * FILM_FPS)
    best = 0.0
    for lag in range(-max_lag, max_lag + 1):
        x, y = a[max(0, lag) :], b[max(0, -lag) :]
        x, y = x[: len(y)], y[: len(x)]
        if len(x) >= _MIN_OVERLAP * shortest:
            energy = float((x**2).sum()) * float((y**2).sum())
            best = max(best, float(np.trace(products, -lag)) / max(energy, 1e-9) ** 0.5)
    return best
