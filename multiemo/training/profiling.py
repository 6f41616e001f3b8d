"""Traces a few training steps with torch.profiler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from multiemo.files import write_atomically

#: Steps skipped, steps of profiler warmup, and traced steps.
_WAIT, _WARM, _ACTIVE = 3, 2, 6


@contextmanager
def profiled(path: Path) -> Iterator[Callable[[], None]]:
    """Trace steps 6 to 11 of the block.

    Args:
        path: output path without suffix; ``.json`` is the trace (for Perfetto or chrome://tracing), ``.txt`` a table of
            operators by time.

    Yields:
        A function to call after every step.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    on_gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]

    def write(made: profile) -> None:
        made.export_chrome_trace(str(path.with_suffix(".json")))
        order = "self_cuda_time_total" if on_gpu else "self_cpu_time_total"
        write_atomically(path.with_suffix(".txt"), made.key_averages().table(sort_by=order, row_limit=40))

    steps = schedule(wait=_WAIT, warmup=_WARM, active=_ACTIVE, repeat=1)
    with profile(activities=activities, schedule=steps, on_trace_ready=write, record_shapes=True) as tracer:
        yield tracer.step
