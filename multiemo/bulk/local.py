"""Shards on this machine: worker processes that are started again when they die."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from multiemo.bulk.plan import Job, Shards
from multiemo.bulk.shard import Worker
from multiemo.errors import MultiemoError
from multiemo.processes import ProcessDiedError, TaskFailedError, supervise
from multiemo.runs.device import resolve_device


def run_local(job: Job, shards: Shards, todo: Sequence[int], workers: int) -> Iterator[int]:
    """Do shards with ``workers`` processes; a shard whose worker dies goes to another one.

    Args:
        job: the task.
        shards: all of them.
        todo: the numbers of those that are to be done.
        workers: processes at a time.

    Yields:
        The numbers of the shards, as they are done.

    Raises:
        ConfigError: there is no such device here.
        MultiemoError: a worker cannot load the model, or write.
    """
    places = places_of(job.device)
    slots = [places[number % len(places)] for number in range(workers)]
    tasks = [(number, shards[number]) for number in todo]
    try:
        for finished in supervise(partial(_load, job), slots, tasks, restart=True):
            yield finished.task[0]
    except ProcessDiedError as error:
        raise MultiemoError(
            f"workers end with code {error.code} while they load the model; -9 is mostly too little memory, then give "
            "fewer --workers"
        ) from None
    except TaskFailedError as error:
        raise MultiemoError(str(error)) from None


def places_of(device: str) -> list[str]:
    """The devices that workers are dealt to: every GPU of this machine, unless one is named."""
    place = resolve_device(device)
    if place.type == "cuda" and place.index is None:
        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return [str(place)]


def _load(job: Job, device: str) -> Callable[[tuple[int, list[str]]], None]:
    """A worker process's model; what does a shard, given its number and lines."""
    worker = Worker(job, device)
    return lambda task: worker.work(*task)
