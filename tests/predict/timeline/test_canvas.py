"""Both canvases are given the same lanes, and what is written on them fits."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest

from multiemo.labels import LABEL_SETS
from multiemo.predict.timeline import page, picture
from multiemo.predict.timeline.canvas import Box
from multiemo.predict.timeline.contents import Timeline
from multiemo.predict.timeline.fonts import LETTER_SIZE, InstalledTypeface
from multiemo.predict.timeline.layout import Layout
from multiemo.predict.timeline.raster_canvas import RasterCanvas
from multiemo.predict.timeline.svg_canvas import SvgCanvas
from multiemo.predict.timeline.text_fitting import BrowserTypeface
from tests.support.entries import ENTRIES, entry, said, traces, usual

DRAWING = ("rectangles", "area", "lines", "text", "paragraph", "image", "hatched", "tooltip")

#: What surrounds the lanes.
_FRAME = ("", "heading", "timeline")


class Recorder:
    """Passes every call on to a canvas, and keeps (lane, method, arguments)."""

    def __init__(self, canvas):
        self._canvas, self._lane, self.calls, self.lanes = canvas, "", [], []

    @contextmanager
    def group(self, name, left, top):
        outer, self._lane = self._lane, name
        self.lanes.append(name)
        with self._canvas.group(name, left, top):
            yield
        self._lane = outer

    def __getattr__(self, name):
        method = getattr(self._canvas, name)
        if name not in DRAWING:
            return method

        def record(*given, **named):
            self.calls.append((self._lane, name, given, named))
            method(*given, **named)

        return record

    def shapes(self):
        """{(lane, method): number of shapes}, of the lanes alone."""
        found = Counter()
        for lane, method, given, _ in self.calls:
            found[lane, method] += len(given[0]) if method in ("rectangles", "lines") else 1
        return {key: count for key, count in found.items() if key[0] not in _FRAME}


def drawn_alike(given, found, width=900.0):
    """The calls that each canvas gets of a layout of one width."""
    timeline = Timeline.of(given)
    calls = []
    for typeface in (BrowserTypeface(), InstalledTypeface([])):
        layout = Layout(timeline, found, typeface, narrowest=width, widest=width)
        svg = isinstance(typeface, BrowserTypeface)
        canvas = SvgCanvas(width, layout.height) if svg else RasterCanvas(width, layout.height, typeface)
        recorder = Recorder(canvas)
        layout.draw(recorder)
        calls.append(recorder.calls)
    return calls


def test_both_canvases_get_the_same_calls():
    svg, raster = drawn_alike(usual("what a day"), traces(12, 0, 1))
    assert {method for _, method, _, _ in svg} == set(DRAWING)
    assert len(svg) == len(raster)
    for (lane, method, given, named), (other_lane, other_method, other_given, other_named) in zip(
        svg, raster, strict=True
    ):
        assert (lane, method, named) == (other_lane, other_method, other_named)
        for a, b in zip(given, other_given, strict=True):
            if isinstance(a, (np.ndarray, list)):
                np.testing.assert_array_equal(np.array(a), np.array(b))
            else:
                assert a == b


@pytest.mark.parametrize("name", ENTRIES)
def test_the_page_and_the_picture_show_the_same_lanes_once_with_the_same_shapes(name, monkeypatch):
    made = {}
    for module, canvas in ((page, SvgCanvas), (picture, RasterCanvas)):
        monkeypatch.setattr(
            module, canvas.__name__, lambda *given, kind=canvas: made.setdefault(kind, Recorder(kind(*given)))
        )
    monkeypatch.setattr(picture, "InstalledTypeface", _with_every_letter)
    given = ENTRIES[name]
    page.render_page(given, traces(12, 0))
    picture.draw_png(given, traces(12, 0))
    on_page, on_picture = made[SvgCanvas], made[RasterCanvas]
    assert on_page.lanes == [lane for lane in on_picture.lanes if lane not in _FRAME]
    assert len(set(on_page.lanes)) == len(on_page.lanes)
    written = ("text", "area", "lines")  # what is written depends on the width, and so do the points of curves
    shapes = [{k: n for k, n in r.shapes().items() if k[1] not in written} for r in (on_page, on_picture)]
    assert shapes[0] == shapes[1]
    segments = len(given["segments"])
    assert shapes[0].get(("text", "rectangles"), 0) == segments
    if "smoothed" in on_page.lanes:
        bands = len(Timeline.of(given).bands)
        assert shapes[0]["smoothed", "rectangles"] == segments * (1 + bands)


def _with_every_letter(texts):
    typeface = InstalledTypeface(texts)
    typeface.missing = frozenset()
    return typeface


def test_all_lanes_are_there_in_order():
    svg, _ = drawn_alike(usual("hi"), traces(12, 0))
    assert list(dict.fromkeys(lane for lane, *_ in svg if lane)) == [
        "smoothed",
        "segments",
        "text",
        "speech",
        "contribution",
        "face seen",
        "sound",
        "words",
        "dimensions",
        "person 1",
    ]  # fmt: skip  (the branch of the face says nothing, and draws nothing)


@pytest.mark.parametrize("labels", ["ekman7", "goemotions28"])
def test_labels_stay_within_their_rectangles(labels):
    names = LABEL_SETS[labels]
    rng = np.random.default_rng(0)
    starts = np.cumsum(rng.uniform(0.1, 3, 30)).tolist()
    given = entry(*(said(a, b, int(rng.integers(len(names))), labels=names) for a, b in pairwise(starts)))
    for calls, typeface in zip(drawn_alike(given, traces(12)), (BrowserTypeface(), InstalledTypeface([])), strict=True):
        boxes: dict[str, list[Box]] = {}
        for lane, method, arguments, _ in calls:
            if method == "rectangles" and lane:
                boxes.setdefault(lane, []).extend(arguments[0])
        written = [(lane, arguments) for lane, method, arguments, _ in calls if method == "text" and lane]
        assert len(written) > 50
        for lane, (x, middle, text, _) in written:
            half = typeface.width(text) / 2
            assert any(
                b.left <= x - half and x + half <= b.right and b.top <= middle - 5 and middle + 5 <= b.bottom
                for b in boxes[lane]
            )


def test_the_widths_that_a_page_assumes_are_those_of_wide_letters():
    browser, installed = BrowserTypeface(), InstalledTypeface([])
    for label in {label for labels in LABEL_SETS.values() for label in labels}:
        text = f"{label} 42%"
        assert browser.width(text) >= installed.width(text) * 11 / LETTER_SIZE - 1, text


def test_a_picture_of_very_many_people_stays_within_what_can_be_drawn():
    people = [{"person": n, "start": 0, "end": 2, "segments": [said(0, 2)]} for n in range(500)]
    typeface, layout = picture.plan(entry(said(0, 4), people=people), traces(4))
    assert layout.height > 30_000
    RasterCanvas(900, layout.height, typeface)


def test_the_letters_of_all_that_is_written_are_looked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(picture, "InstalledTypeface", lambda texts: asked.extend(texts) or _with_every_letter(texts))
    made = []
    monkeypatch.setattr(picture, "RasterCanvas", lambda *given: made.append(Recorder(RasterCanvas(*given))) or made[0])
    people = [{"person": "李", "start": 0, "end": 9, "segments": [said(0, 9, labels=("快乐", "悲伤", "怒"))]}]
    picture.draw_png(
        entry(said(0, 9, labels=("快乐", "悲伤", "怒"), text="好"), people=people, name="年.mp4"), traces(12, 0)
    )
    written = "".join(given[2] for _, method, given, _ in made[0].calls if method == "text")
    wide = {letter for letter in written if ord(letter) > 0x2E80}
    assert wide
    assert wide <= set("".join(asked))
