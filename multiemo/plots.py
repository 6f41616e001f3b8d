"""Plots in one quiet style: plain numbers in, a PNG as base64 text out, for pages that load nothing from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Inches of a plot that fills the page, and dots an inch.
WIDTH = 8.4
_DPI = 180

ACCENT, PALE, ALERT, INK, GREY = "#2f5d8c", "#9bb7d4", "#b33a3a", "#1c2530", "#8a95a3"
#: Lines beside the accented one, in order; told apart also by people who do not see red and green (Okabe & Ito 2008).
LINES: tuple[str, ...] = ("#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#b8860b", "#5d6b7a")


def canvas(
    width: float = WIDTH,
    height: float = 3.2,
    *,
    columns: int = 1,
    rows: int = 1,
) -> tuple[Figure, list[Axes]]:
    """An empty figure of axes, in the style of all plots.

    Args:
        width, height: inches.
        columns: axes side by side.
        rows: of such axes, one below the other.
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
    """The PNG of a figure, base64."""
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
    """Horizontal bars with intervals, the first on top, on an axis from zero (or the lowest end below it) to one.

    Args:
        values: {name: length}.
        intervals: {name: (low, high)}; a name without one has no whiskers.
        label: of the axis.
        highlight: the bar that the page is about.
        reference: name and value of a dashed line.
    """
    figure, (axes,) = canvas(height=0.9 + 0.34 * len(values))
    names = list(values)[::-1]
    lengths = [values[n] for n in names]
    spread = _whiskers(lengths, [intervals.get(n, (values[n], values[n])) for n in names])
    colours = [ACCENT if n == highlight else PALE for n in names]
    whiskers = {"elinewidth": 1.0, "ecolor": INK}
    axes.barh(names, lengths, xerr=spread, color=colours, error_kw=whiskers, capsize=3, height=0.62)
    if reference is not None:
        name, value = reference
        axes.axvline(value, color=ALERT, linewidth=1.1, linestyle="--")
        axes.text(value, 1.01, name, color=ALERT, fontsize=8, ha="center", va="bottom",
                  transform=axes.get_xaxis_transform())  # fmt: skip
    axes.set_xlim(lowest(lengths, intervals.values()), 1)
    axes.set_xlabel(label)
    return encoded(figure)


def draw_points(
    values: Mapping[str, Mapping[str, float]],
    intervals: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    label: str,
    reference: tuple[str, float] | None = None,
) -> str:
    """Systems side by side for every name: a dot with its interval, the first system in front.

    Args:
        values: {system: {name: value}}; the names of the first system are the rows, the first on top.
        intervals: {system: {name: (low, high)}}.
        label: of the axis, which goes from zero (or the lowest end below it) to one.
        reference: name and value of a dashed line.
    """
    names = list(next(iter(values.values())))
    figure, (axes,) = canvas(height=1.1 + 0.36 * len(names))
    colours = [ACCENT, *LINES[1:]]
    for number, (system, found) in enumerate(values.items()):
        rows = [i for i, name in enumerate(names) if name in found]
        x = [found[names[i]] for i in rows]
        spread = _whiskers(x, [intervals[system][names[i]] for i in rows])
        y = [i + 0.26 * number for i in rows]
        axes.errorbar(x, y, xerr=spread, fmt="o", color=colours[number], markersize=6 if number == 0 else 4.5,
                      elinewidth=1.4 if number == 0 else 1.0, capsize=2.5, label=system)  # fmt: skip
    if reference is not None:
        name, value = reference
        axes.axvline(value, color=ALERT, linewidth=1.1, linestyle="--")
        axes.text(value, 1.01, name, color=ALERT, fontsize=8, ha="center", va="bottom",
                  transform=axes.get_xaxis_transform())  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.grid(axis="x", color="#e3e8ee", linewidth=0.8)
    ends = [span for found in intervals.values() for span in found.values()]
    axes.set(xlim=(lowest([v for found in values.values() for v in found.values()], ends), 1), axisbelow=True)
    axes.set_xlabel(label)
    if len(values) > 1:
        axes.legend(frameon=False, fontsize=8, loc="lower right")
    return encoded(figure)


def draw_heat(rows: Mapping[str, Sequence[float]], columns: Sequence[str]) -> str:
    """Shares from zero to one as shaded cells with their values; empty where there are no rows.

    Args:
        rows: {name: a value a column}.
        columns: names.
    """
    if not rows:
        return ""
    small = 8 if len(columns) <= 12 else 5
    figure, (axes,) = canvas(height=0.9 + 0.32 * len(rows))
    axes.imshow(list(rows.values()), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, values in enumerate(rows.values()):
        for j, value in enumerate(values):
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=small,
                      color="white" if value > 0.55 else INK)  # fmt: skip
    axes.set_xticks(range(len(columns)), columns, fontsize=small, rotation=0 if len(columns) <= 9 else 40,
                    ha="center" if len(columns) <= 9 else "right")  # fmt: skip
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_title("recall", fontsize=9, color=INK, loc="left")
    return encoded(figure)


def draw_scatter(places: Mapping[str, tuple[float, float]], *, x: str, y: str, highlight: str) -> str:
    """Named dots on a logarithmic axis of cost.

    Args:
        places: {name: (cost above zero, figure within 0..1)}.
        x, y: axis labels.
        highlight: the dot that the page is about.
    """
    figure, (axes,) = canvas(height=3.6)
    sides = (
        ((-8, 0), "right", "center"),
        ((8, 0), "left", "center"),
        ((0, 7), "center", "bottom"),
        ((0, -7), "center", "top"),
    )  # fmt: skip  (in turn, so that neighbours do not write over each other)
    for number, (name, place) in enumerate(sorted(places.items(), key=lambda item: item[1])):
        colour = ACCENT if name == highlight else GREY
        offset, across, along = sides[number % len(sides)]
        axes.plot(*place, "o", color=colour, markersize=7)
        axes.annotate(name, place, xytext=offset, textcoords="offset points", fontsize=9, color=colour, ha=across,
                      va=along)  # fmt: skip
    axes.set_xscale("log")
    axes.grid(color="#e3e8ee", linewidth=0.8)
    axes.set(ylim=(lowest([height for _, height in places.values()], ()), 1), axisbelow=True)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return encoded(figure)


def draw_confusion(matrix: Sequence[Sequence[float]], labels: Sequence[str]) -> str:
    """Counts, shaded by their share of the row (the truth)."""
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
    """A validation figure by epoch, a line a stage.

    Args:
        history: {stage: epoch records with ``epoch``, ``val`` and ``best``}.
        figure, name: its key in ``val``, and what it is called.
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
    axes.set_xlabel("epoch (the dot is the one that was kept)")
    axes.set_ylabel(f"validation {name}")
    axes.legend(frameon=False, fontsize=8)
    return encoded(canvas_)


def draw_reliability(diagrams: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]) -> str:
    """Reliability diagrams side by side: how often a stated confidence comes true, before and after calibration.

    Args:
        diagrams: {title: {``raw`` and ``calibrated``, or just one: bins of
            :func:`multiemo.calibration.reliability`}}; the area of a dot goes with the clips in it.
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
    row[0].set_ylabel("share that is right")
    if len(next(iter(diagrams.values()))) > 1:
        row[0].legend(frameon=False, fontsize=8, loc="upper left", markerscale=0.7, borderpad=0, handletextpad=0.2)
    return encoded(figure)


def draw_risk_coverage(
    curves: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    points: Mapping[str, tuple[float, float]] | None = None,
    max_error: float | None = None,
) -> str:
    """Error among the answered clips by the share that is answered; the last curve is the one the page is about.

    Args:
        curves: {name: {"coverage", "risk"}}.
        points: {name: (coverage, error)} at its abstention threshold.
        max_error: the allowed error rate, a dashed line.
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
    heights = _apart([curve["risk"][-1] for curve in curves.values()], 0.06 * axes.get_ylim()[1])
    for colour, name, height in zip(_colours(len(curves)), curves, heights, strict=True):
        weight = "bold" if colour == ACCENT else "normal"
        axes.annotate(name, (1.0, height), xytext=(5, 0), textcoords="offset points", color=colour, fontsize=9,
                      fontweight=weight, va="center", annotation_clip=False)  # fmt: skip
    axes.set_xlabel("share of the clips that is answered, the most confident first")
    axes.set_ylabel("error among them")
    return encoded(figure)


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """The heights, pushed up where two are closer than ``gap``, so that labels at them do not overlap."""
    placed = list(heights)
    order = sorted(range(len(placed)), key=placed.__getitem__)
    for below, above in pairwise(order):
        placed[above] = max(placed[above], placed[below] + gap)
    return placed


def lowest(values: Iterable[float], ends: Iterable[Sequence[float]]) -> float:
    """Where an axis of figures begins: at zero, or below it where a figure or its interval does."""
    return min(0.0, *values, *(low for low, _ in ends))


def _whiskers(values: Sequence[float], ends: Sequence[Sequence[float]]) -> list[list[float]]:
    """How far each interval reaches below and above its value."""
    pairs = list(zip(values, ends, strict=True))
    return [[max(0.0, v - low) for v, (low, _) in pairs], [max(0.0, high - v) for v, (_, high) in pairs]]


def _colours(count: int) -> list[str]:
    """One a line; the accent is for the last of them."""
    return [*(LINES[i % len(LINES)] for i in range(count - 1)), ACCENT]
