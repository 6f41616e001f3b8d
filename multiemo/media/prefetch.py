"""Decode ahead in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, TypeVar

T = TypeVar("T")
_END = object()
#: Pieces that wait, and pixels of the pictures among them; a picture of 1280x720 is 1.4 MB.
_AHEAD, _PIXELS = 24, 24 * 1280 * 720


def ahead(pieces: Generator[T, None, None], pixels: int = 0) -> Iterator[T]:
    """The same pieces in the same order, made by another thread while this one works on those before.

    An error of the maker is raised here, after the pieces made before it. When the caller stops early, so does the
    maker.

    Args:
        pieces: a generator that only the other thread touches.
        pixels: of a picture among them; fewer large ones are made in advance.

    Example:
        >>> list(ahead(n for n in range(3)))
        [0, 1, 2]
    """
    made: queue.Queue[Any] = queue.Queue(max(1, min(_AHEAD, _PIXELS // max(pixels, 1))))
    stop = threading.Event()

    def put(piece: Any) -> bool:
        while not stop.is_set():
            try:
                made.put(piece, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            with closing(pieces) as source:
                for piece in source:
                    if not put(piece):
                        return
        except Exception as error:  # handed to the thread that waits for it
            put(error)
        else:
            put(_END)

    thread = threading.Thread(target=make, name="decode", daemon=True)
    thread.start()
    try:
        while (piece := made.get()) is not _END:
            if isinstance(piece, Exception):
                raise piece
            yield piece
    finally:
        stop.set()
        thread.join()
