"""Find a second recording appended to a file whose format holds only one, which decoders ignore."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

#: Chunked formats: the first bytes of a file, and the format of its size, which follows them.
_SIZE_FORMATS = {b"RIFF": "<I", b"FORM": ">I"}
#: A recording has more than this many bytes.
_MIN_RECORDING = 64


def trailing_recording(file: Path) -> str | None:
    """Return a note if another recording follows in a WAV, AVI, AIFF or MP4 file, else ``None``."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(12)
        at = _end_of_chunks(stream, head, size) if head[:4] in _SIZE_FORMATS else _end_of_boxes(stream, head, size)
    if at is None:
        return None
    return f"another recording begins at byte {at} of {size} and is not read; split the file there to read it"


def _end_of_chunks(stream: BinaryIO, head: bytes, size: int) -> int | None:
    """Return where a second file begins after the first. AVI is excluded: it continues in further chunks."""
    (length,) = struct.unpack(_SIZE_FORMATS[head[:4]], head[4:8])
    at = 8 + length + length % 2
    if at + _MIN_RECORDING > size:
        return None
    stream.seek(at)
    follows = stream.read(12)
    return at if follows[:4] == head[:4] and follows[8:12] == head[8:12] and head[8:11] != b"AVI" else None


def _end_of_boxes(stream: BinaryIO, head: bytes, size: int) -> int | None:
    """Return where a second ``ftyp`` box begins after an index (ISO 14496-12, 4.2)."""
    if head[4:8] != b"ftyp":
        return None
    at, indexed = 0, False
    while at + 8 <= size:
        stream.seek(at)
        length, kind = struct.unpack(">I4s", stream.read(8))
        if kind == b"ftyp" and indexed and at + _MIN_RECORDING < size:
            return at
        if kind == b"moof":
            return None  # a fragmented file: fragments may have their own index, and all are read
        indexed = indexed or kind == b"moov"
        if length == 1:
            (length,) = struct.unpack(">Q", stream.read(8).rjust(8, b"\0"))
        if length < 8:
            return None
        at += length
    return None
