"""Shards on this machine: worker processes that are started again when they die."""

from __future__ import annotations

import multiprocessing
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import torch

from multiemo.build.children import obey_parent
from multiemo.build.device import resolve_device
from multiemo.bulk.plan import Job, Shards
from multiemo.bulk.shard import Worker
from multiemo.errors import MultiemoError


@dataclass(slots=True)
class _Member:
    """A worker process and the shard it is at.

    Args:
        slot: which of the workers it is.
        process, pipe: to talk to it.
        early: how many before it in this slot, one after the other, died while they loaded the model.
        ready: whether it has loaded the model.
        shard: ``None`` when it waits.
    """

    slot: int
    process: SpawnProcess
    pipe: Connection
    early: int = 0
    ready: bool = False
    shard: int | None = None


def run_local(job: Job, shards: Shards, todo: Sequence[int], workers: int) -> Iterator[int]:
    """Do shards with ``workers`` processes; a shard whose worker dies goes to another one.

    Yields:
        The numbers of the shards, as they are done.

    Raises:
        ConfigError: there is no such device here.
        MultiemoError: a worker cannot load the model, or write.
    """
    waiting = deque(todo)
    places = places_of(job.device)
    crew = [_start(job, slot, places) for slot in range(min(workers, len(todo)))]
    try:
        while waiting or any(member.shard is not None for member in crew):
            pipes = wait([member.pipe for member in crew])
            for place, member in enumerate(crew):
                if member.pipe not in pipes:
                    continue
                if not _heard(member):
                    if member.shard is not None:
                        waiting.appendleft(member.shard)
                    crew[place] = _start(job, member.slot, places, 0 if member.ready else member.early + 1)
                    continue
                if member.shard is not None:
                    yield member.shard
                member.shard = waiting.popleft() if waiting else None
                if member.shard is not None:
                    with suppress(BrokenPipeError):  # it has died since; the next round finds out
                        member.pipe.send((member.shard, shards[member.shard]))
    finally:
        for member in crew:
            member.process.terminate()
        for member in crew:
            member.process.join()


def places_of(device: str) -> list[str]:
    """The devices that workers are dealt to: every GPU of this machine, unless one is named."""
    place = resolve_device(device)
    if place.type == "cuda" and place.index is None:
        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return [str(place)]


def _start(job: Job, slot: int, places: Sequence[str], early: int = 0) -> _Member:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs, job, places[slot % len(places)]))
    process.start()
    theirs.close()
    return _Member(slot, process, ours, early)


def _heard(member: _Member) -> bool:
    """Whether a worker says that it is ready for a shard; otherwise it has died.

    Raises:
        MultiemoError: it says what went wrong, or died while it loaded the model, as the one before it.
    """
    try:
        trouble = member.pipe.recv()
    except (EOFError, ConnectionResetError):
        member.process.join()
        if not member.ready and member.early:
            raise MultiemoError(
                f"workers end with code {member.process.exitcode} while they load the model; -9 is mostly too "
                "little memory, then give fewer --workers"
            ) from None
        return False
    if trouble is not None:
        raise MultiemoError(trouble)
    member.ready = True
    return True


def _child(pipe: Connection, job: Job, device: str) -> None:
    """A worker: says ``None`` when it is ready for a shard, or what went wrong."""
    obey_parent()
    try:
        worker = Worker(job, device)
        pipe.send(None)
        while True:
            worker.work(*pipe.recv())
            pipe.send(None)
    except MultiemoError as error:
        pipe.send(str(error))
    except Exception as error:
        traceback.print_exc()
        pipe.send(f"a worker failed: {type(error).__name__}: {error}")
