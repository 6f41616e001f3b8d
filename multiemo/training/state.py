"""The resumable states of one stage: the last few, and the best weights, each written whole or not at all."""

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
    """How far a stage is.

    Args:
        epoch: finished epochs.
        batch: finished batches of the present one.
        step: optimiser steps.
        best_score, best_epoch, best: of the best epoch so far; ``best`` are its validation figures.
        best_file: holds its weights, in the state's folder.
        seconds: spent.
        history: every finished epoch.
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
    """A state that was read back.

    Args:
        progress: how far the stage was.
        tensors: weights, moments and random states.
        facts: what else the trainer keeps.
    """

    progress: FitProgress
    tensors: dict[str, Tensor]
    facts: Facts


class States:
    """A folder of states.

    Args:
        folder: made when first written to.
        identity: of the run (its resolved config); a state of another one is refused.
        keep: how many of the last states stay; the best weights stay beside them.
    """

    def __init__(self, folder: Path, *, identity: str, keep: int) -> None:
        self.folder, self.identity, self.keep = folder, identity, keep

    def save(self, progress: FitProgress, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write a state, then remove those that are too old.

        Args:
            progress: of the stage.
            tensors: weights, moments and random states.
            facts: what else resuming needs, as JSON values.

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
        """Write the best weights and note their file; those of before stay until the next state is written."""
        progress.best_file = f"best-{progress.best_epoch:05d}.safetensors"
        save_tensors(self.folder / progress.best_file, tensors, {"epoch": progress.best_epoch})

    def load(self) -> StoredState | None:
        """The newest readable state; ``None`` where there is none.

        Raises:
            CheckpointError: there are states and none can be read, or the newest is of another config or version.
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
            raise CheckpointError(f"{first}; remove {self.folder} to begin this stage anew")
        return None

    def load_best(self, progress: FitProgress) -> dict[str, Tensor]:
        """The best weights that a state speaks of; raises as :func:`load_tensors`."""
        return load_tensors(self.folder / progress.best_file)[0]

    def _steps(self) -> list[Path]:
        """Newest first."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(self.folder.glob("step-*.safetensors"), reverse=True)
        return []


def _plain(progress: FitProgress) -> dict[str, Any]:
    """JSON values, the best score before the first epoch among them (minus infinity, which Python's JSON has)."""
    return {f.name: getattr(progress, f.name) for f in fields(progress)}


def _progress(values: Mapping[str, Any]) -> FitProgress:
    return FitProgress(**{**values, "history": [Epoch.from_json(epoch) for epoch in values["history"]]})
