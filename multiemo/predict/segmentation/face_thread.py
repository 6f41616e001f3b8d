"""Faces followed in a thread of their own."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from multiemo.preprocess.faces.frames import Frame
from multiemo.preprocess.faces.selection import SpanFaces
from multiemo.preprocess.faces.tracking import FaceTracker
from multiemo.types import Absent

#: Pictures that wait for the thread, and pixels of those that wait; of large ones fewer wait.
_QUEUE = 64
_PIXELS = 64 * 1280 * 720


class FaceThread:
    """A tracker in a thread of its own, so that faces are found while the next pictures are decoded."""

    def __init__(self, tracker: FaceTracker) -> None:
        self._tracker = tracker
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="faces")
        self._open: deque[Future[None]] = deque()

    def add(self, frame: Frame, time: float) -> None:
        """Follow the faces into a picture; waits when too many wait already."""
        self._open.append(self._thread.submit(self._tracker.add, frame, time))
        most = min(_QUEUE, _PIXELS // (frame.width * frame.height))
        while self._open and (self._open[0].done() or len(self._open) > most):
            self._open.popleft().result()

    def between(
        self, start: float, end: float, voice: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    ) -> Future[SpanFaces | Absent]:
        """What was seen in a span."""
        return self._thread.submit(self._tracker.between, start, end, voice)

    def forget(self, before: float) -> None:
        """Drop what lies before a time."""
        self._thread.submit(self._tracker.forget, before)

    def end(self) -> None:
        """Stop the thread; what waits is dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)
