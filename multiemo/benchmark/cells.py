"""Trains and tests every fold with every seed, several at a time, and keeps what is finished.

A *cell* is one training: a fold and a seed. It is a run folder like any other; it counts as finished once it holds
``evaluation.json``. A benchmark that was killed goes on with the cells that are not, each from its last epoch.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch

from multiemo.benchmark.protocol import Protocol
from multiemo.build import Observer, evaluate_run, train
from multiemo.build import data as wiring
from multiemo.build.children import obey_parent
from multiemo.build.device import gpus
from multiemo.build.parts import build_encoder, input_kind
from multiemo.build.sources import open_manifest
from multiemo.config import Config, stored_config
from multiemo.errors import MultiemoError, TrainingError
from multiemo.inputs import build_input
from multiemo.report import save_evaluation


@dataclass(frozen=True, slots=True)
class Cell:
    """One training of a benchmark.

    Args:
        fold: name of the fold.
        seed: of the training.
        config: what is trained.
        folder: its run folder.
    """

    fold: str
    seed: int
    config: Config
    folder: Path

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.fold}, seed {self.seed}"

    @property
    def finished(self) -> bool:
        """Whether it is trained and tested."""
        return (self.folder / "evaluation.json").is_file()


def cells_of(protocol: Protocol, seeds: int, folder: Path) -> list[Cell]:
    """All trainings of a protocol, seed by seed."""
    return [
        Cell(fold.name, seed, fold.config.model_copy(update={"seed": seed}), folder / f"{fold.name}-seed{seed}")
        for seed in range(protocol.folds[0].config.seed, protocol.folds[0].config.seed + seeds)
        for fold in protocol.folds
    ]


def run_cells(cells: Sequence[Cell], *, jobs: int = 0, observer: Observer | None = None) -> None:
    """Train and test the cells that are not finished yet.

    Args:
        cells: of one manifest.
        jobs: cells at a time; 0 = one a GPU, or one a core.
        observer: is told when a cell ends.

    Raises:
        MultiemoError: a cell failed; the message begins with its name. Cells that are finished stay so.
    """
    observer = observer or Observer()
    pending = [cell for cell in cells if not cell.finished]
    kept = len(cells) - len(pending)
    if kept:
        observer.note(f"{kept} of {len(cells)} trainings were finished before and are kept")
    if not pending:
        return
    jobs = min(jobs or automatic_jobs(pending[0].config), len(pending))
    fill_cache(pending[0].config, observer)
    observer.stage("train and test")
    observer.progress(kept, len(cells))
    run = _in_this_process if jobs == 1 else _in_processes(jobs)
    for done, (cell, seconds) in enumerate(run(pending), start=kept + 1):
        observer.progress(done, len(cells))
        observer.note(f"{cell.name}: trained and tested in {seconds:.0f} s")


def automatic_jobs(config: Config) -> int:
    """One training a GPU, or one a core where there is none."""
    return len(_gpus(config)) or os.cpu_count() or 1


def _gpus(config: Config) -> list[str]:
    return gpus() if config.device in ("auto", "cuda") else []


def fill_cache(config: Config, observer: Observer) -> None:
    """Decode and preprocess every clip once, so that the cells only read; what is not decoded needs no cache."""
    source = open_manifest(config)
    inputs = {
        m: build_input(m, build_encoder(config, m).input_spec)
        for m in config.modalities
        if input_kind(config, m).decodes
    }
    if inputs:
        observer.stage("decode")
        wiring.prepare_part(
            config, source.folder, source.clips, inputs, on_progress=observer.progress, on_note=observer.note
        )


def run_cell(cell: Cell) -> None:
    """Train one cell, going on where an earlier attempt stopped, and read its test part once, on the same device."""
    begun = (cell.folder / "config.yaml").is_file()
    train(cell.config, cell.folder, resume=begun)
    save_evaluation(cell.folder, evaluate_run(cell.folder, device=cell.config.device, by="benchmark"))


def _in_this_process(cells: Sequence[Cell]) -> Iterator[tuple[Cell, float]]:
    for cell in cells:
        began = time.perf_counter()
        try:
            run_cell(cell)
        except MultiemoError as error:
            raise type(error)(f"{cell.name}: {error}") from error
        yield cell, time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class _Place:
    """What a process may use: threads, a GPU, and how its own workers start (a spawned process would spawn them)."""

    threads: int
    gpu: str | None
    start_method: str


@dataclass(frozen=True, slots=True)
class _Running:
    """A cell in a process of its own, in one of the slots (a slot has a GPU, where there are any)."""

    cell: Cell
    process: SpawnProcess
    said: Connection
    slot: int
    began: float


def _in_processes(jobs: int) -> Callable[[Sequence[Cell]], Iterator[tuple[Cell, float]]]:
    """Runs cells in processes of their own, ``jobs`` at a time; none outlives a failure or an interrupt."""

    def run(cells: Sequence[Cell]) -> Iterator[tuple[Cell, float]]:
        waiting, slots, running = list(cells), list(range(jobs)), list[_Running]()
        try:
            while waiting or running:
                while waiting and slots:
                    running.append(_start(waiting.pop(0), slots.pop(0), jobs))
                ready = wait([one.said for one in running])
                for one in [one for one in running if one.said in ready]:
                    running.remove(one)
                    slots.append(one.slot)
                    _check(one)
                    yield one.cell, time.perf_counter() - one.began
        finally:
            for one in running:
                one.process.terminate()
            for one in running:
                one.process.join()

    return run


def _start(cell: Cell, slot: int, jobs: int) -> _Running:
    context = multiprocessing.get_context("spawn")
    places = _gpus(cell.config)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    ours, theirs = context.Pipe(duplex=False)
    place = _Place(threads, places[slot % len(places)] if places else None, multiprocessing.get_start_method())
    values = cell.config.model_dump(mode="json")
    process = context.Process(target=_child, args=(theirs, cell.fold, cell.seed, values, str(cell.folder), place))
    process.start()
    theirs.close()
    return _Running(cell, process, ours, slot, time.perf_counter())


def _check(one: _Running) -> None:
    """Raise what went wrong in a process that has ended."""
    message = _last_word(one.said)
    one.process.join()
    if message is None:
        raise TrainingError(
            f"{one.cell.name}: its process ended with code {one.process.exitcode}; -9 is mostly too little memory, "
            "then set benchmark.jobs=1. Finished trainings are kept: run the command again"
        )
    if message:
        raise TrainingError(f"{one.cell.name}: {message}")


def _last_word(connection: Connection) -> str | None:
    """What a child said at its end: nothing wrong (empty), an error, or ``None`` when it died without a word."""
    try:
        return str(connection.recv())
    except EOFError:
        return None


def _child(report: Connection, fold: str, seed: int, values: dict[str, object], folder: str, place: _Place) -> None:
    """One cell in a process of its own."""
    obey_parent()
    multiprocessing.set_start_method(place.start_method, force=True)
    if place.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = place.gpu
    torch.set_num_threads(place.threads)
    try:
        run_cell(Cell(fold, seed, stored_config(values), Path(folder)))
    except MultiemoError as error:
        report.send(str(error))
    else:
        report.send("")
    report.close()
