"""The sound and faces of a file that its timeline shows; they are not part of the prediction JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

#: Rate of ``envelope`` and ``pitch``, Hz.
TRACE_RATE = 50
#: Side of a thumbnail, pixels.
THUMBNAIL = 64


def _empty() -> NDArray[np.float32]:
    return np.empty(0, np.float32)


def _rows(values: NDArray[np.float32], most: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Group values into at most ``most`` rows, one for each point that is drawn.

    Returns:
        ``[R]`` the time in the middle of each row, seconds; and ``[R, S]`` the values, the last row padded with NaN.
    """
    size = max(1, -(-len(values) // most))
    count = -(-len(values) // size)
    rows = np.full(count * size, np.nan, np.float32)
    rows[: len(values)] = values
    times = (np.arange(count, dtype=np.float32) + 0.5) * np.float32(size / TRACE_RATE)
    return times, rows.reshape(count, size)


@dataclass(frozen=True, slots=True)
class Traces:
    """Sound and faces of one file, small enough to keep for a file of several hours.

    Args:
        envelope: ``[K]`` float32, the largest absolute sample in each 1 / ``TRACE_RATE`` seconds from time 0; empty
            without sound.
        pitch: ``[K]`` float32, Hz, at the same times; NaN where unvoiced.
        thumbnails: {index of the segment in ``segments``: face, uint8 ``[64, 64, 3]`` RGB}.
    """

    envelope: NDArray[np.float32] = field(default_factory=_empty)
    pitch: NDArray[np.float32] = field(default_factory=_empty)
    thumbnails: Mapping[int, NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def audible(self) -> bool:
        """Whether there is any sound to draw."""
        return bool(self.envelope.any()) or not bool(np.isnan(self.pitch).all())

    def loudness(self, most: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Times, and the square root of the envelope scaled to a peak of one.

        The square root keeps quiet speech visible beside loud speech. The curve is reduced to at most ``most`` points
        by taking maxima.
        """
        times, rows = _rows(self.envelope, most)
        loud = np.nanmax(rows, axis=1, initial=0.0)
        return times, np.sqrt(loud / max(float(loud.max(initial=0.0)), 1e-9)).astype(np.float32)

    def melody(self, most: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Times, and the pitch in Hz, reduced to at most ``most`` points by taking medians; NaN where unvoiced."""
        times, rows = _rows(self.pitch, most)
        middle = np.full(len(rows), np.nan, np.float32)
        voiced = ~np.isnan(rows).all(axis=1)
        middle[voiced] = np.nanmedian(rows[voiced], axis=1)
        return times, middle
