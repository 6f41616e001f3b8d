"""The page of an explanation."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from multiemo.errors import ConfigError
from multiemo.predict.explanations.page.page import page_language, render_page
from multiemo.predict.explanations.page.wording import LANGUAGES
from tests.support.explanations import NASTY, full_explanation

_VOID = {"meta", "br", "img", "link", "hr", "input"}


class _Page(HTMLParser):
    """Tags, attributes and text; fails if tags are not nested properly."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_whole_loads_nothing_and_escapes_every_input(language):
    page = render_page(full_explanation(), language)
    found = _Page(page)
    assert not {"script", "link", "iframe", "img"} & {tag for tag, _ in found.tags}
    assert NASTY in found.text
    for _, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href"):
            assert re.match(r"#|data:image/png;base64,", attributes.get(name) or "#")
    assert "url(" not in page
    assert "@import" not in page
    assert re.findall(r"https?://[^\"]*", page.replace("http://www.w3.org/2000/svg", "")) == []
    assert ("html", {"lang": language}) in found.tags


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_figure_has_a_description(language):
    found = _Page(render_page(full_explanation(), language))
    figures = [attributes for tag, attributes in found.tags if tag == "svg"]
    assert len(figures) == 4, "timeline, voice, face, spectrogram"
    assert all(one["role"] == "img" and one["aria-label"] for one in figures)


def test_a_word_for_the_label_is_marked_by_more_than_its_colour():
    page = render_page(full_explanation(), "en")
    assert re.search(r'<span class="plus w4" title="\+1\.20">great<sup aria-hidden="true">\+</sup></span>', page)
    assert re.search(r'<span class="minus w2" title="−0\.40">Not<sup aria-hidden="true">−</sup></span>', page)


def test_the_page_names_hidden_views_abstention_and_missing_checks():
    text = _Page(render_page(full_explanation(), "en")).text
    assert "Not shown, because it failed its checks on this model: measured features" in text
    assert "In 1 of them it does not commit itself to a label." in text
    assert "1 of 2 spans have no evidence on this page" in text
    assert "The words and the voice contradict each other" in text
    assert "measure_run" not in text
    unmeasured = render_page(replace(full_explanation(), faithfulness=None), "en")
    assert "Not measured on this model yet" in unmeasured


def test_the_language_is_that_of_the_words_unless_asked():
    assert page_language(full_explanation()) == "en"
    assert page_language(full_explanation("我很开心今天", None)) == "zh"
    assert "快乐" in render_page(full_explanation("我很开心今天", None))
    with pytest.raises(ConfigError, match="'fr' is not one of en, zh"):
        render_page(full_explanation(), "fr")


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "checked as regions of the face"), ("zh", "以“面部区域”的方式通过了对该模型的检验")],
)
def test_a_map_says_as_what_it_was_checked(language, words):
    assert words in _Page(render_page(full_explanation(), language)).text
