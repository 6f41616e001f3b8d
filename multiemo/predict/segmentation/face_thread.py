"""Runs face tracking in a separate thread."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from multiemo.preprocess.faces.frames import Frame
from multiemo.preprocess.faces.selection import SpanFaces
from multiemo.preprocess.faces.tracking import FaceTracker
from multiemo.types import Absent

#: Capacity of the queue: pictures, and their pixels in total, so that fewer large pictures wait.
_MAX_PICTURES = 64
_MAX_PIXELS = 64 * 1280 * 720


class FaceThread:
    """Runs a tracker in a separate thread, so that faces are tracked while the next pictures are decoded."""

    def __init__(self, tracker: FaceTracker) -> None:
        self._tracker = tracker
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="faces")
        self._open: deque[Future[None]] = deque()

    def add(self, frame: Frame, time: float) -> None:
        """Queue a picture, shown at ``time`` seconds; blocks while the queue is full."""
        self._open.append(self._thread.submit(self._tracker.add, frame, time))
        most = min(_MAX_PICTURES, _MAX_PIXELS // (frame.width * frame.height))
        while self._open and (self._open[0].done() or len(self._open) > most):
            self._open.popleft().result()

    def between(
        self, start: float, end: float, voice: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    ) -> Future[SpanFaces | Absent]:
        """The faces in a span, once all pictures queued so far have been tracked.

        Args:
            start, end: of the span, seconds.
            voice: times and level (dB) of its sound, to find out who speaks; ``None`` without sound.
        """
        return self._thread.submit(self._tracker.between, start, end, voice)

    def forget(self, before: float) -> None:
        """Drop everything before a time, seconds."""
        self._thread.submit(self._tracker.forget, before)

    def end(self) -> None:
        """Stop the thread and drop the queue."""
        self._thread.shutdown(wait=True, cancel_futures=True)
