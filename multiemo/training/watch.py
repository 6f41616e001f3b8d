"""Monitors the training loop without blocking it: non-finite losses, signals to stop, and batches sent to the GPU."""

from __future__ import annotations

import math
import signal
import threading
from collections import deque
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from multiemo.errors import TrainingError
from multiemo.types import Batch


class LossWatch:
    """Detects a batch whose loss is not finite; on a GPU a few steps later, without synchronising.

    Args:
        device: device of the losses.
    """

    def __init__(self, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"
        self.pending: deque[tuple[Tensor, Any, list[str]]] = deque()

    def add(self, loss: Tensor, ids: list[str]) -> None:
        """Queue the loss of a batch, and check the losses that have reached the CPU.

        Args:
            loss: scalar loss of the batch.
            ids: ids of its clips, for the message.

        Raises:
            TrainingError: a loss is not finite.
        """
        if not self.on_gpu:
            _require_finite(float(loss.detach()), ids)
            return
        here = torch.empty((), dtype=loss.dtype, pin_memory=True)
        here.copy_(loss.detach(), non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record()
        self.pending.append((here, arrived, ids))
        while self.pending and self.pending[0][1].query():
            value, _, whose = self.pending.popleft()
            _require_finite(float(value), whose)

    def finish(self) -> None:
        """Check all queued losses; raises like :meth:`add`."""
        while self.pending:
            value, arrived, ids = self.pending.popleft()
            arrived.synchronize()
            _require_finite(float(value), ids)


def _require_finite(loss: float, ids: list[str]) -> None:
    if not math.isfinite(loss):
        shown = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
        raise TrainingError(
            f"the loss is {loss} on the batch with clips {shown}; check their inputs, or lower training.lr"
        )


class Interrupts:
    """Context in which SIGTERM and the first Ctrl-C only set a flag, so that a step can finish and its state be saved.

    A second Ctrl-C stops immediately. Outside the main thread, where Python allows no signal handlers, it does nothing.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received == signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def leave(self, what: str) -> None:
        """Stop the training, according to the signal received.

        Args:
            what: end of the message: the saved state and how to continue.

        Raises:
            KeyboardInterrupt: on Ctrl-C.
            TrainingError: on SIGTERM.
        """
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt(what)
        raise TrainingError(f"stopped by SIGTERM; {what}")


def on_device(loader: DataLoader[Any], device: torch.device) -> Iterator[Batch]:
    """Batches on the device; on a GPU the next batch is copied in a separate stream while the current one is used.

    A copy from pinned memory can overlap with computation, but on the computing stream it would wait for the step.
    """
    if device.type == "cpu":
        yield from loader
        return
    copy_stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    current: tuple[Batch, torch.cuda.Event] | None = None
    for batch in loader:
        with torch.cuda.stream(copy_stream):
            following = batch.to(device), copy_stream.record_event()
        if current is not None:
            yield _after_copy(*current, device)
        current = following
    if current is not None:
        yield _after_copy(*current, device)


def _after_copy(batch: Batch, copied: torch.cuda.Event, device: torch.device) -> Batch:
    """The batch, with later work of the computing stream ordered after its copy."""
    computing = torch.cuda.current_stream(device)
    computing.wait_event(copied)  # only for this batch: the next one may still be copied
    return batch.used_on(computing)
