"""Plots in one style: plain numbers in, a PNG as base64 text out, to be embedded in a self-contained page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Width of a plot that fills the page (inches) and its resolution (dots per inch).
WIDTH = 8.4
_DPI = 180

ACCENT, PALE, ALERT, INK, GREY = "#2f5d8c", "#9bb7d4", "#b33a3a", "#1c2530", "#8a95a3"
#: Colours of the other lines, in order; they stay distinct for red-green colour-blind readers (Okabe & Ito 2008).
LINES: tuple[str, ...] = ("#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#b8860b", "#5d6b7a")


def canvas(
    width: float = WIDTH,
    height: float = 3.2,
    *,
    columns: int = 1,
    rows: int = 1,
) -> tuple[Figure, list[Axes]]:
    """Create an empty figure in the style of all plots.

    Args:
        width, height: of the figure, inches.
        columns: number of axes side by side.
        rows: number of rows of axes.

    Returns:
        The figure and its axes, row by row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows, columns)
    panels = [figure.add_subplot(grid[i // columns, i % columns]) for i in range(rows * columns)]
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#b9c4d0")
        axes.tick_params(colors="#55606e", labelsize=8, length=3)
        axes.xaxis.label.set(color=INK, size=9)
        axes.yaxis.label.set(color=INK, size=9)
    return figure, panels


def encoded(figure: Figure) -> str:
    """Render a figure as a PNG, base64."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def draw_bars(
    values: Mapping[str, float],
    intervals: Mapping[str, Sequence[float]],
    *,
    label: str,
    highlight: str | None = None,
    reference: tuple[str, float] | None = None,
) -> str:
    """Draw horizontal bars with intervals, the first on top.

    The axis ends at one. It begins at zero, or below it if a bar or an interval does.

    Args:
        values: {name: length}.
        intervals: {name: (low, high)}; a name that is missing gets no whiskers.
        label: of the axis.
        highlight: name of the emphasised bar.
        reference: name and value of a dashed reference line.

    Returns:
        A PNG, base64.
    """
    figure, (axes,) = canvas(height=0.9 + 0.34 * len(values))
    names = list(values)[::-1]
    lengths = [values[n] for n in names]
    spread = whisker_lengths(lengths, [intervals.get(n, (values[n], values[n])) for n in names])
    colours = [ACCENT if n == highlight else PALE for n in names]
    whiskers = {"elinewidth": 1.0, "ecolor": INK}
    axes.barh(names, lengths, xerr=spread, color=colours, error_kw=whiskers, capsize=3, height=0.62)
    if reference is not None:
        name, value = reference
        axes.axvline(value, color=ALERT, linewidth=1.1, linestyle="--")
        axes.text(value, 1.01, name, color=ALERT, fontsize=8, ha="center", va="bottom",
                  transform=axes.get_xaxis_transform())  # fmt: skip
    axes.set_xlim(axis_start(lengths, intervals.values()), 1)
    axes.set_xlabel(label)
    return encoded(figure)


def draw_confusion(matrix: Sequence[Sequence[float]], labels: Sequence[str]) -> str:
    """Draw a confusion matrix (rows are the truth): counts, shaded by their share of the row."""
    size = len(labels)
    figure, (axes,) = canvas(min(WIDTH, 1.9 + 0.6 * size), min(WIDTH, 1.4 + 0.5 * size))
    shares = [[v / max(sum(row), 1) for v in row] for row in matrix]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    small = 8 if size <= 12 else 5
    for i, row in enumerate(matrix):
        for j, count in enumerate(row):
            colour = "white" if shares[i][j] > 0.55 else INK if count else "#c3ccd6"
            axes.text(j, i, f"{count:.0f}", ha="center", va="center", fontsize=small, color=colour)
    axes.set_xticks(range(size), labels, rotation=40, ha="right", fontsize=small)
    axes.set_yticks(range(size), labels, fontsize=small)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    return encoded(figure)


def draw_training(history: Mapping[str, Sequence[Mapping[str, Any]]], figure: str = "uar", name: str = "UAR") -> str:
    """Draw a validation figure by epoch, one line per stage.

    Args:
        history: {stage: epoch records with ``epoch``, ``val`` and ``best``}.
        figure: key of the figure in ``val``.
        name: of the figure, for the axis.

    Returns:
        A PNG, base64.
    """
    from matplotlib.ticker import MaxNLocator

    canvas_, (axes,) = canvas()
    for colour, (stage, records) in zip(_colours(len(history)), history.items(), strict=True):
        epochs = [r["epoch"] for r in records]
        axes.plot(epochs, [r["val"][figure] for r in records], label=stage, color=colour, linewidth=1.4)
        best = max((r for r in records if r["best"]), key=lambda r: int(r["epoch"]), default=None)
        if best is not None:
            axes.plot(best["epoch"], best["val"][figure], "o", color=colour, markersize=5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch (the dot marks the one that was kept)")
    axes.set_ylabel(f"validation {name}")
    axes.legend(frameon=False, fontsize=8)
    return encoded(canvas_)


def draw_reliability(diagrams: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]) -> str:
    """Draw reliability diagrams side by side: accuracy by confidence, before and after calibration.

    The area of a dot grows with the number of clips in its bin.

    Args:
        diagrams: {title: {``raw`` or ``calibrated`` or both: bins of :func:`multiemo.calibration.reliability`}}.

    Returns:
        A PNG, base64.
    """
    figure, row = canvas(height=0.35 + min(WIDTH / len(diagrams), 3.4), columns=len(diagrams))
    styles: dict[str, dict[str, Any]] = {
        "raw": {"color": GREY, "facecolor": "white", "label": "before"},
        "calibrated": {"color": ACCENT, "facecolor": ACCENT, "label": "after"},
    }
    for axes, (title, diagram) in zip(row, diagrams.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="#c3ccd6", linewidth=1, linestyle="--", zorder=1)
        for name, bins in diagram.items():
            style = styles[name]
            most = max(bins["n"], default=1)
            areas = [8 + 52 * n / most for n in bins["n"]]
            axes.plot(bins["confidence"], bins["accuracy"], color=style["color"], linewidth=0.9, alpha=0.6, zorder=2)
            axes.scatter(bins["confidence"], bins["accuracy"], areas, facecolor=style["facecolor"],
                         edgecolor=style["color"], linewidth=1, label=style["label"], zorder=3)  # fmt: skip
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axes.set_title(title, fontsize=9, color=INK)
        axes.set_xlabel("confidence")
    row[0].set_ylabel("share that is correct")
    if len(next(iter(diagrams.values()))) > 1:
        row[0].legend(frameon=False, fontsize=8, loc="upper left", markerscale=0.7, borderpad=0, handletextpad=0.2)
    return encoded(figure)


def draw_risk_coverage(
    curves: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    points: Mapping[str, tuple[float, float]] | None = None,
    max_error: float | None = None,
) -> str:
    """Draw the error rate of the labelled clips by the share of clips that get a label; the last curve is emphasised.

    Args:
        curves: {name: {"coverage", "risk"}}.
        points: {name: (coverage, error)} at the abstention threshold.
        max_error: the allowed error rate, drawn as a dashed line.

    Returns:
        A PNG, base64.
    """
    figure, (axes,) = canvas(height=3.4)
    for colour, (name, curve) in zip(_colours(len(curves)), curves.items(), strict=True):
        main = colour == ACCENT
        axes.plot(curve["coverage"], curve["risk"], color=colour, linewidth=2 if main else 1.3, zorder=3 if main else 2)
        if points and name in points:
            axes.plot(*points[name], "o", color=colour, markersize=7, markeredgecolor="white", zorder=4)
    if max_error is not None:
        axes.axhline(max_error, color=ALERT, linewidth=1.1, linestyle="--")
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
        axes.text(
            0.005, max_error, f"max_error {max_error:g}", color=ALERT, fontsize=8, va="bottom", bbox=box, zorder=5
        )
    axes.set(xlim=(0, 1.0), ylim=(0, None))
    heights = _separated([curve["risk"][-1] for curve in curves.values()], 0.06 * axes.get_ylim()[1])
    for colour, name, height in zip(_colours(len(curves)), curves, heights, strict=True):
        weight = "bold" if colour == ACCENT else "normal"
        axes.annotate(name, (1.0, height), xytext=(5, 0), textcoords="offset points", color=colour, fontsize=9,
                      fontweight=weight, va="center", annotation_clip=False)  # fmt: skip
    axes.set_xlabel("share of the clips that get a label, the most confident first")
    axes.set_ylabel("error rate among them")
    return encoded(figure)


def _separated(heights: Sequence[float], gap: float) -> list[float]:
    """Heights of labels, moved up where two are closer than ``gap``, so that the labels do not overlap."""
    placed = list(heights)
    order = sorted(range(len(placed)), key=placed.__getitem__)
    for below, above in pairwise(order):
        placed[above] = max(placed[above], placed[below] + gap)
    return placed


def axis_start(values: Iterable[float], ends: Iterable[Sequence[float]]) -> float:
    """Lower end of an axis of figures: zero, or the lowest figure or interval end below it."""
    return min(0.0, *values, *(low for low, _ in ends))


def whisker_lengths(values: Sequence[float], ends: Sequence[Sequence[float]]) -> list[list[float]]:
    """Distances from each value to the lower and to the upper end of its interval."""
    pairs = list(zip(values, ends, strict=True))
    return [[max(0.0, v - low) for v, (low, _) in pairs], [max(0.0, high - v) for v, (_, high) in pairs]]


def _colours(count: int) -> list[str]:
    """A colour for each line; the last one is the accent."""
    return [*(LINES[i % len(LINES)] for i in range(count - 1)), ACCENT]
