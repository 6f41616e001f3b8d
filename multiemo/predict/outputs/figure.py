"""The timeline as one picture (PNG)."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from multiemo import plots
from multiemo.calibration import UNCERTAIN
from multiemo.predict.outputs.colours import MODALITY_COLOURS, ink_on, label_colours
from multiemo.predict.outputs.lettering import Lettering, any_weight, columns, first_fitting, fitted, lettering
from multiemo.predict.outputs.timeline import (
    Block,
    Entry,
    Part,
    Timeline,
    alone,
    caption,
    clock,
    marks,
    spaced,
    stacked,
    timeline,
)
from multiemo.predict.traces import Traces
from multiemo.types import DIMENSIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches: widths, what stands left and right of the lanes, the small letters, and heights.
_NARROW, _WIDE, _A_PART, _MARGIN = 10.0, 30.0, 0.6, 1.25
_COLUMN, _LETTER = 0.061, 0.13
_LANE, _SMALL_LANE, _STRIP, _ROW = 1.35, 0.75, 0.2, 0.6
_LETTERS = 7.0
_HATCH = "#b9c4d0"
_PITCH_RANGE = (60.0, 600.0)
_POINTS = 4000
#: Lines of words, and the fewest columns in which any are written.
_LINES, _FEW = 4, 8


@dataclass(slots=True)
class _Picture:
    """What every panel needs."""

    entry: Entry
    traces: Traces
    shown: Timeline
    letters: Lettering
    colours: dict[str, str]
    columns_per_second: float

    def tiles(
        self, axes: Axes, tiles: Sequence[tuple[float, float, str, Sequence[str]]], low: float, height: float
    ) -> None:
        """Rectangles of (left, right, label, what may be written on it) in the labels' colours."""
        colours = [self.colours[label] for _, _, label, _ in tiles]
        axes.broken_barh([(left, right - left) for left, right, *_ in tiles], (low, height), facecolors=colours)
        for (left, right, _, texts), colour in zip(tiles, colours, strict=True):
            text = first_fitting([self.letters.drawable(text) for text in texts], self.room(left, right))
            self.write(axes, (left + right) / 2, low + height / 2, text, color=ink_on(colour))

    def room(self, left: float, right: float) -> int:
        """Columns of letters between two times."""
        return int((right - left) * self.columns_per_second - 0.5)

    def write(self, axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
        """Small letters about a point."""
        if text:
            axes.text(x, y, text, ha="center", va="center", fontsize=_LETTERS, fontfamily=self.letters.family,
                      parse_math=False, clip_on=True, **style)  # fmt: skip


def png(entry: Entry, traces: Traces) -> bytes:
    """Lanes one below the other, over time.

    Label and stacked probabilities after smoothing and of each segment by itself, each modality's own label,
    contributions, faces, sound with pitch, words, valence and the like, people. Spans that were skipped are hatched.
    What is not there, or does not fit (words of an hour), has no lane; a note says so where something was left out.

    Args:
        entry: of the prediction JSON.
        traces: may be empty.
    """
    shown = timeline(entry)
    width = min(_WIDE, max(_NARROW, _A_PART * len(shown.parts)))
    texts = [str(entry["input"]), *shown.labels, *(str(p.said.get("text") or "") for p in shown.parts)]
    picture = _Picture(entry, traces, shown, lettering(texts), label_colours([*shown.labels, *shown.bands]),
                       (width - _MARGIN) / shown.whole / _COLUMN)  # fmt: skip
    panels, notes = _panels(picture)
    heights = [height for _, height, _ in panels]
    figure, rows = plots.canvas(width, 1.35 + sum(heights) + 0.07 * len(panels), rows=len(panels), heights=heights)
    figure.get_layout_engine().set(h_pad=0.03, hspace=0.0)  # type: ignore[union-attr, call-arg]
    for axes, (name, _, draw) in zip(rows, panels, strict=True):
        _prepare(axes, name, shown.whole)
        draw(axes)
    rows[-1].tick_params(labelbottom=True, bottom=True)
    rows[-1].set_xticks(marks(shown.whole, int(1.4 * width)))
    _frame(picture, rows, notes, width)
    buffer = io.BytesIO()
    with any_weight():
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


_Panel = tuple[str, float, Callable[["Axes"], None]]


def _panels(picture: _Picture) -> tuple[list[_Panel], list[str]]:
    """(name, inches, how it is drawn) from top to bottom, and notes on what was left out."""
    shown, traces, notes = picture.shown, picture.traces, list[str]()
    panels: list[_Panel] = []
    people = {name: blocks for name, blocks in shown.lanes.items() if name.startswith("person ")}
    for name, blocks in shown.lanes.items():
        if name not in people:
            tall = name == "smoothed" or "smoothed" not in shown.lanes
            look = (1.0, _LANE) if tall else (0.6, _SMALL_LANE)
            panels.append((name, look[1], _later(_lane, picture, blocks, *look)))
    panels += [(m, _STRIP, _later(_branch, picture, m)) for m in shown.modalities]
    segments = [p for p in shown.parts if p.index is not None]
    if any(p.said.get("contribution") for p in segments):
        panels.append(("contribution", _ROW, _later(_contributions, picture)))
    if traces.thumbnails:
        panels.append(("face seen", _ROW, _later(_faces, picture)))
    if traces.audible:
        panels.append(("sound", _ROW, _later(_sound, picture)))
    words = [(p, str(p.said["text"])) for p in shown.parts if p.said.get("text")]
    if any(picture.letters.lacks(text) for _, text in words):
        notes.append("no installed font has the characters of the words; the HTML page shows them")
    elif any(picture.room(p.left, p.right) >= _FEW for p, _ in words):
        panels.append(("words", _ROW, _later(_words, picture)))
    elif words:
        notes.append("the words do not fit into this picture; the HTML page shows them")
    if any(d in p.said for p in segments for d in DIMENSIONS):
        panels.append(("dimensions", _ROW, _later(_dimensions, picture)))
    panels += [(name, _SMALL_LANE, _later(_lane, picture, blocks, 1.0, _SMALL_LANE)) for name, blocks in people.items()]
    return panels, notes


def _later(draw: Callable[..., None], picture: _Picture, *given: Any) -> Callable[[Axes], None]:
    return lambda axes: draw(axes, picture, *given)


def _prepare(axes: Axes, name: str, whole: float) -> None:
    axes.set(xlim=(0, whole), yticks=[])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("left")
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(labelbottom=False, bottom=False)
    axes.xaxis.set_major_formatter(lambda seconds, _: clock(seconds))
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8, color=plots.INK, parse_math=False)


def _lane(axes: Axes, picture: _Picture, blocks: Sequence[Block], alpha: float, inches: float) -> None:
    """Stacked probabilities from 0 to 1, and the label in a strip above them."""
    strip = _STRIP / (inches - _STRIP)
    axes.set_ylim(0, 1.02 + strip)
    picture.tiles(axes, [(b.left, b.right, b.label, (caption(b.label, b.probs), b.label)) for b in blocks], 1.02, strip)
    x, index = _steps(blocks)
    heights = np.array([*(picture.shown.shares(b.probs) for b in blocks), [np.nan] * len(picture.shown.bands)])
    tops = np.cumsum(heights[index], axis=1).T
    for i, label in enumerate(picture.shown.bands):
        below = tops[i - 1] if i else np.where(np.isnan(tops[0]), np.nan, 0.0)
        axes.fill_between(x, below, tops[i], color=picture.colours[label], alpha=alpha, linewidth=0)
    for block, shares in zip(blocks, heights, strict=False):
        low = 0.0
        for label, share in zip(picture.shown.bands, shares, strict=True):
            text = picture.letters.drawable(f"{label} {share:.0%}")
            if (
                label != block.label
                and share * (inches - _STRIP) > _LETTER
                and columns(text) <= picture.room(block.left, block.right)
            ):
                ink = ink_on(picture.colours[label]) if alpha == 1 else plots.INK
                picture.write(axes, (block.left + block.right) / 2, low + share / 2, text, color=ink)
            low += share


def _steps(blocks: Sequence[Block | Part]) -> tuple[list[float], list[int]]:
    """Times of step curves, and which block holds there; -1 in a gap."""
    x: list[float] = []
    index: list[int] = []
    for i, block in enumerate(blocks):
        if x and block.left > x[-1]:
            x.append(x[-1])
            index.append(-1)
        x += [block.left, block.right]
        index += [i, i]
    return x, index


def _branch(axes: Axes, picture: _Picture, modality: str) -> None:
    """The label that one modality would have by itself; empty where it is absent."""
    heard = [(p, alone(p.said).get(modality)) for p in picture.shown.parts]
    axes.set_ylim(0, 1)
    picture.tiles(axes, [(p.left, p.right, said[0], (said[0],)) for p, said in heard if said], 0, 1)


def _contributions(axes: Axes, picture: _Picture) -> None:
    """What each modality adds to the probability of the label, up or down, stacked."""
    segments = [p for p in picture.shown.parts if p.index is not None]
    piles = stacked(segments, picture.shown.modalities)
    x, index = _steps(segments)
    for m, spans in piles.items():
        low, high = np.array([*spans, (np.nan, np.nan)])[index].T
        axes.fill_between(x, low, high, color=MODALITY_COLOURS[m], linewidth=0)
    ends = [end for spans in piles.values() for span in spans for end in span]
    axes.axhline(0, color=plots.INK, linewidth=0.6)
    highest = max(0.05, *ends)
    axes.set(ylim=(min(0.0, *ends), highest), yticks=[0, round(highest, 2)])
    axes.tick_params(axis="y", labelsize=6)


def _faces(axes: Axes, picture: _Picture) -> None:
    """Thumbnails at the middle of their segments, as many as there is room for."""
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    faces = picture.traces.thumbnails
    seen = [p for p in picture.shown.parts if p.index in faces]
    axes.set_ylim(0, 1)
    for part, middle in spaced(seen, _ROW / (picture.columns_per_second * _COLUMN), picture.shown.whole):
        assert part.index is not None
        face = faces[part.index]
        axes.add_artist(AnnotationBbox(OffsetImage(face, zoom=0.94 * _ROW * 72 / len(face)), (middle, 0.5),
                                       frameon=False, pad=0))  # fmt: skip


def _sound(axes: Axes, picture: _Picture) -> None:
    """The waveform's envelope, and the pitch over it on a scale of octaves."""
    times, loud = picture.traces.loudness(_POINTS)
    axes.fill_between(times, -loud, loud, color=plots.PALE, linewidth=0)
    axes.set_ylim(-1.05, 1.05)
    if picture.traces.pitch.size:
        over = axes.twinx()
        over.plot(*picture.traces.melody(_POINTS), color=plots.INK, linewidth=0.9)
        over.set(yscale="log", ylim=_PITCH_RANGE)
        over.set_yticks([100, 200, 400], ["100 Hz", "200", "400"])
        over.set_yticks([], minor=True)
        over.tick_params(labelsize=6, colors="#55606e", length=2)
        over.spines[:].set_visible(False)


def _words(axes: Axes, picture: _Picture) -> None:
    axes.set_ylim(0, 1)
    for part in picture.shown.parts:
        text = picture.letters.drawable(part.said.get("text") or "")
        room = picture.room(part.left, part.right)
        lines = fitted(text, room - 1, _LINES) if room >= _FEW or columns(text) < room else ["…" if text else ""]
        picture.write(axes, (part.left + part.right) / 2, 0.5, "\n".join(lines), color=plots.INK)


def _dimensions(axes: Axes, picture: _Picture) -> None:
    """Valence, arousal and dominance of each segment, -1 to 1."""
    segments = [p for p in picture.shown.parts if p.index is not None]
    for name, style in zip(DIMENSIONS, ("-", "--", ":"), strict=True):
        found = [p for p in segments if p.said.get(name) is not None]
        if found:
            x = np.array([[p.left, p.right, p.right] for p in found]).ravel()
            y = np.array([[p.said[name], p.said[name], np.nan] for p in found]).ravel()
            axes.plot(x, y, style, color=plots.INK, linewidth=1.1, label=name)
    axes.axhline(0, color="#c3ccd6", linewidth=0.6, zorder=0)
    axes.set(ylim=(-1.05, 1.05), yticks=[-1, 1])
    axes.tick_params(axis="y", labelsize=6)
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=6, frameon=False, handlelength=1.6)


def _frame(picture: _Picture, rows: Sequence[Axes], notes: Sequence[str], width: float) -> None:
    """Title, legend, the hatches of skipped spans, and notes."""
    from matplotlib.patches import Patch

    shown, letters = picture.shown, picture.letters
    skipped = [p for p in shown.parts if p.index is None]
    for axes, name in zip(rows, shown.lanes, strict=False):
        for part in skipped if not name.startswith("person ") else ():
            axes.axvspan(part.left, part.right, facecolor="none", edgecolor=_HATCH, hatch="////", linewidth=0)
    said = fitted(letters.drawable(picture.entry["input"]), int(9 * width)) or [""]
    rows[0].set_title(f"{said[0]}   {clock(shown.whole)}", loc="left", fontsize=9, color=plots.INK, parse_math=False,
                      fontfamily=letters.family)  # fmt: skip
    labels = [label for label in [*shown.bands, UNCERTAIN] if label in shown.bands or label in shown.labels]
    key = [(letters.drawable(label), Patch(color=picture.colours[label])) for label in labels]
    if any(p.said.get("contribution") for p in shown.parts):
        key += [(f"{m} contributes", Patch(color=MODALITY_COLOURS[m])) for m in shown.modalities]
    if skipped:
        key.append(("skipped", Patch(facecolor="none", edgecolor=_HATCH, hatch="//////", linewidth=0)))
    if key:
        names = [f" {name}" for name, _ in key]  # a legend leaves out what begins with an underscore
        lines = math.ceil(sum(map(columns, names), 5 * len(key)) / (13 * width))
        rows[0].figure.legend([patch for _, patch in key], names, loc="outside lower center", frameon=False,
                              ncols=math.ceil(len(key) / lines), columnspacing=1.2, handlelength=1.2,
                              prop={"family": letters.family, "size": 7})  # fmt: skip
    if notes:
        rows[-1].set_xlabel("; ".join(notes), loc="left", fontsize=7)
