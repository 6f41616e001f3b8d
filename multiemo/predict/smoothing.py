"""Adds predictions that are smoothed over time to the segments of a file or stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.calibration import UNCERTAIN, Calibration
from multiemo.predict.prediction import SegmentPrediction, SmoothedPrediction, TimelineSegment
from multiemo.smoothing import LAG_SEGMENTS, STAY_SECONDS, Smoother
from multiemo.types import subset_key


class Smoothing:
    """Adds ``smoothed`` to the segments of one file, in order, as soon as each is settled.

    Segments stay as they are if calibration found that smoothing makes the labels of the model worse.

    Args:
        labels: the C labels of the model.
        prior: ``[C]`` share of each label in training.
        task: ``multi`` if several labels can hold at once. ``dimensions`` has no labels and is not smoothed.
        calibration: decides labels, and holds how long a label lasts, seconds.
    """

    def __init__(
        self,
        labels: Sequence[str],
        prior: Sequence[float],
        task: str,
        *,
        calibration: Calibration | None = None,
    ) -> None:
        self._labels, self._task = labels, task
        self._calibration = calibration or Calibration()
        known = 0.0 if task == "dimensions" else self._calibration.stay_seconds
        stay = STAY_SECONDS if known is None else known
        self.off = stay == 0
        #: Why there is no smoothing; empty if there is.
        self.notes = self._calibration.smoothing_notes() if self.off else []
        lag = 0 if self.off else LAG_SEGMENTS  # without smoothing a segment is settled at once
        self._smoother = Smoother(
            np.asarray(prior, dtype=np.float64), stay_seconds=stay or STAY_SECONDS, lag=lag, task=task
        )
        self._waiting: deque[TimelineSegment] = deque()

    def push(self, segment: TimelineSegment) -> list[TimelineSegment]:
        """Add the next segment.

        Returns:
            The segments that are settled now, in order. Each is as it was pushed, plus ``smoothed`` if it has
            probabilities.
        """
        by_label = segment.probs if isinstance(segment, SegmentPrediction) else None
        probs = None if by_label is None else np.array([by_label[label] for label in self._labels])
        self._waiting.append(segment)
        return self._settle(self._smoother.push(probs, segment.start, segment.end))

    def close(self) -> list[TimelineSegment]:
        """The remaining segments; no more can be added."""
        return self._settle(self._smoother.close())

    def _settle(self, settled: Sequence[np.ndarray[Any, Any] | None]) -> list[TimelineSegment]:
        done: list[TimelineSegment] = []
        for posterior in settled:
            segment = self._waiting.popleft()
            if posterior is not None and not self.off and isinstance(segment, SegmentPrediction):
                segment = replace(segment, smoothed=self._prediction(posterior, segment))
            done.append(segment)
        return done

    def _prediction(self, posterior: NDArray[np.float64], segment: SegmentPrediction) -> SmoothedPrediction:
        """The prediction from the posterior ``[C]`` of a segment.

        The posterior is more confident than calibrated probabilities, so no threshold holds for it. A model with a
        threshold therefore gives only labels that it gives for the segment alone.
        """
        decided = self._calibration.decide([subset_key(segment.present)], posterior[None], self._task)[0]
        column = int(posterior.argmax()) if self._task == "multi" else int(decided)
        probs = {label: round(float(p), 6) for label, p in zip(self._labels, posterior, strict=True)}
        several = self._task == "multi"
        labels = [label for label, flag in zip(self._labels, decided, strict=True) if flag] if several else None
        label = self._labels[column]
        certain = self._calibration.max_error is None or segment.label == label
        return SmoothedPrediction(label=label if certain else UNCERTAIN, probs=probs, labels=labels)
