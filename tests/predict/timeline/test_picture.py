"""The timeline as PNG."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.image import imread

from multiemo.predict.timeline import fonts
from multiemo.predict.timeline.colours import label_colours
from multiemo.predict.timeline.picture import draw_png, plan
from multiemo.predict.traces import Traces
from tests.support.entries import CHINESE, LABELS, entry, said, traces, usual


def _picture(given: dict, found: Traces | None = None) -> np.ndarray:
    return imread(io.BytesIO(draw_png(given, found or Traces())))[..., :3]


def _share(image: np.ndarray, colour: str) -> float:
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return float((np.abs(image - wanted).max(axis=2) < 0.01).mean())


def test_the_picture_shows_labels_in_their_colours_and_what_the_traces_hold():
    colours = label_colours(LABELS)
    sad = _picture(entry(said(0, 12, 2)))
    assert _share(sad, colours["sad"]) > 3 * _share(sad, colours["happy"]) > 0
    bare, full = _picture(usual()), _picture(usual(), traces(12, 0, 1))
    assert _share(bare, "#fa00fa") == 0 < _share(full, "#fa00fa")
    assert full.shape[0] > bare.shape[0]


def test_the_picture_of_an_hour_has_a_bounded_size_and_says_what_it_leaves_out():
    hour = entry(*(said(4.0 * i, 4.0 * i + 4, i % 3, text="some words here") for i in range(900)), duration=3600)
    _, layout = plan(hour, Traces())
    assert "words" not in [placed.lane.name for placed in layout.lanes]
    assert layout.notes == ["the words do not fit into this picture; the HTML page shows them"]
    assert _picture(entry(*hour["segments"][:200], duration=800)).shape[1] <= 30 * 180


def test_words_without_a_font_are_left_out_and_never_boxes(monkeypatch):
    own = {"DejaVu Sans": fonts._installed()["DejaVu Sans"]}
    monkeypatch.setattr(fonts, "_installed", lambda: own)
    letters = fonts.InstalledTypeface([CHINESE, "naïve 🧠", "访谈"])
    assert letters.lacks(CHINESE)
    assert not letters.lacks("naïve 🧠")
    assert letters.printable("访谈 a🧠.mp4") == "?? a.mp4"
    _, layout = plan(usual(), Traces())
    assert "words" not in [placed.lane.name for placed in layout.lanes]
    assert layout.notes == ["no installed font has the characters of the words; the HTML page shows them"]


def test_fonts_that_only_have_boxes_are_not_taken():
    assert "Last Resort High-Efficiency" not in fonts._installed()
    assert not any("Emoji" in name for name in fonts._installed())
