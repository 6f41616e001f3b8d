"""The resumable states of a stage: the latest few and the best weights, each written atomically."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from multiemo.errors import CheckpointError
from multiemo.training.checkpoint import Facts, load_tensors, save_tensors
from multiemo.training.epochs import Epoch

STATE_VERSION = 2


@dataclass(slots=True)
class FitProgress:
    """Progress of a stage.

    Args:
        epoch: finished epochs.
        batch: finished batches of the current epoch.
        step: finished optimiser steps.
        best_score: score of the best epoch so far.
        best_epoch: number of that epoch, from 1; 0 before the first.
        best: validation figures of that epoch.
        best_file: name of the file with its weights, in the folder of states.
        seconds: seconds spent on the stage.
        history: records of all finished epochs.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best_score: float = -math.inf
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)
    best_file: str = ""
    seconds: float = 0.0
    history: list[Epoch] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StoredState:
    """A state read from disk.

    Args:
        progress: progress of the stage.
        tensors: weights, optimiser moments and random states.
        facts: further values stored by the trainer.
    """

    progress: FitProgress
    tensors: dict[str, Tensor]
    facts: Facts


class States:
    """A folder of states.

    Args:
        folder: folder of the states, created on the first write.
        identity: digest of the run's settings; a state of another run is rejected.
        keep: number of latest states to keep, besides the best weights.
    """

    def __init__(self, folder: Path, *, identity: str, keep: int) -> None:
        self.folder, self.identity, self.keep = folder, identity, keep

    def save(self, progress: FitProgress, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write a state, then remove old ones.

        Args:
            progress: progress of the stage.
            tensors: weights, optimiser moments and random states.
            facts: further JSON values needed to resume.

        Raises:
            CheckpointError: the disk is full or the folder cannot be written; the earlier states are still there.
        """
        facts = {**facts, "version": STATE_VERSION, "identity": self.identity, "progress": _plain(progress)}
        save_tensors(self.folder / f"step-{progress.step:08d}.safetensors", tensors, facts)
        for old in self._steps()[self.keep :]:
            old.unlink(missing_ok=True)
        for old in self.folder.glob("best-*.safetensors"):
            if old.name != progress.best_file:
                old.unlink(missing_ok=True)

    def save_best(self, progress: FitProgress, tensors: Mapping[str, Tensor]) -> None:
        """Write the best weights and store their file name in ``progress``.

        The previous best weights are removed when the next state is written.

        Args:
            progress: progress of the stage, at the end of its best epoch.
            tensors: weights of the model.
        """
        progress.best_file = f"best-{progress.best_epoch:05d}.safetensors"
        save_tensors(self.folder / progress.best_file, tensors, {"epoch": progress.best_epoch})

    def load(self) -> StoredState | None:
        """The newest readable state, or ``None`` if there are no states.

        Raises:
            CheckpointError: no state is readable, or the newest readable one is of another config or version.
        """
        first: CheckpointError | None = None
        for path in self._steps():
            try:
                tensors, facts = load_tensors(path)
            except CheckpointError as error:
                first = first or error
                continue
            if facts.get("version") != STATE_VERSION or facts.get("identity") != self.identity:
                raise CheckpointError(
                    f"{path}: the saved state is of another config or version; resume with the config it was started "
                    "with, or choose another --out"
                )
            return StoredState(_progress(facts["progress"]), tensors, facts)
        if first is not None:
            raise CheckpointError(f"{first}; remove {self.folder} to start this stage again")
        return None

    def load_best(self, progress: FitProgress) -> dict[str, Tensor]:
        """The best weights that a state refers to; raises like :func:`load_tensors`."""
        return load_tensors(self.folder / progress.best_file)[0]

    def _steps(self) -> list[Path]:
        """Files of the states, newest first."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(self.folder.glob("step-*.safetensors"), reverse=True)
        return []


def _plain(progress: FitProgress) -> dict[str, Any]:
    """Progress as JSON values; Python's JSON also stores the initial best score, which is minus infinity."""
    return {f.name: getattr(progress, f.name) for f in fields(progress)}


def _progress(values: Mapping[str, Any]) -> FitProgress:
    return FitProgress(**{**values, "history": [Epoch.from_json(epoch) for epoch in values["history"]]})
