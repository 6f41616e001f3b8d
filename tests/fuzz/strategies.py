"""Hypothesis strategies for damaged files and odd values."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

#: Numbers at the edges of what 32 and 64 bits hold, as headers promise sizes.
_EDGES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, (1 << 64) - 1)
_ODD_TEXTS = (
    "",
    " ",
    "\0",
    "\n",
    "\r\n",
    "\ufeff",
    "\ufffd",
    "\u200b",
    "\u202e",
    "\u2028",
    "\x1b[31m",
    "a\u0301" * 40,
    "\U0001f600",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "ﬃ",
    "İ",
    "ß",
    "العربية",
    "漢字",
    "\ud800",
    "NaN",
    "null",
    "1e999",
    "=1+1",
    "<script>",
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\x",
    "%s%n",
    "${x}",
    "{{7*7}}",
    "x" * 5000,
    "(" * 400,
    "!" * 400,
    "a b " * 400,
)

odd_text = st.one_of(
    st.sampled_from(_ODD_TEXTS),
    st.text(max_size=60),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60),
    st.text("aeiou \n\t.,!?'\"()[]{}<>&;:#*-_/\\|0123456789%$=+@^~`", max_size=200),
    st.builds(lambda part, times: part * times, st.text(min_size=1, max_size=4), st.integers(1, 3000)),
)
odd_number = st.one_of(
    st.integers(-3, 100),
    st.sampled_from([*_EDGES, -(1 << 63), 10**400]),
    st.floats(),
    st.sampled_from([1e308, -1e308, 5e-324, -0.0]),
)
odd_value = st.recursive(
    st.one_of(st.none(), st.booleans(), odd_number, odd_text),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=6,
)
#: JSON so deeply nested that a recursive parser runs out of stack.
_DEEP = (b"[" * 100_000, b'{"a":' * 100_000, b"[" * 5000 + b"]" * 5000)


@st.composite
def damaged(draw: st.DrawFn, wholes: Sequence[bytes], tokens: Sequence[bytes] = ()) -> bytes:
    """One of some whole contents with one to six changes.

    Args:
        draw: of Hypothesis.
        wholes: the contents.
        tokens: pieces that mean something in the format, inserted or written over it.
    """
    data = bytearray(draw(st.sampled_from(wholes)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data)) | st.integers(0, min(len(data), 400)))
        size = draw(st.integers(1, 400))
        change = draw(st.sampled_from(["bit", "cut", "lost", "zeros", "edge", "token", "twice", "splice", "noise"]))
        if change == "bit" and place < len(data):
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif change == "cut":
            del data[place:]
        elif change == "lost":
            del data[place : place + size]
        elif change == "zeros":
            data[place : place + size] = bytes(len(data[place : place + size]))
        elif change == "edge":
            form = draw(st.sampled_from(["<H", ">H", "<I", ">I", "<Q", ">Q"]))
            width = struct.calcsize(form)
            number = draw(st.sampled_from(_EDGES)) & ((1 << (8 * width)) - 1)
            data[place : place + width] = struct.pack(form, number)
        elif change == "token" and tokens:
            token = draw(st.sampled_from(tokens))
            data[place : place + draw(st.sampled_from([0, len(token)]))] = token
        elif change == "twice":
            data[place:place] = data[place : place + size] * draw(st.integers(1, 20))
        elif change == "splice":
            other = draw(st.sampled_from(wholes))
            at = draw(st.integers(0, len(other)))
            data[place:] = other[at : at + size]
        elif change == "noise":
            data[place:place] = draw(st.binary(max_size=32))
    return bytes(data)


def as_json(value: Any) -> bytes:
    """JSON as careless programs write it: NaN and lone surrogates included."""
    return json.dumps(value).encode()


deep_json = st.sampled_from(_DEEP)


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value in which one or two members, at any depth, are odd, missing or new."""
    made = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 2))):
        here, parents = made, []
        while isinstance(here, dict | list) and here and (not parents or draw(st.integers(0, 3))):
            key = draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
            parents.append((here, key))
            here = here[key]
        if not parents:
            return draw(odd_value)
        holder, key = parents[-1]
        how = draw(st.sampled_from(["odd", "odd", "lost", "new"]))
        if how == "lost":
            del holder[key]
        elif how == "new" and isinstance(holder, dict):
            holder[draw(st.text(max_size=6))] = draw(odd_value)
        else:
            holder[key] = draw(odd_value)
    return made
