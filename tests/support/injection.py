"""Markup injected into what is shown, and pages in which it has no effect."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tests.support.explanations import NASTY


class _Elements(HTMLParser):
    """The elements of a page, and whether an attribute could run a script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.handlers += [n for n, v in attrs if n.startswith("on") or (v or "").lower().startswith("javascript:")]


def inert(page: Path | str) -> str:
    """A page in which the injected markup is shown and is no element."""
    text = page.read_text("utf-8") if isinstance(page, Path) else page
    elements = _Elements(text)
    assert "script" not in elements.names
    assert "x-injected" not in elements.names
    assert not elements.handlers
    assert "&lt;script&gt;" in text, "nothing was injected, so nothing was tested"
    return text


INJECTED = f"{NASTY}<x-injected onclick='1'>"


def injected(value: Any, words: set[str]) -> Any:
    """A JSON value in which markup is appended to some words, wherever they are keys or values."""
    if isinstance(value, dict):
        return {key + INJECTED if key in words else key: injected(v, words) for key, v in value.items()}
    if isinstance(value, list):
        return [injected(v, words) for v in value]
    return value + INJECTED if isinstance(value, str) and value in words else value
