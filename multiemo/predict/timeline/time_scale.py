"""Maps seconds to pixels, and places the ticks of a time axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

from multiemo.predict.timeline.canvas import Box
from multiemo.predict.timeline.contents import LabelledSpan, PlacedSpan

#: Possible distances of ticks, seconds.
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


@dataclass(frozen=True, slots=True)
class TimeScale:
    """Maps 0 to ``duration`` seconds to 0 to ``width`` pixels."""

    duration: float
    width: float

    def x(self, seconds: float) -> float:
        """The distance of a time from the left, pixels."""
        return seconds * self.width / self.duration

    def box(self, span: LabelledSpan | PlacedSpan, top: float, bottom: float) -> Box:
        """The rectangle of a span.

        Args:
            span: the span between the left and right edges.
            top, bottom: edges, pixels.
        """
        return Box(self.x(span.left), top, self.x(span.right), bottom)


def time_ticks(duration: float, most: int) -> list[float]:
    """Round times from 0 to ``duration`` seconds, about ``most`` at most.

    Example:
        >>> time_ticks(57.7, 8), time_ticks(3276, 10)
        ([0, 10, 20, 30, 40, 50], [0, 600, 1200, 1800, 2400, 3000])
    """
    step = next((s for s in _STEPS if duration / s <= most), _STEPS[-1] * math.ceil(duration / _STEPS[-1] / most))
    return [number * step for number in range(int(duration / step + 1e-6) + 1)]
