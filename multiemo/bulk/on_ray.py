"""Runs shards on a Ray cluster, or on a local Ray instance, as a Ray Data pipeline over a pool of actors.

``RAY_ADDRESS`` names the cluster. Its machines must have multiemo installed, and must have the model, the inputs and
the output under the same paths.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from multiemo.bulk.plan import Job, Shards
from multiemo.bulk.shard import Worker
from multiemo.errors import MultiemoError
from multiemo.extras import require
from multiemo.registry import OWN_MODULES

if TYPE_CHECKING:
    import pyarrow

#: Environment variables to pass on to the actors; those of a cluster do not inherit them.
_ENVIRONMENT = ("MULTIEMO_OFFLINE", "HF_HUB_OFFLINE", OWN_MODULES)


class _Actor:
    """A worker on a machine of the cluster. It returns errors as values, so that Ray neither retries nor wraps them."""

    def __init__(self, job: Job, folder: str) -> None:
        self.error = ""
        try:
            os.chdir(folder)  # paths may be relative to the working directory of the command
            self.worker = Worker(job, job.device)
        except OSError as error:
            self.error = f"{folder}: not available on a machine of the cluster ({error.strerror}); share the folder"
        except MultiemoError as error:
            self.error = str(error)

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        """Run a shard, given as a row of its number and lines; returns a row of its number and the error, if any."""
        import pyarrow

        row = batch.to_pylist()[0]
        error = self.error
        if not error:
            try:
                self.worker.work(row["number"], row["lines"])
            except MultiemoError as known:
                error = str(known)
            except Exception as defect:
                logging.getLogger(__name__).exception("shard %d", row["number"])
                error = f"a worker failed: {type(defect).__name__}: {defect}"
        return pyarrow.table({"number": [row["number"]], "error": [error]})


def check_ray() -> None:
    """Check that Ray Data is installed.

    Raises:
        ConfigError: it is not.
    """
    for module in ("pyarrow", "ray.data"):
        require(module, "--engine ray", instead=", or use --engine local")


def run_ray(job: Job, shards: Shards, todo: Sequence[int], workers: int) -> Iterator[int]:
    """Run shards in Ray actors; Ray restarts an actor that dies, and its shard.

    Args:
        job: the task.
        shards: all shards.
        todo: numbers of the shards to run.
        workers: number of actors.

    Yields:
        The number of each shard when it is done.

    Raises:
        MultiemoError: an actor cannot load the model, or cannot write, or the cluster is not available.
    """
    if not todo:
        return
    import ray

    ours = not ray.is_initialized()
    try:
        if ours:
            _connect(workers)
        yield from _run(job, shards, todo, workers)
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise MultiemoError(f"--engine ray: {str(error).strip().splitlines()[-1]}") from error
    finally:
        if ours:
            ray.shutdown()


def _connect(workers: int) -> None:
    import ray

    given = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
    options: dict[str, Any] = {"runtime_env": {"env_vars": given}} if given else {}
    if "RAY_ADDRESS" not in os.environ:
        options |= {"num_cpus": workers, "include_dashboard": False}
    ray.init(logging_level=logging.ERROR, log_to_driver=False, **options)


def _run(job: Job, shards: Shards, todo: Sequence[int], workers: int) -> Iterator[int]:
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    gpus = 0.0 if job.device == "cpu" else ray.cluster_resources().get("GPU", 0.0)
    rows = [{"number": number, "lines": shards[number]} for number in todo]
    done = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        _Actor,
        fn_constructor_kwargs={"job": job, "folder": os.getcwd()},
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(rows))),
        num_cpus=1,
        num_gpus=_gpus_each(gpus, workers),
    )
    for row in done.iter_rows():
        if row["error"]:
            raise MultiemoError(row["error"])
        yield row["number"]


def _gpus_each(gpus: float, workers: int) -> float | None:
    """The share of a GPU for each worker, such that all fit; ``None`` without a GPU.

    Example:
        >>> _gpus_each(2, 3), _gpus_each(8, 8), _gpus_each(0, 4)
        (0.5, 1.0, None)
    """
    return 1.0 / -(-workers // int(gpus)) if gpus else None
