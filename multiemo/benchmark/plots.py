"""Plots that only a benchmark draws: systems side by side, recall of each label, figure against cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan

from multiemo.plots import ACCENT, ALERT, GREY, INK, LINES, axis_start, canvas, encoded, whisker_lengths


def draw_points(
    values: Mapping[str, Mapping[str, float]],
    intervals: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    label: str,
    reference: tuple[str, float] | None = None,
) -> str:
    """Draw the values of several systems as dots with intervals, one row per name; the first system is emphasised.

    Args:
        values: {system: {name: value}}; the rows are the names of the first system, the first on top.
        intervals: {system: {name: (low, high)}}.
        label: of the axis, which goes from zero (or the lowest end below it) to one.
        reference: name and value of a dashed reference line.

    Returns:
        A PNG, base64.
    """
    names = list(next(iter(values.values())))
    figure, (axes,) = canvas(height=1.1 + 0.36 * len(names))
    colours = [ACCENT, *LINES[1:]]
    for number, (system, found) in enumerate(values.items()):
        rows = [i for i, name in enumerate(names) if name in found]
        x = [found[names[i]] for i in rows]
        spread = whisker_lengths(x, [intervals[system][names[i]] for i in rows])
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
    axes.set(xlim=(axis_start([v for found in values.values() for v in found.values()], ends), 1), axisbelow=True)
    axes.set_xlabel(label)
    if len(values) > 1:
        axes.legend(frameon=False, fontsize=8, loc="lower right")
    return encoded(figure)


def draw_heat(rows: Mapping[str, Sequence[float]], columns: Sequence[str]) -> str:
    """Draw the recall of each label as shaded cells with their values.

    Args:
        rows: {name of a row: a value within 0..1 for each column, or NaN}; at least one row.
        columns: names of the columns.

    Returns:
        A PNG, base64.
    """
    small = 8 if len(columns) <= 12 else 5
    figure, (axes,) = canvas(height=0.9 + 0.32 * len(rows))
    axes.imshow(list(rows.values()), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, values in enumerate(rows.values()):
        for j, value in enumerate(values):
            axes.text(j, i, "-" if isnan(value) else f"{value:.2f}", ha="center", va="center", fontsize=small,
                      color="white" if value > 0.55 else INK)  # fmt: skip
    axes.set_xticks(range(len(columns)), columns, fontsize=small, rotation=0 if len(columns) <= 9 else 40,
                    ha="center" if len(columns) <= 9 else "right")  # fmt: skip
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_title("recall", fontsize=9, color=INK, loc="left")
    return encoded(figure)


def draw_scatter(places: Mapping[str, tuple[float, float]], *, x: str, y: str, highlight: str) -> str:
    """Draw named dots: a figure against its cost, on a logarithmic axis.

    Args:
        places: {name: (cost above zero, figure within 0..1)}.
        x, y: labels of the axes.
        highlight: name of the emphasised dot.

    Returns:
        A PNG, base64.
    """
    figure, (axes,) = canvas(height=3.6)
    sides = (
        ((-8, 0), "right", "center"),
        ((8, 0), "left", "center"),
        ((0, 7), "center", "bottom"),
        ((0, -7), "center", "top"),
    )  # fmt: skip  (alternating, so that the names of neighbours do not overlap)
    for number, (name, place) in enumerate(sorted(places.items(), key=lambda item: item[1])):
        colour = ACCENT if name == highlight else GREY
        offset, across, along = sides[number % len(sides)]
        axes.plot(*place, "o", color=colour, markersize=7)
        axes.annotate(name, place, xytext=offset, textcoords="offset points", fontsize=9, color=colour, ha=across,
                      va=along)  # fmt: skip
    axes.set_xscale("log")
    axes.grid(color="#e3e8ee", linewidth=0.8)
    axes.set(ylim=(axis_start([height for _, height in places.values()], ()), 1), axisbelow=True)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return encoded(figure)
