"""Chooses the segments that are worth an explanation, in one pass and with a bounded number of them in memory."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence

from multiemo.calibration import UNCERTAIN
from multiemo.predict.explanations.records import Choice
from multiemo.predict.prediction import SegmentPrediction
from multiemo.predict.segmentation.stream import Segment
from multiemo.types import DIMENSIONS

#: Number of segments that are explained unless another one is requested.
MOST = 8
#: Share of them that is reserved for segments whose modalities disagree, and as many for undecided ones.
_RESERVED = 4


class Chooser:
    """Keeps the segments of one input that will be explained.

    If there are more than ``most``, a quarter are those whose modalities disagree most (Jensen-Shannon divergence of
    the branches), up to a quarter are those for which the model gives no label, nearest to its threshold first, and
    the others are those that differ most from what is usual: relative entropy of the probabilities to the label shares
    of training. A confident "neutral" of a corpus that is mostly neutral therefore counts little. For a model without
    labels, distances between dimensions take the place of both divergences.

    Args:
        usual: {label or dimension: share, or mean, in training}.
        most: number of segments to explain.
        start, end: only segments that overlap this span are chosen, seconds.
    """

    def __init__(self, usual: Mapping[str, float], most: int = MOST, start: float = 0.0, end: float = math.inf) -> None:
        self._usual, self._most, self._start, self._end = usual, most, start, end
        self._count = 0
        self._heaps: dict[Choice, list[tuple[float, int, Segment, SegmentPrediction]]] = {
            "conflict": [],
            "uncertain": [],
            "telling": [],
        }

    def add(self, segment: Segment, prediction: SegmentPrediction) -> None:
        """Consider a predicted segment."""
        whole = segment.kind == "whole"
        if not whole and (segment.end <= self._start or segment.start >= self._end):
            return
        self._count += 1
        self._keep("telling", unusual(prediction, self._usual), segment, prediction)
        self._keep("conflict", disagreement(prediction), segment, prediction)
        if prediction.label == UNCERTAIN and prediction.probs is not None and prediction.best is not None:
            self._keep("uncertain", prediction.probs[prediction.best], segment, prediction)

    def chosen(self) -> list[tuple[Segment, SegmentPrediction, Choice]]:
        """The segments to explain, each with the reason, in order of time."""
        found: dict[int, tuple[Segment, SegmentPrediction, Choice]] = {}
        everything = self._count <= self._most
        for why, heap in self._heaps.items():
            limit = self._most if why == "telling" else min(self._most, len(found) + self._most // _RESERVED)
            for _, number, segment, prediction in sorted(heap, key=lambda entry: (-entry[0], -entry[1])):
                if len(found) < limit:
                    found.setdefault(number, (segment, prediction, "all" if everything else why))
        return [found[number] for number in sorted(found, reverse=True)]  # numbers count down

    @property
    def left_out(self) -> int:
        """Number of segments in the span that are not explained."""
        return max(0, self._count - self._most)

    def _keep(self, why: Choice, score: float, segment: Segment, prediction: SegmentPrediction) -> None:
        """Add a segment to a heap of at most ``most``.

        Args:
            why: which heap.
            score: how much the segment deserves it.
            segment: the segment.
            prediction: its prediction.
        """
        heap = self._heaps[why]
        entry = (score, -self._count, segment, prediction)
        if len(heap) < self._most:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)


def unusual(prediction: SegmentPrediction, usual: Mapping[str, float]) -> float:
    """How far a prediction is from what is usual in training: relative entropy in bits, or distance of dimensions.

    Args:
        prediction: the prediction.
        usual: {label or dimension: share, or mean, in training}.
    """
    if prediction.probs is None:
        values = [(getattr(prediction, name), usual.get(name, 0.0)) for name in DIMENSIONS]
        return (
            math.dist(*zip(*((v, u) for v, u in values if v is not None), strict=True))
            if any(v is not None for v, _ in values)
            else 0.0
        )
    return _relative_entropy(list(prediction.probs.values()), [usual[label] for label in prediction.probs])


def disagreement(prediction: SegmentPrediction) -> float:
    """How much the branches of a segment disagree: the largest divergence of two of them, 0 with fewer than two.

    For labels it is the Jensen-Shannon divergence in bits, 0..1 (Lin 1991); for dimensions the distance.
    """
    rows = [list(values.values()) for values in prediction.by_modality.values()]
    pairs = [(a, b) for i, a in enumerate(rows) for b in rows[:i] if len(a) == len(b)]
    if prediction.probs is None:
        return max((math.dist(a, b) for a, b in pairs), default=0.0)
    return max((_jensen_shannon(a, b) for a, b in pairs), default=0.0)


def _jensen_shannon(a: Sequence[float], b: Sequence[float]) -> float:
    a, b = _normalised(a), _normalised(b)
    middle = [(p + q) / 2 for p, q in zip(a, b, strict=True)]
    return (_relative_entropy(a, middle) + _relative_entropy(b, middle)) / 2


def _relative_entropy(p: Sequence[float], q: Sequence[float]) -> float:
    p, q = _normalised(p), _normalised([max(v, 1e-6) for v in q])
    return sum(a * math.log2(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def _normalised(p: Sequence[float]) -> list[float]:
    """Probabilities that sum to one; those of several labels that can hold at once do not."""
    total = sum(p)
    return [v / total for v in p] if total > 0 else [1 / len(p)] * len(p)
