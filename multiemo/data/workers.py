"""What a worker process does first."""

from __future__ import annotations

import gc


def begin_worker(_number: int) -> None:
    """Leave alone whatever a forked worker inherited: ``worker_init_fn`` of every loader that has workers.

    A decoder of FFmpeg waits for its threads when it is freed, and a fork has none of them: one that the parent had not
    collected yet would have the worker's garbage collector wait for ever.
    """
    gc.freeze()
