"""Keeps the last seconds of a sound that arrives in pieces, and measures its level over time."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Floats

#: Seconds between two values of the level.
_LEVEL_STEP = 0.04


class RecentSound:
    """Keeps the end of a sound, as far back as a segment may still need it.

    Args:
        rate: sample rate, Hz.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._blocks: deque[Floats] = deque()
        self._first = self._count = 0  # indices of the first sample kept, and after the last

    @property
    def end(self) -> float:
        """Seconds of sound so far."""
        return self._count / self.rate

    def add(self, samples: Floats) -> None:
        """Append samples, ``[N]`` float32."""
        self._blocks.append(samples)
        self._count += len(samples)

    def cut(self, start: float, end: float) -> Floats:
        """The samples between two times (seconds), as far as they are still kept."""
        low, high = (min(max(round(t * self.rate), self._first), self._count) for t in (start, end))
        if high <= low:
            return np.zeros(0, np.float32)
        if len(self._blocks) > 1:
            self._blocks = deque([np.concatenate(self._blocks)])
        return self._blocks[0][low - self._first : high - self._first]

    def forget(self, before: float) -> None:
        """Drop everything before a time, seconds."""
        edge = round(before * self.rate)
        while self._blocks and self._first + len(self._blocks[0]) <= edge:
            self._first += len(self._blocks.popleft())
        if self._blocks and edge > self._first:
            self._blocks[0] = self._blocks[0][edge - self._first :].copy()
            self._first = edge


def sound_level(sound: Floats, rate: int, start: float) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The level of a sound every 40 ms.

    Args:
        sound: ``[N]`` float32 mono within -1..1.
        rate: sample rate, Hz.
        start: time of its first sample, seconds.

    Returns:
        ``[K]`` times (seconds) and ``[K]`` levels (dB of full scale); ``None`` for less than two values.
    """
    step = round(_LEVEL_STEP * rate)
    count = len(sound) // step
    if count < 2:
        return None
    power = np.square(sound[: count * step].reshape(count, step), dtype=np.float64).mean(1)
    times = start + (np.arange(count, dtype=np.float64) + 0.5) * _LEVEL_STEP
    return times, np.asarray(10 * np.log10(power + 1e-8), np.float64)
