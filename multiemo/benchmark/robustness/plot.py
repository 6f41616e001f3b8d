"""Robustness curves as small multiples, one panel per corruption."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from multiemo import plots
from multiemo.benchmark.measurements import Curve
from multiemo.benchmark.robustness.corruptions import CORRUPTIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 4
_ROW_HEIGHT = 1.95
#: Corruptions whose severity is the share of clips without the modality; bars would repeat the axis.
_TAKEN = {name for name, corruption in CORRUPTIONS.items() if corruption.function is None}
_FULL, _SINGLE = plots.ACCENT, plots.LINES[1]


def plot_robustness(curves: Sequence[Curve]) -> str:
    """Draw UAR (for dimensions, CCC) by severity with 95% intervals.

    The dashed line is the figure without corruption, the dotted line the prior. Grey bars are the share of clips in
    which nothing is left of the modality. Corruptions that were skipped have no panel.

    Args:
        curves: result of :func:`~multiemo.benchmark.robustness.curves.robustness_curves`.

    Returns:
        A PNG, base64; empty if nothing was measured.
    """
    panels: dict[str, list[Curve]] = {}
    for curve in curves:
        if curve.points:
            panels.setdefault(curve.corruption, []).append(curve)
    if not panels:
        return ""
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure, grid = plots.canvas(height=0.45 + _ROW_HEIGHT * rows, columns=columns, rows=rows)
    low, high = _range(curves)
    for number, (axes, (name, lines)) in enumerate(zip(grid, panels.items(), strict=False)):
        for curve in sorted(lines, key=lambda c: len(c.subset)):
            _draw(axes, curve, _FULL if len(curve.subset) > 1 or len(lines) == 1 else _SINGLE)
        axes.set_title(name.replace("_", " ").replace("asr", "ASR"), fontsize=9, color=plots.INK, loc="left")
        axes.set(xlabel=lines[0].unit, ylim=(low, high))
        if number % columns == 0:
            axes.set_ylabel("UAR" if lines[0].points[0].uar is not None else "CCC")
    prior = next((c.prior for c in curves if c.prior is not None), None)
    if prior is not None:
        _write(grid[0], 0.02, prior, "prior", plots.ALERT, above=False)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return plots.encoded(figure)


def _draw(axes: Axes, curve: Curve, colour: str) -> None:
    """Draw one curve; severities are equally spaced, whatever their unit."""
    places = list(range(len(curve.points)))
    values = [point.main for point in curve.points]
    if curve.corruption not in _TAKEN:
        axes.bar(places, [point.absent for point in curve.points], color=plots.GREY, alpha=0.2, width=0.8, zorder=1)
    low, high = zip(*(point.main_ci for point in curve.points), strict=True)
    axes.fill_between(places, low, high, color=colour, alpha=0.16, linewidth=0, zorder=2)
    axes.axhline(values[0], color=colour, linewidth=0.9, linestyle="--", zorder=2)
    if curve.prior is not None:
        axes.axhline(curve.prior, color=plots.ALERT, linewidth=0.9, linestyle=":", zorder=2)
    axes.plot(places, values, color=colour, marker="o", markersize=3, linewidth=1.4, zorder=3)
    _write(axes, 0.99, values[0], curve.subset, colour, above=colour == _FULL)
    labels = ["clean" if point.severity is None else f"{point.severity:g}" for point in curve.points]
    axes.set_xticks(places, labels, fontsize=7)


def _write(axes: Axes, across: float, height: float, text: str, colour: str, *, above: bool) -> None:
    """Write a word at a horizontal line; ``across`` is the position as a share of the panel's width."""
    axes.annotate(text, (across, height), xycoords=axes.get_yaxis_transform(), xytext=(0, 2 if above else -2),
                  textcoords="offset points", color=colour, fontsize=7, zorder=4,
                  ha="right" if across > 0.5 else "left", va="bottom" if above else "top")  # fmt: skip


def _range(curves: Sequence[Curve]) -> tuple[float, float]:
    """Limits of the vertical axis: zero (or the lowest figure below it) to just above the highest interval end."""
    points = [point for curve in curves for point in curve.points]
    highest = max(max(point.main, point.main_ci[1]) for point in points)
    return plots.axis_start([point.main for point in points], ()), min(1.0, highest + 0.03)
