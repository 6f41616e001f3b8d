"""Worker processes on this machine: the one place that starts, feeds, restarts and ends them.

Each process is spawned, so that it shares neither threads nor a CUDA context with its parent, and occupies one slot,
which says what it may use. It loads what it needs once and is then handed tasks, one at a time. None outlives the
supervisor: not a failure, not an interrupt, not the parent's own death.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Generic, TypeVar

from multiemo.errors import MultiemoError

Task = TypeVar("Task")
Place = TypeVar("Place")
#: What a worker process runs: it gets its slot, loads what it needs, and returns the function that does one task.
Setup = Callable[[Place], Callable[[Task], None]]

#: Processes of one slot that may die in a row before they are ready; the next attempt would die as well.
_EARLY_DEATHS = 2


class TaskFailedError(MultiemoError):
    """A process reported an error.

    Args:
        task: the one it was working on.
        message: of the error; one of a defect begins with its type, and its traceback is on standard error.
    """

    def __init__(self, task: object, message: str) -> None:
        super().__init__(message)
        self.task = task


class ProcessDiedError(MultiemoError):
    """A process ended without a word: killed, or crashed in native code.

    Args:
        task: the one it was working on.
        code: its exit code; negative for a signal.
    """

    def __init__(self, task: object, code: int | None) -> None:
        super().__init__(f"its process ended with code {code}")
        self.task, self.code = task, code


@dataclass(frozen=True, slots=True)
class Slot:
    """What one process may use.

    Args:
        threads: of torch.
        gpu: as ``CUDA_VISIBLE_DEVICES`` names it; ``None`` leaves the choice as it is.
    """

    threads: int
    gpu: str | None = None

    def occupy(self) -> None:
        """Restrict this process to the slot. Call it before CUDA is initialised."""
        import torch

        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        torch.set_num_threads(self.threads)


@dataclass(frozen=True, slots=True)
class Finished(Generic[Task]):
    """A task that is done.

    Args:
        task: as it was given.
        seconds: since it was assigned to a process; with one process a task they include its start.
    """

    task: Task
    seconds: float


@dataclass(slots=True)
class _Worker(Generic[Task, Place]):
    """A process and its task.

    Args:
        process, pipe: to talk to it.
        place: its slot.
        early: processes of this slot before it that died in a row before they were ready.
        task: ``None`` when it is idle.
        began: when the task was assigned.
        ready: whether its setup is complete.
    """

    process: SpawnProcess
    pipe: Connection
    place: Place
    early: int
    task: Task | None
    began: float
    ready: bool = False

    def send(self) -> None:
        """Hand the assigned task over."""
        with suppress(BrokenPipeError):  # it has died since; the next round finds out
            self.pipe.send(self.task)

    def assign(self, task: Task) -> None:
        """Give an idle process its next task."""
        self.task, self.began = task, time.perf_counter()
        self.send()


def supervise(
    setup: Setup[Place, Task],
    slots: Sequence[Place],
    tasks: Sequence[Task],
    *,
    reuse: bool = True,
    restart: bool = False,
) -> Iterator[Finished[Task]]:
    """Do tasks in processes, one process a slot at a time.

    A program that calls this from its main module must guard it with ``if __name__ == "__main__"``, since the processes
    import that module.

    Args:
        setup: a picklable function (of a module, or a ``functools.partial`` of one) that each process calls first, with
            its slot.
        slots: picklable; no more processes are started than there are tasks.
        tasks: picklable, none of them ``None``.
        reuse: whether a process does further tasks; otherwise each task gets a process of its own, which returns all of
            its memory.
        restart: whether a task whose process died is given to another one, as often as it takes. The tasks themselves
            must then give up on what kills them.

    Yields:
        The tasks, as they are done.

    Raises:
        TaskFailedError: setup or a task raised an error.
        ProcessDiedError: a process died; with ``restart`` only if it, and the one before it in its slot, died in setup.
    """
    waiting, free = deque(tasks), deque((place, 0) for place in slots)
    workers: list[_Worker[Task, Place]] = []
    try:
        while waiting or any(worker.task is not None for worker in workers):
            for worker in workers:
                if waiting and worker.task is None:
                    worker.assign(waiting.popleft())
            while waiting and free:
                workers.append(_start(setup, *free.popleft(), waiting.popleft()))
            ready = wait([worker.pipe for worker in workers])
            for worker in [worker for worker in workers if worker.pipe in ready]:
                if not _is_alive(worker):
                    workers.remove(worker)
                    early = 0 if worker.ready else worker.early + 1
                    if worker.task is not None:
                        if not restart or early >= _EARLY_DEATHS:
                            raise ProcessDiedError(worker.task, worker.process.exitcode)
                        waiting.appendleft(worker.task)
                    free.append((worker.place, early))
                elif not worker.ready:
                    worker.ready = True
                    worker.send()
                elif worker.task is not None:
                    finished = Finished(worker.task, time.perf_counter() - worker.began)
                    worker.task = None
                    if not reuse:
                        workers.remove(worker)
                        _dismiss(worker)
                        free.append((worker.place, 0))
                    yield finished
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join()


def _start(setup: Setup[Place, Task], place: Place, early: int, task: Task) -> _Worker[Task, Place]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, setup, place, multiprocessing.get_start_method()))
    process.start()
    theirs.close()
    return _Worker(process, ours, place, early, task, time.perf_counter())


def _is_alive(worker: _Worker[Task, Place]) -> bool:
    """Whether a process says that it is ready for a task; otherwise it has died.

    Raises:
        TaskFailedError: it says what went wrong.
    """
    try:
        trouble = worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        return False
    if trouble is not None:
        raise TaskFailedError(worker.task, trouble)
    return True


def _dismiss(worker: _Worker[Task, Place]) -> None:
    """End an idle process, and wait until its memory is free."""
    worker.pipe.close()
    worker.process.join()


def _work(pipe: Connection, setup: Setup[Place, Task], place: Place, start_method: str) -> None:
    """A process: says ``None`` when it is ready for a task, or what went wrong."""
    obey_parent()
    multiprocessing.set_start_method(start_method, force=True)  # of its own workers; a spawned process would spawn them
    try:
        do = setup(place)
        pipe.send(None)
        while True:
            try:
                task = pipe.recv()
            except EOFError:  # dismissed
                return
            do(task)
            pipe.send(None)
    except MultiemoError as error:
        pipe.send(str(error))
    except Exception as error:
        traceback.print_exc()
        pipe.send(f"a worker failed: {type(error).__name__}: {error}")


def obey_parent() -> None:
    """Leave an interrupt to the parent, and end when it is gone, however it went.

    An orphan would write into the folders of the next call.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
