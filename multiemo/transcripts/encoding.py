"""A transcript's bytes -> its text, in whatever encoding it is."""

from __future__ import annotations

import re
from pathlib import Path

from multiemo.media.container import check_path, fail
from multiemo.tables.text_encoding import UnknownEncodingError, find_encoding

#: A transcript of a day's speech has about 2 MB.
_MOST = 64 * 2**20
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def read_text(path: str | Path) -> tuple[str, list[str]]:
    """The text of a file with line ends ``\\n``, and a note when its encoding had to be guessed or mended.

    Raises:
        MediaError: no such file, empty, not text, or in no encoding that is known here.
    """
    file = check_path(path, "")
    if file.stat().st_size > _MOST:
        raise fail("", path, f"is larger than {_MOST >> 20} MB and cannot be a transcript; name another file")
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise fail("", path, f"cannot be read ({error.strerror}); check its permissions") from None
    text, notes = _decode(raw, file)
    if len(_CONTROL.findall(text)) > 0.01 * len(text):
        raise fail("", path, "is not text; name a transcript (SRT, WebVTT, JSON or plain text)")
    return _CONTROL.sub("", text).replace("\r\n", "\n").replace("\r", "\n"), notes


def _decode(raw: bytes, path: Path) -> tuple[str, list[str]]:
    try:
        found = find_encoding(lambda: [raw], path.name)
    except UnknownEncodingError as error:
        raise fail("", path, str(error)) from None
    return raw.decode(found.name, found.errors), list(found.notes)
