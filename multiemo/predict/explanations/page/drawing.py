"""Inline SVG: elements whose attributes and texts are escaped."""

from __future__ import annotations

from xml.etree import ElementTree

from markupsafe import Markup

from multiemo.predict.timeline.captions import one_line


def drawing(width: float, height: float, description: str, style: str) -> ElementTree.Element:
    """An empty picture that scales with the page.

    Args:
        width, height: its size in units of the drawing.
        description: what screen readers read instead of it.
        style: its CSS classes.
    """
    box = f"0 0 {width:g} {height:g}"
    label = one_line(description)
    return ElementTree.Element("svg", {"viewBox": box, "role": "img", "aria-label": label, "class": style})


def add(parent: ElementTree.Element, tag: str, **attributes: object) -> ElementTree.Element:
    """Add an element; ``style`` is its CSS class, and underscores in names become hyphens.

    Args:
        parent: element that receives it.
        tag: its tag.
        attributes: its attributes; numbers are rounded to a tenth.
    """
    written = {
        "class" if name == "style" else name.replace("_", "-"): f"{value:.1f}"
        if isinstance(value, float)
        else str(value)
        for name, value in attributes.items()
    }
    return ElementTree.SubElement(parent, tag, written)


def write(
    parent: ElementTree.Element,
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    style: str = "tick",
    **more: str,
) -> None:
    """Add a text.

    Args:
        parent: element that receives it.
        x, y: position of its anchor.
        text: the text.
        anchor: ``start``, ``middle`` or ``end``.
        style: its CSS classes.
        more: other attributes.
    """
    add(parent, "text", x=x, y=y, text_anchor=anchor, style=style, **more).text = one_line(text)


def tooltip(parent: ElementTree.Element, text: str) -> None:
    """Add a tooltip."""
    add(parent, "title").text = one_line(text)


def markup(svg: ElementTree.Element) -> Markup:
    """The picture as HTML."""
    return Markup(ElementTree.tostring(svg, encoding="unicode"))  # ElementTree has escaped every text
