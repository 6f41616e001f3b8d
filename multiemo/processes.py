"""Supervises worker processes on this machine: starts and restarts them, assigns their tasks, and ends them.

Each process is spawned, so it shares neither threads nor a CUDA context with its parent. It occupies one slot, which
defines the resources that it may use. It runs its setup once and then receives tasks, one at a time. No process
outlives the supervisor, even after a failure, an interrupt or the death of the parent.
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
#: Setup of a worker process: takes its slot, loads what it needs, and returns the function that does one task.
Setup = Callable[[Place], Callable[[Task], None]]

#: After this many consecutive deaths during setup in one slot, the supervisor gives up.
_EARLY_DEATHS = 2


class TaskFailedError(MultiemoError):
    """A process reported an error.

    Args:
        task: task that the process was working on.
        message: error message; for an unexpected exception it contains the type, and the traceback is on stderr.
    """

    def __init__(self, task: object, message: str) -> None:
        super().__init__(message)
        self.task = task


class ProcessDiedError(MultiemoError):
    """A process ended without reporting an error: it was killed, or crashed in native code.

    Args:
        task: task that the process was working on.
        code: exit code of the process; negative for a signal.
    """

    def __init__(self, task: object, code: int | None) -> None:
        super().__init__(f"its process ended with code {code}")
        self.task, self.code = task, code


@dataclass(frozen=True, slots=True)
class Slot:
    """The resources that one process may use.

    Args:
        threads: number of torch threads.
        gpu: value of ``CUDA_VISIBLE_DEVICES``; ``None`` leaves it unchanged.
    """

    threads: int
    gpu: str | None = None

    def occupy(self) -> None:
        """Restrict this process to the slot; must be called before CUDA is initialised."""
        import torch

        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        torch.set_num_threads(self.threads)


@dataclass(frozen=True, slots=True)
class Finished(Generic[Task]):
    """A finished task.

    Args:
        task: the task, as given to :func:`supervise`.
        seconds: seconds since it was assigned to a process, including the start of a process for a single task.
    """

    task: Task
    seconds: float


@dataclass(slots=True)
class _Worker(Generic[Task, Place]):
    """A process and its task.

    Args:
        process: the process.
        pipe: connection to the process.
        place: slot of the process.
        early: number of consecutive earlier processes of this slot that died during setup.
        task: current task; ``None`` if the process is idle.
        began: time at which the task was assigned.
        ready: whether setup is complete.
    """

    process: SpawnProcess
    pipe: Connection
    place: Place
    early: int
    task: Task | None
    began: float
    ready: bool = False

    def send(self) -> None:
        """Send the assigned task to the process."""
        with suppress(BrokenPipeError):  # the process has died; the next round of the supervisor detects it
            self.pipe.send(self.task)

    def assign(self, task: Task) -> None:
        """Assign the next task to an idle process."""
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
    """Run tasks in worker processes, at most one process per slot at a time.

    A program that calls this from its main module must guard the call with ``if __name__ == "__main__"``, since the
    processes import that module.

    Args:
        setup: picklable function (of a module, or a ``functools.partial`` of one) that each process calls first, with
            its slot.
        slots: picklable slots; no more processes are started than there are tasks.
        tasks: picklable tasks, none of them ``None``.
        reuse: let a process run further tasks; otherwise each task gets its own process, whose memory is freed after
            it.
        restart: assign a task whose process died to another process, without limit; the tasks themselves must then stop
            retrying what kills them.

    Yields:
        Tasks in the order in which they finish.

    Raises:
        TaskFailedError: setup or a task raised an exception.
        ProcessDiedError: a process died; with ``restart`` only if it and the previous one of its slot died in setup.
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
    """Receive a message from a process: true if it is ready for a task, false if it has died.

    Raises:
        TaskFailedError: the process reported an error.
    """
    try:
        failure = worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        return False
    if failure is not None:
        raise TaskFailedError(worker.task, failure)
    return True


def _dismiss(worker: _Worker[Task, Place]) -> None:
    """End an idle process and wait until its memory is freed."""
    worker.pipe.close()
    worker.process.join()


def _work(pipe: Connection, setup: Setup[Place, Task], place: Place, start_method: str) -> None:
    """Main function of a process; sends ``None`` when ready for a task, or an error message."""
    obey_parent()
    # The start method for the process's own children; a spawned process would otherwise spawn them.
    multiprocessing.set_start_method(start_method, force=True)
    try:
        do = setup(place)
        pipe.send(None)
        while True:
            try:
                task = pipe.recv()
            except EOFError:  # the supervisor has closed the pipe
                return
            do(task)
            pipe.send(None)
    except MultiemoError as error:
        pipe.send(str(error))
    except Exception as error:
        traceback.print_exc()
        pipe.send(f"a worker failed: {type(error).__name__}: {error}")


def obey_parent() -> None:
    """In a child process: ignore Ctrl-C, which the parent handles, and exit as soon as the parent has ended.

    An orphaned process would write to the folders of the next call.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """Wait for the end of the parent process, then exit."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
