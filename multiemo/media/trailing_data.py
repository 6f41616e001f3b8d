"""What lies in a file behind the one recording that its format holds, and that no reader looks at."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

#: Formats of chunks with a size: the first bytes, and how the size of a whole file is stored behind them.
_CHUNKS = {b"RIFF": "<I", b"FORM": ">I"}
#: Bytes of which a recording has more.
_LEAST = 64


def behind(file: Path) -> str | None:
    """What to say where another recording follows in a WAV, AVI, AIFF or MP4 file; ``None`` where none does."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(12)
        at = _end_of_chunks(stream, head, size) if head[:4] in _CHUNKS else _end_of_boxes(stream, head, size)
    if at is None:
        return None
    return f"another recording begins at byte {at} of {size} and is not read; cut the file there to read it"


def _end_of_chunks(stream: BinaryIO, head: bytes, size: int) -> int | None:
    """Where another file begins behind the first; AVI goes on in further chunks of its own."""
    (length,) = struct.unpack(_CHUNKS[head[:4]], head[4:8])
    at = 8 + length + length % 2
    if at + _LEAST > size:
        return None
    stream.seek(at)
    follows = stream.read(12)
    return at if follows[:4] == head[:4] and follows[8:12] == head[8:12] and head[8:11] != b"AVI" else None


def _end_of_boxes(stream: BinaryIO, head: bytes, size: int) -> int | None:
    """Where a second ``ftyp`` box begins behind an index (ISO 14496-12, 4.2)."""
    if head[4:8] != b"ftyp":
        return None
    at, indexed = 0, False
    while at + 8 <= size:
        stream.seek(at)
        length, kind = struct.unpack(">I4s", stream.read(8))
        if kind == b"ftyp" and indexed and at + _LEAST < size:
            return at
        if kind == b"moof":
            return None  # pieces, which may each bring an index of their own and are all read
        indexed = indexed or kind == b"moov"
        if length == 1:
            (length,) = struct.unpack(">Q", stream.read(8).rjust(8, b"\0"))
        if length < 8:
            return None
        at += length
    return None
