"""The timeline as an HTML page."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.image import imread

from multiemo.predict.formats import write_timeline
from multiemo.predict.timeline.page import render_page
from tests.support.entries import CHINESE, ENTRIES, entry, said, traces, usual


class _Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.titles: list[str] = []
        self.text: list[str] = []
        self._in_title = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._in_title = tag == "title"

    def handle_data(self, data):
        (self.titles if self._in_title else self.text).append(data)

    def handle_endtag(self, tag):
        self._in_title = False


@pytest.mark.parametrize("name", ENTRIES)
def test_the_page_is_self_contained_and_obeys_no_text(name, tmp_path):
    page = write_timeline(ENTRIES[name], tmp_path / "a.html", traces(12, 0)).read_text("utf-8")
    found = _Page(page)
    assert {tag for tag, _ in found.tags}.isdisjoint(
        {"img", "script", "link", "iframe", "b" if name == "nasty" else ""} - {"b"}
    )
    for _, attributes in found.tags:
        assert not any(key.startswith("on") for key in attributes)
        for key in ("src", "href"):
            assert re.match(r"#|data:image/jpeg;base64,", attributes.get(key) or "#")
    assert "@import" not in page
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= {"#hatch"}
    drawing = page[page.index("<svg width") : page.index("</svg>", page.index("<svg width")) + 6]
    ElementTree.fromstring(drawing)


def test_the_page_has_the_words_as_text_and_the_reasons_as_tooltips():
    found = _Page(render_page(usual(), traces(12, 1)))
    assert found.text.count(CHINESE) == 2, "under the lanes and in the table"
    tips = "\n".join(found.titles)
    assert "skipped: speech: silence" in tips
    assert "smoothed: happy 80%, neutral 10%, sad 10%" in tips
    assert "text: happy 70%, neutral 15%; contributes +0.25" in tips
    assert "face absent: no face was found" in tips
    assert "face of person 2; quality: 0.9; chosen: only face" in tips
    images = [attributes["href"] for tag, attributes in found.tags if tag == "image"]
    picture = imread(io.BytesIO(base64.b64decode(images[0].partition(",")[2])), format="jpg")
    assert np.abs(picture.reshape(-1, 3).mean(axis=0) - (250, 0, 250)).max() < 8


def test_the_page_of_an_hour_scrolls_and_stays_small():
    hour = entry(*(said(4.0 * i, 4.0 * i + 4, i % 3, text="some words here") for i in range(900)), duration=3600)
    page = render_page(hour, traces(3600))
    width = int(re.search(r'<svg width="(\d+)"', page)[1])
    assert 30_000 < width <= 60_000
    assert len(page) < 4e6
    links = re.findall(r'<a href="#(s\d+)"', page)
    assert len(links) == 900
    assert set(links) == set(re.findall(r'id="(s\d+)"', page))
