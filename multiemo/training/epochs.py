"""What each epoch of a training came to: the lines of ``metrics.jsonl``."""

from __future__ import annotations

from multiemo.metrics.results import Figure
from multiemo.records import Record, record


@record
class Epoch(Record):
    """What one epoch of a stage came to.

    Args:
        epoch: counted from one.
        step: optimiser steps until its end.
        loss: mean training loss.
        lr: learning rate at its end.
        val: {figure: value} on validation, of the figures that are defined; empty without a validation part.
        best: whether it is the best epoch so far.
        seconds: spent on the stage until its end.
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
    """Which stage something is of.

    Args:
        stage: ``text``, ``speech``, ``face`` or ``fuse``.
    """

    stage: str


@record
class StageEpoch(Epoch, _OfStage):
    """One epoch of one stage: a line of ``metrics.jsonl``."""
