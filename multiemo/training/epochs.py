"""Records of training epochs: the lines of ``metrics.jsonl``."""

from __future__ import annotations

from multiemo.metrics.results import Figure
from multiemo.records import Record, record


@record
class Epoch(Record):
    """The result of one epoch of a stage.

    Args:
        epoch: number of the epoch, from 1.
        step: optimiser steps of the stage up to its end.
        loss: mean training loss.
        lr: learning rate at its end.
        val: {figure: value} on validation; undefined figures are left out; empty without a validation part.
        best: whether it is the best epoch so far; true of every epoch with ``select: last``.
        seconds: seconds spent on the stage up to its end.
    """

    epoch: int
    step: int
    loss: Figure
    lr: float
    val: dict[str, Figure]
    best: bool
    seconds: float


@record
class _OfStage(Record):
    """A record that belongs to a stage.

    Args:
        stage: ``text``, ``speech``, ``face`` or ``fuse``.
    """

    stage: str


@record
class StageEpoch(Epoch, _OfStage):
    """One epoch of one stage: a line of ``metrics.jsonl``.

    Args:
        epsilon: privacy loss of all steps of the model up to its end; left out without ``privacy``.
    """

    epsilon: float | None = None
