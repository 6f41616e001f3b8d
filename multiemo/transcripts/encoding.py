"""Read the text of a transcript in any known encoding."""

from __future__ import annotations

import re
from pathlib import Path

from multiemo.media.container import check_path, media_error
from multiemo.tables.text_encoding import UnknownEncodingError, find_encoding

#: Maximum size of a transcript, bytes. A day of speech has about 2 MB.
_MAX_BYTES = 64 * 2**20
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def read_text(path: str | Path) -> tuple[str, list[str]]:
    """Read the text of a file.

    Returns:
        The text with line ends ``\\n``, and notes if its encoding was guessed or repaired.

    Raises:
        MediaError: the file is missing, empty, too large, not text, or in an unknown encoding.
    """
    file = check_path(path, "")
    if file.stat().st_size > _MAX_BYTES:
        raise media_error(
            "", path, f"is larger than {_MAX_BYTES >> 20} MB and cannot be a transcript; name another file"
        )
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise media_error("", path, f"cannot be read ({error.strerror}); check its permissions") from None
    text, notes = _decode(raw, file)
    if len(_CONTROL.findall(text)) > 0.01 * len(text):
        raise media_error("", path, "is not text; name a transcript (SRT, WebVTT, JSON or plain text)")
    return _CONTROL.sub("", text).replace("\r\n", "\n").replace("\r", "\n"), notes


def _decode(raw: bytes, path: Path) -> tuple[str, list[str]]:
    try:
        found = find_encoding(lambda: [raw], path.name)
    except UnknownEncodingError as error:
        raise media_error("", path, str(error)) from None
    return raw.decode(found.name, found.errors), list(found.notes)
