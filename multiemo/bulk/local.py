"""Runs shards on this machine, in worker processes that are restarted when they die."""

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
    """Run shards in worker processes; a shard whose worker dies is given to another one.

    Args:
        job: the task.
        shards: all shards.
        todo: numbers of the shards to run.
        workers: number of processes.

    Yields:
        The number of each shard when it is done.

    Raises:
        ConfigError: there is no such device on this machine.
        MultiemoError: a worker cannot load the model, or cannot write.
    """
    places = places_of(job.device)
    slots = [places[number % len(places)] for number in range(workers)]
    tasks = [(number, shards[number]) for number in todo]
    try:
        for finished in supervise(partial(_load, job), slots, tasks, restart=True):
            yield finished.task[0]
    except ProcessDiedError as error:
        raise MultiemoError(
            f"workers end with code {error.code} while they load the model; -9 usually means too little memory: use "
            "fewer --workers"
        ) from None
    except TaskFailedError as error:
        raise MultiemoError(str(error)) from None


def places_of(device: str) -> list[str]:
    """The devices among which workers are distributed: every GPU of this machine, unless one is named."""
    place = resolve_device(device)
    if place.type == "cuda" and place.index is None:
        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return [str(place)]


def _load(job: Job, device: str) -> Callable[[tuple[int, list[str]]], None]:
    """Load the model in a worker process; returns the function that runs a shard, given its number and lines."""
    worker = Worker(job, device)
    return lambda task: worker.work(*task)
