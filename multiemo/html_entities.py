"""HTML's entities (``I&#39;m``, ``Tom &amp; I``) as the characters that they stand for: what scraped texts hold.

https://html.spec.whatwg.org/multipage/named-characters.html
"""

from __future__ import annotations

import html
import re
from html.entities import html5

_BODY = r"(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
_ENTITY = re.compile("&" + _BODY)
_REST = re.compile(_BODY)
#: Two halves of one character, as programs write that count in UTF-16: ``&#55357;&#56832;``.
_HALVES = re.compile(r"&#(5[56]\d{3});&#(5[67]\d{3});")


def undo_entities(text: str) -> str:
    """Every entity that ends in a semicolon, once: ``&amp;lt;`` becomes ``&lt;``. Any other ``&`` is one.

    Example:
        >>> undo_entities("I&#39;m at&nbsp;AT&T &lt;b&gt; &amp;lt; &copy2024 &hearts;")
        "I'm at\\xa0AT&T <b> &lt; &copy2024 ♥"
    """
    return _ENTITY.sub(_character, _HALVES.sub(_whole, text)) if "&" in text else text


def readable(text: str) -> str:
    """As :func:`undo_entities`, but what would then look like an entity stays, so that undoing again changes nothing.

    For words that are shown before they are cleaned.

    Example:
        >>> readable("Tom &amp; I &amp;lt;"), undo_entities(readable("&amp;lt;")) == undo_entities("&amp;lt;")
        ('Tom & I &amp;lt;', True)
    """

    def character(found: re.Match[str]) -> str:
        plain = _character(found)
        return found[0] if plain == "&" and _REST.match(found.string, found.end()) else plain

    return _ENTITY.sub(character, _HALVES.sub(_whole, text)) if "&" in text else text


def _character(found: re.Match[str]) -> str:
    """What an entity stands for; itself where no such entity exists."""
    return html.unescape(found[0]) if found[0][1] == "#" or found[0][1:] in html5 else found[0]


def _whole(found: re.Match[str]) -> str:
    high, low = int(found[1]) - 0xD800, int(found[2]) - 0xDC00
    return chr(0x10000 + (high << 10) + low) if 0 <= high < 0x400 and 0 <= low < 0x400 else found[0]
