"""Shards on a Ray cluster, or on a Ray of this machine's own: a Ray Data pipeline over a pool of actors.

The cluster is the one that ``RAY_ADDRESS`` names. Its machines must have multiemo installed and see model, inputs and
output under the same paths.
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

if TYPE_CHECKING:
    import pyarrow

#: Set for the actors where it is set here; those of a cluster do not inherit it.
_ENVIRONMENT = ("HF_HUB_OFFLINE",)


class _Actor:
    """A worker on some machine of the cluster; errors are values, so that Ray neither retries nor dresses them up."""

    def __init__(self, job: Job, folder: str) -> None:
        self.error = ""
        try:
            os.chdir(folder)  # paths may be relative to where the command was given
            self.worker = Worker(job, job.device)
        except OSError as error:
            self.error = f"{folder}: not to be had on a machine of the cluster ({error.strerror}); share the folder"
        except MultiemoError as error:
            self.error = str(error)

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        """One row of a shard's number and lines, to one of its number and what went wrong."""
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
    """Whether Ray Data is there.

    Raises:
        ConfigError: it is not installed.
    """
    for module in ("pyarrow", "ray.data"):
        require(module, "--engine ray", instead=", or use --engine local")


def run_ray(job: Job, shards: Shards, todo: Sequence[int], workers: int) -> Iterator[int]:
    """Do shards with ``workers`` actors; Ray starts an actor that dies again, and its shard with it.

    Yields:
        The numbers of the shards, as they are done.

    Raises:
        MultiemoError: an actor cannot load the model, or write, or the cluster is not to be had.
    """
    if not todo:
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
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
    """A GPU's share for each of ``workers``, so that they fit; ``None`` where there is no GPU.

    Example:
        >>> _gpus_each(2, 3), _gpus_each(8, 8), _gpus_each(0, 4)
        (0.5, 1.0, None)
    """
    return 1.0 / -(-workers // int(gpus)) if gpus else None
