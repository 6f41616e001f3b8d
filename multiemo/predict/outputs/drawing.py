"""The lanes of a timeline as inline SVG."""

from __future__ import annotations

import base64
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from xml.etree import ElementTree

import cv2
import numpy as np
from numpy.typing import NDArray

from multiemo.predict.outputs.colours import MODALITY_COLOURS, ink_on
from multiemo.predict.outputs.lettering import columns, first_fitting
from multiemo.predict.outputs.timeline import Block, Timeline, alone, caption, clock, marks, one_line, spaced, stacked
from multiemo.predict.traces import Traces
from multiemo.types import DIMENSIONS

Element = ElementTree.Element

#: Pixels: a segment as it should be, the page's width, the widest that browsers draw well, and heights of lanes.
_SEGMENT, _PAGE, _WIDEST = 64, 960, 60_000
_AXIS, _STRIP, _BRANCH, _BANDS, _LOW_BANDS, _ROW, _WORDS, _GAP = 20, 20, 16, 96, 48, 52, 66, 8
#: Width and height of the small letters; narrower spans than so many of them have an ellipsis for words.
_COLUMN, _LETTER, _FEW = 6.0, 13, 5
_PITCH_RANGE = (60.0, 600.0)
_POINTS = 8000
#: Pixels between marks of time, at least.
_FAR_ENOUGH = 80
_DASHES = ("none", "6 3", "1.5 3")


@dataclass(frozen=True, slots=True)
class Lane:
    """A row of the drawing: its name, where it is from the top in pixels, and what draws it from its own top."""

    name: str
    top: float
    height: float
    draw: Callable[[Element], None]


class Drawing:
    """Draws a timeline.

    Args:
        shown: what is drawn.
        traces: sound and faces.
        colours: {label: colour}.
        tips: tooltip of each part.
    """

    def __init__(self, shown: Timeline, traces: Traces, colours: Mapping[str, str], tips: Sequence[str]) -> None:
        self.shown, self.traces, self.colours, self.tips = shown, traces, colours, tips
        typical = statistics.median([p.right - p.left for p in shown.parts] or [shown.whole]) or shown.whole
        self.width = round(min(_WIDEST, max(_PAGE, shown.whole * _SEGMENT / typical)))
        self._scale = self.width / shown.whole
        self._segments = [p for p in shown.parts if p.index is not None]
        self.lanes: list[Lane] = []
        top = float(_AXIS)
        for name, height, draw in self._laid_out():
            self.lanes.append(Lane(name, top, height, draw))
            top += height + _GAP
        self.height = top

    @property
    def scrolls(self) -> bool:
        """Whether the lanes are wider than the page."""
        return self.width > _PAGE

    def has(self, name: str) -> bool:
        """Whether there is a lane of that name."""
        return any(lane.name == name for lane in self.lanes)

    def svg(self) -> str:
        """The ``svg`` element of all lanes; every text in it is escaped."""
        root = Element("svg", {"width": str(self.width), "height": f"{self.height:.0f}", "role": "img"})
        pattern = _add(root, "pattern", id="hatch", width=7, height=7, patternUnits="userSpaceOnUse",
                       patternTransform="rotate(45)")  # fmt: skip
        _add(pattern, "path", d="M0,0V7", class_="hatching")
        self._axis(root)
        for lane in self.lanes:
            group = _add(root, "g", transform=f"translate(0 {lane.top:g})")
            _add(group, "rect", width=self.width, height=lane.height, class_="lane")
            lane.draw(group)
        self._tips(root)
        return ElementTree.tostring(root, encoding="unicode")

    def overview(self) -> str:
        """The whole time in the width of the page: the label of each segment, a link to its place below."""
        root = Element("svg", {"viewBox": "0 0 1000 24", "preserveAspectRatio": "none", "class": "overview"})
        blocks = next(iter(self.shown.lanes.values()))
        for part, block in zip(self._segments, blocks, strict=True):
            link = _add(root, "a", href=f"#s{part.index}")
            left, right = (1000 * t / self.shown.whole for t in (block.left, block.right))
            rect = _add(link, "rect", x=left, width=right - left, height=24, fill=self.colours[block.label])
            _add(rect, "title").text = f"{clock(block.left)}  {one_line(caption(block.label, block.probs))}"
        return ElementTree.tostring(root, encoding="unicode")

    def _laid_out(self) -> Iterator[tuple[str, float, Callable[[Element], None]]]:
        """(name, height, what draws it) from top to bottom; people come last."""
        shown, traces = self.shown, self.traces
        people = {name: blocks for name, blocks in shown.lanes.items() if name.startswith("person ")}
        for name, blocks in shown.lanes.items():
            if name not in people:
                bands = _BANDS if name == "smoothed" or "smoothed" not in shown.lanes else _LOW_BANDS
                look = "band" if bands == _BANDS else "low"
                yield name, _STRIP + bands, partial(self._bands, blocks=blocks, height=bands, look=look)
        for m in shown.modalities:
            yield m, _BRANCH, partial(self._branch, modality=m)
        if any(p.said.get("contribution") for p in self._segments):
            yield "contribution", _ROW, self._contributions
        if traces.thumbnails:
            yield "face seen", _ROW, self._faces
        if traces.audible:
            yield "sound", _ROW, self._sound
        if any(p.said.get("text") for p in shown.parts):
            yield "words", _WORDS, self._words
        if any(p.said.get(d) is not None for p in self._segments for d in DIMENSIONS):
            yield "dimensions", _ROW, self._dimensions
        for name, blocks in people.items():
            yield name, _STRIP + _LOW_BANDS, partial(self._person, blocks=blocks)

    def _axis(self, root: Element) -> None:
        for time in marks(self.shown.whole, self.width // _FAR_ENOUGH):
            x = time * self._scale
            _add(root, "path", d=f"M{x:.1f},{_AXIS - 4}V{self.height:.0f}", class_="grid")
            if x < self.width - 30:
                _add(root, "text", x=x + 3, y=_AXIS - 7, class_="time").text = clock(time)

    def _bands(self, group: Element, blocks: Sequence[Block], height: float, look: str = "band") -> None:
        """A strip of labels, and below it the stacked probabilities, the other labels named where there is room."""
        paths = {label: _add(group, "path", fill=self.colours[label], class_=look) for label in self.shown.bands}
        pieces: dict[str, list[str]] = {label: [] for label in self.shown.bands}
        for block in blocks:
            self._tile(group, block.left, block.right, _STRIP - 1, block.label, caption(block.label, block.probs))
            bottom = _STRIP + height
            for label, share in zip(self.shown.bands, self.shown.shares(block.probs), strict=True):
                top = bottom - share * height
                pieces[label].append(self._box(block.left, block.right, top, bottom))
                text = one_line(f"{label} {share:.0%}")
                if (
                    label != block.label
                    and bottom - top > _LETTER
                    and columns(text) <= self._room(block.left, block.right)
                ):
                    ink = ink_on(self.colours[label]) if look == "band" else "currentColor"
                    middle = (block.left + block.right) / 2 * self._scale
                    _add(group, "text", x=middle, y=(top + bottom) / 2 + 4, fill=ink, class_="on").text = text
                bottom = top
        for label, path in paths.items():
            path.set("d", "".join(pieces[label]))

    def _room(self, left: float, right: float) -> int:
        """Columns of small letters between two times."""
        return int(((right - left) * self._scale - 2) / _COLUMN)

    def _branch(self, group: Element, modality: str) -> None:
        for part in self._segments:
            said = alone(part.said).get(modality)
            if said:
                self._tile(group, part.left, part.right, _BRANCH, said[0], said[0])

    def _tile(self, group: Element, left: float, right: float, height: float, label: str, text: str) -> None:
        """A rectangle in the label's colour, with as much of the text as fits."""
        x, width = left * self._scale, (right - left) * self._scale
        _add(group, "rect", x=x, width=max(width - 1, 0.5), height=height, fill=self.colours[label], class_="tile")
        written = first_fitting([one_line(text), one_line(label)], self._room(left, right))
        if written:
            ink = ink_on(self.colours[label])
            _add(group, "text", x=x + width / 2, y=height / 2 + 4, fill=ink, class_="on").text = written

    def _contributions(self, group: Element) -> None:
        piles = stacked(self._segments, self.shown.modalities)
        ends = [end for spans in piles.values() for span in spans for end in span]
        low, high = min(0.0, *ends), max(0.05, *ends)
        unit = _ROW / (high - low)
        for m, spans in piles.items():
            boxes = [self._box(p.left, p.right, (high - up) * unit, (high - down) * unit)
                     for p, (down, up) in zip(self._segments, spans, strict=True) if up > down]  # fmt: skip
            _add(group, "path", d="".join(boxes), fill=MODALITY_COLOURS[m], class_="band")
        _add(group, "path", d=f"M0,{high * unit:.1f}H{self.width}", class_="zero")

    def _faces(self, group: Element) -> None:
        faces = self.traces.thumbnails
        seen = [p for p in self._segments if p.index in faces]
        for part, middle in spaced(seen, _ROW / self._scale, self.shown.whole):
            assert part.index is not None
            _add(
                group,
                "image",
                x=middle * self._scale - _ROW / 2,
                width=_ROW,
                height=_ROW,
                href=_jpeg(faces[part.index]),
            )

    def _sound(self, group: Element) -> None:
        """The envelope about the middle, and the pitch over it on a scale of octaves."""
        times, loud = self.traces.loudness(_POINTS)
        middle = _ROW / 2
        if len(times):
            upper = [f"{x:.1f},{middle - y:.1f}" for x, y in zip(times * self._scale, loud * (middle - 1), strict=True)]
            lower = [f"{x:.1f},{middle + y:.1f}" for x, y in zip(times * self._scale, loud * (middle - 1), strict=True)]
            _add(group, "path", d="M" + "L".join([*upper, *lower[::-1]]) + "Z", class_="wave")
        times, pitch = self.traces.melody(_POINTS)
        low, high = np.log2(_PITCH_RANGE)
        y = _ROW * (1 - (np.log2(pitch.clip(*_PITCH_RANGE)) - low) / (high - low))
        pen, pieces = "M", []
        for across, up in zip(times * self._scale, y, strict=True):
            if np.isnan(up):
                pen = "M"
            else:
                pieces.append(f"{pen}{across:.1f},{up:.1f}" + ("h.5" if pen == "M" else ""))
                pen = "L"
        _add(group, "path", d="".join(pieces), class_="pitch")

    def _words(self, group: Element) -> None:
        for part in self.shown.parts:
            width = (part.right - part.left) * self._scale
            text = one_line(part.said.get("text") or "")
            if text:
                room = _add(
                    group, "foreignObject", x=part.left * self._scale + 1, width=max(width - 2, 1), height=_WORDS
                )
                _add(room, "div", class_="words").text = text if width > _FEW * _COLUMN else "…"

    def _dimensions(self, group: Element) -> None:
        _add(group, "path", d=f"M0,{_ROW / 2}H{self.width}", class_="zero")
        for name, dashes in zip(DIMENSIONS, _DASHES, strict=True):
            found = [(p, float(p.said[name])) for p in self._segments if p.said.get(name) is not None]
            line = (
                f"M{p.left * self._scale:.1f},{_ROW / 2 * (1 - value):.1f}H{p.right * self._scale:.1f}"
                for p, value in found
            )
            _add(group, "path", d="".join(line), class_="dimension", stroke_dasharray=dashes)

    def _person(self, group: Element, blocks: Sequence[Block]) -> None:
        self._bands(group, blocks, _LOW_BANDS)
        for block in blocks:
            x, width = block.left * self._scale, (block.right - block.left) * self._scale
            hit = _add(group, "rect", x=x, width=width, height=_STRIP + _LOW_BANDS, class_="hit")
            said = caption(block.label, block.probs)
            _add(hit, "title").text = f"{clock(block.left)} .. {clock(block.right)}\n{one_line(said)}"

    def _tips(self, root: Element) -> None:
        """Over the lanes that are not a person's: hatches where a span was skipped, and every tooltip."""
        own = [lane for lane in self.lanes if not lane.name.startswith("person ")]
        top, bottom = own[0].top, own[-1].top + own[-1].height
        for part, tip in zip(self.shown.parts, self.tips, strict=True):
            x, width = part.left * self._scale, (part.right - part.left) * self._scale
            hit = _add(root, "rect", x=x, y=top, width=width, height=bottom - top)
            if part.index is None:
                hit.set("class", "skipped")
            else:
                hit.set("class", "hit")
                hit.set("id", f"s{part.index}")
            _add(hit, "title").text = tip

    def _box(self, left: float, right: float, top: float, bottom: float) -> str:
        """A closed piece of a path, seconds across and pixels down."""
        return f"M{left * self._scale:.1f},{top:.1f}H{right * self._scale:.1f}V{bottom:.1f}H{left * self._scale:.1f}Z"


def _add(parent: Element, tag: str, **attributes: object) -> Element:
    """A child; numbers are rounded to a tenth of a pixel, ``class_`` and ``stroke_dasharray`` lose the underscore."""
    plain = {k.rstrip("_").replace("_", "-"): _number(v) for k, v in attributes.items()}
    return ElementTree.SubElement(parent, tag, plain)


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def _jpeg(face: NDArray[np.uint8]) -> str:
    """A data URL."""
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(face[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
