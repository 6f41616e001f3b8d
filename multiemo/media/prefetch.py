"""Run a generator ahead of its consumer, in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, TypeVar

T = TypeVar("T")
_END = object()
#: Maximum number of buffered pieces, and of pixels of the pictures among them. A picture of 1280x720 is 1.4 MB.
_MAX_PIECES, _MAX_PIXELS = 24, 24 * 1280 * 720


def prefetched(pieces: Generator[T, None, None], pixels: int = 0) -> Iterator[T]:
    """Yield the items of a generator that runs ahead in another thread.

    An exception of the generator is raised here, after the items before it. If the consumer stops early, the generator
    is closed.

    Args:
        pieces: the generator. Only the other thread may use it from now on.
        pixels: number of pixels of a picture among the items. The larger the pictures, the fewer are buffered.

    Example:
        >>> list(prefetched(n for n in range(3)))
        [0, 1, 2]
    """
    made: queue.Queue[Any] = queue.Queue(max(1, min(_MAX_PIECES, _MAX_PIXELS // max(pixels, 1))))
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
        except Exception as error:  # raised again in the consuming thread
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
