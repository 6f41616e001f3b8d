"""Which pictures are one picture, and which films one film: a perceptual hash finds candidates, the pixels decide.

The hash is the DCT hash of Zauner (2010, "Implementation and benchmarking of perceptual image hash functions"): the
signs of the 63 lowest frequencies of the small grey picture. Mirroring a picture turns the sign of the odd horizontal
frequencies and nothing else, so mirrored copies cost a second look-up. Faces that are cut out alike have hashes alike,
so the correlation of the pictures' detail decides.

All clips of one studio have about the same picture, so films are told apart by what moves: the picture's course over
time after the clip's own mean picture is taken away.
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

#: Side of the small grey picture: of a still, of a film's frames.
STILL_SIDE, FILM_SIDE = 32, 16
#: Frames a second that are taken of a film, and of how many seconds of it.
FILM_FPS, FILM_SECONDS = 10.0, 12.0

#: Frequencies of the hash in each direction; of its 63 bits this many may differ. Re-encoding turns up to 5.
_LOW, _MOST_BITS = 8, 10
#: The detail of a picture is what differs from a blur of this width (standard deviation, share of the side): the light
#: and the outline of two faces agree, their detail does not.
_BLUR = 3 / 32
#: Least correlation of the detail of two stills. Re-encoding and halving leave 0.89 and more.
STILL_CORRELATION = 0.8
#: Least correlation of what moves in two films. Takes of one person in one place stay below 0.8.
FILM_CORRELATION = 0.85
#: A copy of a film may begin this much (seconds) earlier or later, and hold this share of the shorter one.
_SHIFT, _COVERED = 0.5, 0.8
#: Below these (grey levels, root mean square) a picture is blank, a film stands still; neither can be told apart.
_BLANK, _STANDING = 2.0, 1.0
#: Pictures whose hashes are compared with all later ones at a time, and candidates looked at together.
_BLOCK, _CHUNK = 512, 4096


def small_greys(frames: Pixels, side: int) -> Greys:
    """Frames as small grey squares.

    Args:
        frames: ``[F, H, W, 3]`` RGB.
        side: of the square, pixels.

    Returns:
        ``[F, side, side]``.
    """
    greys = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames)
    return np.stack([np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)) for grey in greys])


def same_stills(pictures: Sequence[Greys]) -> Iterator[tuple[int, int, float]]:
    """Pairs of pictures that are one picture, or one and its mirror image.

    Args:
        pictures: ``[side, side]`` each, see :func:`small_greys`.

    Yields:
        (first, second, 1 - correlation of the detail) by index, first below second; each pair once, in order.
    """
    best: dict[tuple[int, int], float] = {}
    details = _details(pictures)
    for firsts, seconds, mirrored in _candidates(pictures):
        for low in range(0, len(firsts), _CHUNK):
            first, second = firsts[low : low + _CHUNK], seconds[low : low + _CHUNK]
            others = details[second, :, ::-1] if mirrored else details[second]
            correlation = np.einsum("nij,nij->n", details[first], others)
            for n in np.flatnonzero(correlation >= STILL_CORRELATION):
                pair = int(first[n]), int(second[n])
                best[pair] = max(float(correlation[n]), best.get(pair, 0.0))
    yield from _distances(best)


def same_films(films: Sequence[Greys]) -> Iterator[tuple[int, int, float]]:
    """Pairs of films that are one film, or one and its mirror image.

    Args:
        films: ``[F, side, side]`` each, :data:`FILM_FPS` frames a second.

    Yields:
        (first, second, 1 - correlation of what moves) by index, first below second; each pair once, in order.
    """
    moving = [_motion(film) for film in films]
    best: dict[tuple[int, int], float] = {}
    for firsts, seconds, mirrored in _candidates([film.mean(axis=0) for film in films]):
        for first, second in zip(firsts.tolist(), seconds.tolist(), strict=True):
            other = moving[second][:, :, ::-1] if mirrored else moving[second]
            correlation = _together(moving[first], other)
            if correlation >= FILM_CORRELATION:
                best[first, second] = max(correlation, best.get((first, second), 0.0))
    yield from _distances(best)


def _distances(correlations: Mapping[tuple[int, int], float]) -> Iterator[tuple[int, int, float]]:
    for (first, second), correlation in sorted(correlations.items()):
        yield first, second, max(0.0, 1 - correlation)


def _candidates(pictures: Sequence[NDArray[Any]]) -> Iterator[tuple[Indices, Indices, bool]]:
    """(first, second, whether mirrored) of pictures whose hashes are alike, first below second; no blank ones."""
    contrast = np.array([float(picture.std()) for picture in pictures])
    kept = np.flatnonzero(contrast > _BLANK)
    hashes = _hashes([pictures[index] for index in kept.tolist()])
    turned = hashes * np.where(np.arange(_LOW * _LOW) % _LOW % 2, -1.0, 1.0)[1:].astype(np.float32)
    least = hashes.shape[1] - 2 * _MOST_BITS
    for start in range(0, len(kept), _BLOCK):
        for mirrored, others in ((False, hashes), (True, turned)):
            rows, columns = np.nonzero(hashes[start : start + _BLOCK] @ others[start:].T >= least)
            later = columns > rows
            yield kept[rows[later] + start], kept[columns[later] + start], mirrored


def _hashes(pictures: Sequence[NDArray[Any]]) -> Floats:
    """Signs (-1 or 1) of the lowest frequencies, the mean left out, ``[N, 63]``."""
    hashes = np.ones((len(pictures), _LOW * _LOW - 1), dtype=np.float32)
    for index, picture in enumerate(pictures):
        low = cv2.dct(picture.astype(np.float32))[:_LOW, :_LOW].reshape(-1)[1:]
        hashes[index, low < 0] = -1
    return hashes


def _details(pictures: Sequence[Greys]) -> Floats:
    """``[N, side, side]`` what differs from the blurred picture, of unit length; 0 where nothing does."""
    details = []
    for picture in pictures:
        grey = picture.astype(np.float32)
        detail = grey - cv2.GaussianBlur(grey, (0, 0), _BLUR * len(grey))
        detail -= detail.mean()
        details.append(detail / max(float(np.linalg.norm(detail)), 1.0))
    return np.stack(details) if details else np.zeros((0, 1, 1), dtype=np.float32)


def _motion(film: Greys) -> Floats:
    """``[F, side, side]`` what differs from the mean picture; nothing where the film stands still."""
    motion = film.astype(np.float32) - film.mean(axis=0, dtype=np.float32)
    return np.asarray(motion if float((motion**2).mean()) > _STANDING**2 else motion[:0])


def _together(first: Floats, second: Floats) -> float:
    """Highest correlation over all shifts in time that are allowed; 0 where there is none."""
    shortest = min(len(first), len(second))
    if shortest == 0:
        return 0.0
    a, b = first.reshape(len(first), -1), second.reshape(len(second), -1)
    products = a @ b.T
    most = round(_SHIFT * FILM_FPS)
    best = 0.0
    for lag in range(-most, most + 1):
        x, y = a[max(0, lag) :], b[max(0, -lag) :]
        x, y = x[: len(y)], y[: len(x)]
        if len(x) >= _COVERED * shortest:
            energy = float((x**2).sum()) * float((y**2).sum())
            best = max(best, float(np.trace(products, -lag)) / max(energy, 1e-9) ** 0.5)
    return best
