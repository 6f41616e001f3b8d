"""Train and test every fold with every seed, several at a time, and keep the finished ones.

A *cell* is one training: a fold and a seed. Its folder is an ordinary run folder, and it counts as finished once it
holds ``evaluation.json``. A benchmark that was killed continues with the unfinished cells, each from its last epoch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from multiemo.benchmark.protocol import Protocol
from multiemo.config import Config
from multiemo.errors import MultiemoError, TrainingError
from multiemo.inputs import build_input
from multiemo.processes import ProcessDiedError, Slot, TaskFailedError, supervise
from multiemo.progress import Progress
from multiemo.report import save_evaluation
from multiemo.runs import batches as wiring
from multiemo.runs import evaluate_run, train
from multiemo.runs.device import gpus
from multiemo.runs.parts import build_encoder, input_kind
from multiemo.runs.sources import open_manifest


@dataclass(frozen=True, slots=True)
class Cell:
    """One training of a benchmark.

    Args:
        fold: name of the fold.
        seed: seed of the training.
        config: config of the training.
        folder: run folder.
    """

    fold: str
    seed: int
    config: Config
    folder: Path

    @property
    def name(self) -> str:
        """The name of the cell in messages."""
        return f"{self.fold}, seed {self.seed}"

    @property
    def finished(self) -> bool:
        """Whether the cell is trained and tested."""
        return (self.folder / "evaluation.json").is_file()


def cells_of(protocol: Protocol, seeds: int, folder: Path) -> list[Cell]:
    """List all trainings of a protocol, seed by seed.

    Args:
        protocol: its folds are trained.
        seeds: number of seeds; they count up from the seed of the config.
        folder: gets one run folder for each cell.
    """
    return [
        Cell(fold.name, seed, fold.config.model_copy(update={"seed": seed}), folder / f"{fold.name}-seed{seed}")
        for seed in range(protocol.folds[0].config.seed, protocol.folds[0].config.seed + seeds)
        for fold in protocol.folds
    ]


def run_cells(cells: Sequence[Cell], *, jobs: int = 0, progress: Progress | None = None) -> None:
    """Train and test the cells that are not finished yet.

    Args:
        cells: cells of one manifest.
        jobs: number of cells at a time; 0 = one per GPU, or one per core without a GPU.
        progress: receives the progress and a note for each finished cell.

    Raises:
        MultiemoError: a cell failed; the message begins with its name. Finished cells are kept.
    """
    progress = progress or Progress()
    pending = [cell for cell in cells if not cell.finished]
    kept = len(cells) - len(pending)
    if kept:
        progress.note(f"{kept} of {len(cells)} trainings are already finished and are kept")
    if not pending:
        return
    jobs = min(jobs or automatic_jobs(pending[0].config), len(pending))
    fill_cache(pending[0].config, progress)
    progress.stage("train and test")
    progress.update(kept, len(cells))
    trained = _in_this_process(pending) if jobs == 1 else _in_processes(pending, jobs)
    for done, (cell, seconds) in enumerate(trained, start=kept + 1):
        progress.update(done, len(cells))
        progress.note(f"{cell.name}: trained and tested in {seconds:.0f} s")


def automatic_jobs(config: Config) -> int:
    """One training per GPU, or one per core without a GPU."""
    return len(_gpus(config)) or os.cpu_count() or 1


def _gpus(config: Config) -> list[str]:
    return gpus() if config.device in ("auto", "cuda") else []


def fill_cache(config: Config, progress: Progress) -> None:
    """Decode and preprocess every clip once, so that the cells only read the cache.

    Inputs that are not decoded are not cached.
    """
    source = open_manifest(config)
    inputs = {
        m: build_input(m, build_encoder(config, m).input_spec)
        for m in config.modalities
        if input_kind(config, m).decodes
    }
    if inputs:
        progress.stage("decode")
        wiring.prepare_part(config, source.folder, source.clips, inputs, progress=progress)


def run_cell(cell: Cell) -> None:
    """Train one cell, continuing an earlier attempt, and evaluate its test part once, on the same device."""
    started = (cell.folder / "config.yaml").is_file()
    train(cell.config, cell.folder, resume=started)
    save_evaluation(cell.folder, evaluate_run(cell.folder, device=cell.config.device, by="benchmark"))


def _in_this_process(cells: Sequence[Cell]) -> Iterator[tuple[Cell, float]]:
    for cell in cells:
        began = time.perf_counter()
        try:
            run_cell(cell)
        except MultiemoError as error:
            raise type(error)(f"{cell.name}: {error}") from error
        yield cell, time.perf_counter() - began


def _in_processes(cells: Sequence[Cell], jobs: int) -> Iterator[tuple[Cell, float]]:
    """Run each cell in a process of its own, ``jobs`` at a time; a process that ends returns all of its memory."""
    try:
        for finished in supervise(_occupy, slots_of(cells[0].config, jobs), cells, reuse=False):
            yield finished.task, finished.seconds
    except ProcessDiedError as error:
        raise TrainingError(
            f"{_name(error.task)}: {error}; exit code -9 usually means too little memory: set benchmark.jobs=1. "
            "Finished trainings are kept: run the command again to continue"
        ) from None
    except TaskFailedError as error:
        raise TrainingError(f"{_name(error.task)}: {error}") from None


def slots_of(config: Config, jobs: int) -> list[Slot]:
    """What each of ``jobs`` processes may use: its share of the cores, and a GPU if there is one."""
    devices = _gpus(config)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    return [Slot(threads, devices[number % len(devices)] if devices else None) for number in range(jobs)]


def _occupy(slot: Slot) -> Callable[[Cell], None]:
    """Prepare a worker process; returns the function that it runs for each cell."""
    slot.occupy()
    return run_cell


def _name(task: object) -> str:
    return task.name if isinstance(task, Cell) else str(task)
