"""Figures of the page as inline SVG, each with a description for screen readers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from xml.etree import ElementTree

from markupsafe import Markup

from multiemo.explanation.records import EvidenceMap, EvidencePart
from multiemo.predict.explanations.page.drawing import add, drawing, markup, tooltip, write
from multiemo.predict.explanations.page.formats import largest, level, number, signed
from multiemo.predict.explanations.page.wording import PageTexts
from multiemo.predict.explanations.records import VoiceTrack
from multiemo.predict.timeline.captions import clock

_WIDTH = 860
#: Left and right margin of the voice, and the top and bottom of its two panels.
_LEFT, _RIGHT = 52, 12
_PITCH, _LEVEL = (22, 112), (124, 168)
#: Most points of a curve.
_POINTS = 600
#: Side of a face crop and size of a spectrogram, in the units of the drawing.
_CROP, _SPECTROGRAM = 132, (520, 150)
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")


def voice(track: VoiceTrack, marked: Sequence[EvidencePart], t: PageTexts, least: float = 0.0) -> Markup:
    """Pitch and level of the voice, with the spans of time that matter.

    Args:
        track: pitch and level.
        marked: spans of time with scores; the strong ones are marked.
        t: the texts of a language.
        least: score that gets the deepest colour if all are smaller.
    """
    most = largest((part.score for part in marked), least)
    spans = [p for p in marked if abs(level(p.score, most)) >= 2 and p.start is not None and p.end is not None]
    end = track.start + track.step * max(len(track.level), 1)
    pitches = sorted(p for p in track.pitch if p is not None)
    described = t.listed(f"{_span(p)} {signed(p.score)}" for p in spans) or t("nothing")
    if pitches:
        label = t(
            "voice_alt",
            start=clock(track.start),
            end=clock(end),
            pitch=f"{pitches[len(pitches) // 2]:.0f} Hz",
            low=f"{pitches[0]:.0f} Hz",
            high=f"{pitches[-1]:.0f} Hz",
            marked=described,
        )
    else:
        label = t("voice_unvoiced", start=clock(track.start), end=clock(end), marked=described)
    svg = drawing(_WIDTH, 192, label, "voice")

    def x(time: float) -> float:
        share = (time - track.start) / (end - track.start)
        return round(_LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT), 1)

    for part in spans:
        _mark(svg, part, x(part.start or 0.0), x(part.end or 0.0), level(part.score, most))
    _axis(svg, t("pitch"), _PITCH)
    _axis(svg, t("level"), _LEVEL)
    if pitches:
        low, high = math.log(pitches[0] * 0.95), math.log(pitches[-1] * 1.05)
        for tick in (pitches[0], pitches[-1]):
            share = (math.log(tick) - low) / (high - low)
            write(svg, _LEFT - 6, _down(share, _PITCH) + 4, f"{tick:.0f}", anchor="end")
        shares = [None if p is None else (math.log(p) - low) / (high - low) for p in track.pitch]
        _curve(svg, track, shares, x, _PITCH, "pitch")
    heard = [v for v in track.level if math.isfinite(v)]
    low, high = max(min(heard, default=-60.0), -70.0), max(heard, default=0.0)
    scaled = [min(max((v - low) / max(high - low, 1.0), 0.0), 1.0) for v in track.level]
    _curve(svg, track, scaled, x, _LEVEL, "level")
    for value, share in ((high, 1.0), (low, 0.0)):
        write(svg, _LEFT - 6, _down(share, _LEVEL) + 4, f"{value:.0f}".replace("-", "−"), anchor="end")
    for time in _ticks(track.start, end):
        write(svg, x(time), 186, clock(time), anchor="middle" if x(time) < _WIDTH - 32 else "end")
    return markup(svg)


def _mark(svg: ElementTree.Element, part: EvidencePart, left: float, right: float, step: int) -> None:
    """A marked span of time with its sign above it."""
    side = "plus" if step > 0 else "minus"
    width, height = max(right - left, 2.0), _LEVEL[1] - 14
    box = add(svg, "rect", x=left, y=14, width=width, height=height, style=f"{side} fill{abs(step)}")
    tooltip(box, f"{_span(part)}: {signed(part.score)}")
    add(svg, "line", x1=left, x2=right, y1=14, y2=14, style=f"{side} edge")
    write(svg, (left + right) / 2, 10, "+" if step > 0 else "−", anchor="middle", style=f"{side} sign")


def _span(part: EvidencePart) -> str:
    return f"{clock(part.start or 0.0)}–{clock(part.end or 0.0)}"


def _axis(svg: ElementTree.Element, name: str, panel: tuple[int, int]) -> None:
    for y in panel:
        add(svg, "line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, style="rule")
    write(svg, _LEFT + 5, panel[0] + 11, name, style="name")


def _down(share: float, panel: tuple[int, int]) -> float:
    return round(panel[1] - share * (panel[1] - panel[0]), 1)


def _curve(
    svg: ElementTree.Element,
    track: VoiceTrack,
    shares: Sequence[float | None],
    x: Callable[[float], float],
    panel: tuple[int, int],
    name: str,
) -> None:
    """A curve with gaps where there is no value; long ones are thinned out.

    Args:
        svg: the picture.
        track: it gives the times.
        shares: heights in the panel, 0..1.
        x: time in seconds to a position.
        panel: top and bottom.
        name: its CSS class.
    """
    step = max(1, len(shares) // _POINTS)
    commands, pen = [], False
    for i in range(0, len(shares), step):
        share = shares[i]
        if share is None:
            pen = False
            continue
        here = f"{x(track.start + (i + 0.5) * track.step)} {_down(share, panel)}"
        commands.append(f"L{here}" if pen else f"M{here}h.1")
        pen = True
    add(svg, "path", d="".join(commands), style=f"curve {name}")


def _ticks(start: float, end: float) -> list[float]:
    """Times on an axis: at most seven, at round distances."""
    length = end - start
    step = next((s for s in (0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if length / s <= 7), 1800)
    first = math.ceil(start / step - 1e-6)
    return [round(k * step, 3) for k in range(first, math.floor(end / step + 1e-6) + 1)]


def heat(scores: EvidenceMap, scale: float, t: PageTexts) -> Markup:
    """Scores over a face crop or a spectrogram, with the picture beneath.

    Args:
        scores: the map.
        scale: the largest absolute score of all maps that are shown together.
        t: the texts of a language.
    """
    rows, columns = len(scores.scores), max((len(row) for row in scores.scores), default=1)
    crop = scores.kind == "crop"
    width, height = (_CROP, _CROP) if crop else _SPECTROGRAM
    svg = drawing(width, height, _map_label(scores, t), "heat" if crop else "heat wide")
    if scores.picture is not None and _BASE64.fullmatch(scores.picture):
        source = f"data:image/png;base64,{scores.picture}"
        add(svg, "image", href=source, width=width, height=height, preserveAspectRatio="none")
    wide, high = width / columns, height / max(rows, 1)
    cells = [(r, c, score) for r, row in enumerate(scores.scores) for c, score in enumerate(row)]
    strong = {cell[:2] for cell in sorted(cells, key=lambda cell: -abs(cell[2]))[:3]}
    for r, c, score in cells:
        step = level(score, scale)
        if step == 0:
            continue
        x, y = c * wide, (r if crop else rows - 1 - r) * high
        side = "plus" if step > 0 else "minus"
        add(svg, "rect", x=x, y=y, width=wide + 0.2, height=high + 0.2, style=f"{side} over{abs(step)}")
        if (r, c) in strong and min(wide, high) >= 10:
            sign = "+" if step > 0 else "−"
            write(svg, x + wide / 2, y + high / 2 + 5, sign, anchor="middle", style="mark")
    return markup(svg)


def _map_label(scores: EvidenceMap, t: PageTexts) -> str:
    """The description of a map: where its strongest cell is."""
    cells = [(score, r, c) for r, row in enumerate(scores.scores) for c, score in enumerate(row)]
    score, r, c = max(cells, key=lambda cell: abs(cell[0]), default=(0.0, 0, 0))
    rows, columns = len(scores.scores), max((len(row) for row in scores.scores), default=1)
    side = "+" if score >= 0 else "−"
    if scores.kind == "crop":
        row = t("place_" + ("top", "middle", "bottom")[min(2, 3 * r // max(rows, 1))])
        column = t("place_" + ("left", "centre", "right")[min(2, 3 * c // columns)])
        return t("crop_alt", time=clock(scores.start), side=side, place=t("place", row=row, column=column))
    low, high = scores.low or 0.0, scores.high or 0.0
    time = scores.start + (c + 0.5) / columns * (scores.end - scores.start)
    frequency = number(low + (r + 0.5) / max(rows, 1) * (high - low))
    return t("spectrogram_alt", low=number(low), high=number(high), side=side, time=clock(time), frequency=frequency)
