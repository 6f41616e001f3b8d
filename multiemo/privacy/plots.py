"""The trade-off curve of a privacy report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from multiemo.plots import ACCENT, ALERT, GREY, INK, LINES, WIDTH, canvas, encoded


@dataclass(frozen=True, slots=True)
class TradePoint:
    """A protection on the curve.

    Args:
        name: the protection.
        eer: equal error rate of the strongest attacker.
        eer_interval: its interval.
        emotion: figure of emotion recognition.
        emotion_interval: its interval.
    """

    name: str
    eer: float
    eer_interval: Sequence[float]
    emotion: float
    emotion_interval: Sequence[float]


def draw_trade_off(panels: Mapping[str, Sequence[TradePoint]], label: str) -> str:
    """Draw emotion recognition by the equal error rate of attackers, a panel for each modality.

    Args:
        panels: {heading: points}; the first point is without protection.
        label: of the vertical axis.

    Returns:
        A PNG, base64.
    """
    figure, row = canvas(WIDTH if len(panels) > 1 else 5.6, 3.6, columns=len(panels))
    for axes, (title, points) in zip(row, panels.items(), strict=True):
        for number, point in enumerate(points):
            colour = INK if not number else [ACCENT, *LINES][(number - 1) % (len(LINES) + 1)]
            wide = _spread(point.eer, point.eer_interval)
            high = _spread(point.emotion, point.emotion_interval)
            axes.errorbar(point.eer, point.emotion, xerr=wide, yerr=high, fmt="none", ecolor=colour, elinewidth=0.7,
                          alpha=0.45, zorder=2)  # fmt: skip
            axes.plot(point.eer, point.emotion, "o", color=colour, markersize=6, label=point.name, zorder=3)
        axes.axvline(0.5, color=ALERT, linewidth=1, linestyle="--")
        axes.text(0.5, 1.01, "chance", color=ALERT, fontsize=8, ha="center", transform=axes.get_xaxis_transform())
        axes.set(xlim=(-0.02, 0.72), ylim=(0, 1))
        axes.set_title(title, fontsize=9, color=INK, loc="left", pad=14)
        axes.set_xlabel("EER of the strongest attacker (more: more private)")
        axes.grid(color=GREY, alpha=0.15, linewidth=0.6)
        axes.legend(frameon=False, fontsize=8, loc="best")
    row[0].set_ylabel(label)
    return encoded(figure)


def _spread(value: float, interval: Sequence[float]) -> list[list[float]]:
    """Distances to the ends of an interval; zero where an end is undefined."""
    low, high = (value if end != end else end for end in interval)
    return [[max(0.0, value - low)], [max(0.0, high - value)]]
