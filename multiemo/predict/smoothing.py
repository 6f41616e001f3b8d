"""Adds what is smoothed over time to the segments of a file or stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.calibration import Calibration
from multiemo.smoothing import LAG_SEGMENTS, STAY_SECONDS, Smoother
from multiemo.types import subset_key


class Smoothing:
    """Adds ``smoothed`` to the segments of one file, in order, as soon as each is settled.

    A model whose calibration found that smoothing makes labels worse leaves them as they are.

    Args:
        labels: of the model.
        prior: ``[C]`` share of each label in training.
        task: ``multi`` where several labels can hold at once; ``dimensions``, which has no labels, is not smoothed.
        calibration: of the model: decides labels, and knows for how long they last.
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
        #: Why there is none, where there is none.
        self.notes = self._calibration.smoothing_notes() if self.off else []
        lag = 0 if self.off else LAG_SEGMENTS  # without smoothing a segment is settled at once
        self._smoother = Smoother(
            np.asarray(prior, dtype=np.float64), stay_seconds=stay or STAY_SECONDS, lag=lag, task=task
        )
        self._waiting: list[dict[str, Any]] = []

    def push(self, entry: dict[str, Any]) -> list[dict[str, Any]]:
        """The next segment, or a skipped one; the entries that are now settled."""
        said = entry.get("probs")
        probs = None if said is None else np.array([said[label] for label in self._labels])
        self._waiting.append(entry)
        return self._settle(self._smoother.push(probs, entry["start"], entry["end"]))

    def close(self) -> list[dict[str, Any]]:
        """The rest."""
        return self._settle(self._smoother.close())

    def _settle(self, settled: Sequence[np.ndarray[Any, Any] | None]) -> list[dict[str, Any]]:
        done = []
        for posterior in settled:
            entry = self._waiting.pop(0)
            if posterior is not None and not self.off:
                entry["smoothed"] = self._named(posterior, subset_key(entry["present"]))
            done.append(entry)
        return done

    def _named(self, posterior: NDArray[np.float64], key: str) -> dict[str, Any]:
        """Label (and, where there can be several, ``labels``) and probabilities of one segment."""
        said = self._calibration.decide([key], posterior[None], self._task)[0]
        column = int(posterior.argmax()) if self._task == "multi" else int(said)
        probs = {label: round(float(p), 6) for label, p in zip(self._labels, posterior, strict=True)}
        named: dict[str, Any] = {"label": self._labels[column], "probs": probs}
        if self._task == "multi":
            named["labels"] = [label for label, given in zip(self._labels, said, strict=True) if given]
        return named
