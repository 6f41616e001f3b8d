"""Passes of several encoders beside each other on one GPU, each on a stream of its own.

A pass that fills the GPU with arithmetic and one that waits for its memory take less time together than one after the
other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_opened: ContextVar[list[torch.cuda.Stream] | None] = ContextVar("_opened", default=None)


@contextmanager
def side_by_side() -> Iterator[None]:
    """Within it, nothing waits for a pass on another stream; at its end the current stream waits for all of them."""
    opened: list[torch.cuda.Stream] = []
    token = _opened.set(opened)
    try:
        yield
    finally:
        _opened.reset(token)
        for stream in opened:
            torch.cuda.current_stream(stream.device).wait_stream(stream)


@contextmanager
def on_stream(stream: torch.cuda.Stream | None) -> Iterator[None]:
    """Run what is within on another stream, after everything that the current one has been given so far.

    Outside of :func:`side_by_side` the current stream waits for it at the end.

    Args:
        stream: the other stream; ``None`` stays on the current one (as on a CPU).
    """
    if stream is None:
        yield
        return
    current = torch.cuda.current_stream(stream.device)
    stream.wait_stream(current)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        opened = _opened.get()
        if opened is None:
            current.wait_stream(stream)
        else:
            opened.append(stream)
