"""What is kept of a file to draw its timeline; it stands beside the prediction JSON, not in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

#: Values of ``envelope`` and ``pitch`` a second.
TRACE_RATE = 50
#: Side of a thumbnail, pixels.
THUMBNAIL = 64


def _nothing() -> NDArray[np.float32]:
    return np.empty(0, np.float32)


def _rows(values: NDArray[np.float32], most: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The time of the middle of each row, and the values ``[R, S]`` of which one point is made, NaN at the end."""
    size = max(1, -(-len(values) // most))
    count = -(-len(values) // size)
    rows = np.full(count * size, np.nan, np.float32)
    rows[: len(values)] = values
    times = (np.arange(count, dtype=np.float32) + 0.5) * np.float32(size / TRACE_RATE)
    return times, rows.reshape(count, size)


@dataclass(frozen=True, slots=True)
class Traces:
    """Sound and faces of one file, small enough to keep for hours of it.

    Args:
        envelope: ``[K]`` float32, the largest absolute sample of each 1 / ``TRACE_RATE`` seconds from time 0 on; empty
            without sound.
        pitch: ``[K]`` float32, Hz, at the same times; NaN where unvoiced.
        thumbnails: {index of a segment in the entry's ``segments``: face, uint8 ``[64, 64, 3]`` RGB}.
    """

    envelope: NDArray[np.float32] = field(default_factory=_nothing)
    pitch: NDArray[np.float32] = field(default_factory=_nothing)
    thumbnails: Mapping[int, NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def audible(self) -> bool:
        """Whether there is any sound to draw."""
        return bool(self.envelope.any()) or not bool(np.isnan(self.pitch).all())

    def loudness(self, most: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Times and the square root of the envelope, scaled to a peak of one, so that quiet speech shows beside shouts.

        Thinned to about ``most`` points by their maximum.
        """
        times, rows = _rows(self.envelope, most)
        loud = np.nanmax(rows, axis=1, initial=0.0)
        return times, np.sqrt(loud / max(float(loud.max(initial=0.0)), 1e-9)).astype(np.float32)

    def melody(self, most: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Times and the pitch in Hz, thinned to about ``most`` points by their median; NaN where unvoiced."""
        times, rows = _rows(self.pitch, most)
        middle = np.full(len(rows), np.nan, np.float32)
        heard = ~np.isnan(rows).all(axis=1)
        middle[heard] = np.nanmedian(rows[heard], axis=1)
        return times, middle
