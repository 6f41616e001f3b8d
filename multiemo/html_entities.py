"""Decode HTML entities (``I&#39;m``, ``Tom &amp; I``) in scraped texts.

https://html.spec.whatwg.org/multipage/named-characters.html
"""

from __future__ import annotations

import html
import re
from html.entities import html5

_BODY = r"(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
_ENTITY = re.compile("&" + _BODY)
_ENTITY_BODY = re.compile(_BODY)
#: A surrogate pair, as written by programs that count in UTF-16: ``&#55357;&#56832;``.
_SURROGATE_PAIR = re.compile(r"&#(5[56]\d{3});&#(5[67]\d{3});")


def undo_entities(text: str) -> str:
    """Decode every entity that ends in a semicolon, once: ``&amp;lt;`` becomes ``&lt;``. Any other ``&`` is kept.

    Example:
        >>> undo_entities("I&#39;m at&nbsp;AT&T &lt;b&gt; &amp;lt; &copy2024 &hearts;")
        "I'm at\\xa0AT&T <b> &lt; &copy2024 ♥"
    """
    return _ENTITY.sub(_character, _SURROGATE_PAIR.sub(_join_surrogates, text)) if "&" in text else text


def undo_unambiguous_entities(text: str) -> str:
    """Decode entities as :func:`undo_entities` does, unless the result would look like an entity.

    Decoding the result again therefore gives the same as decoding the text once. This is for words that are displayed
    before they are cleaned.

    Example:
        >>> undo_unambiguous_entities("Tom &amp; I &amp;lt;")
        'Tom & I &amp;lt;'
        >>> undo_entities(undo_unambiguous_entities("&amp;lt;")) == undo_entities("&amp;lt;")
        True
    """

    def character(found: re.Match[str]) -> str:
        plain = _character(found)
        return found[0] if plain == "&" and _ENTITY_BODY.match(found.string, found.end()) else plain

    return _ENTITY.sub(character, _SURROGATE_PAIR.sub(_join_surrogates, text)) if "&" in text else text


def _character(found: re.Match[str]) -> str:
    """Return the character of an entity, or the entity itself if it does not exist."""
    return html.unescape(found[0]) if found[0][1] == "#" or found[0][1:] in html5 else found[0]


def _join_surrogates(found: re.Match[str]) -> str:
    high, low = int(found[1]) - 0xD800, int(found[2]) - 0xDC00
    return chr(0x10000 + (high << 10) + low) if 0 <= high < 0x400 and 0 <= low < 0x400 else found[0]
