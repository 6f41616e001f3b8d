"""What is looked at beside the loop without holding it up: losses that are not finite, and signals to stop."""

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
    """Finds the batch whose loss is not a number, on a GPU some steps later, without waiting for it.

    Args:
        device: where the losses are.
    """

    def __init__(self, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"
        self.pending: deque[tuple[Tensor, Any, list[str]]] = deque()

    def add(self, loss: Tensor, ids: list[str]) -> None:
        """Take note of a batch, and look at those whose losses have arrived.

        Raises:
            TrainingError: a loss is not finite; names the clips.
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
        """Look at all that are left; raises as :meth:`add`."""
        while self.pending:
            value, arrived, ids = self.pending.popleft()
            arrived.synchronize()
            _require_finite(float(value), ids)


def _require_finite(loss: float, ids: list[str]) -> None:
    if not math.isfinite(loss):
        shown = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
        raise TrainingError(
            f"the loss is {loss} on the batch with clips {shown}; look at their inputs, or lower training.lr"
        )


class Interrupts:
    """Inside, SIGTERM and the first Ctrl-C only set a flag, so that a step ends and its state can be kept.

    A second Ctrl-C stops at once. Outside the main thread, where Python allows no handlers, nothing is changed.
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
        """Stop now, in the way that was asked for.

        Raises:
            KeyboardInterrupt: on Ctrl-C.
            TrainingError: on SIGTERM.
        """
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt(what)
        raise TrainingError(f"stopped by SIGTERM; {what}")


def on_device(loader: DataLoader[Any], device: torch.device) -> Iterator[Batch]:
    """Batches on the device; on a GPU the next one is copied, in a stream of its own, while the present one is used.

    From pinned memory a copy takes no part of the GPU's time for computing, but on the computing stream it would stand
    in line behind the step.
    """
    if device.type == "cpu":
        yield from loader
        return
    copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    waiting: tuple[Batch, torch.cuda.Event] | None = None
    for batch in loader:
        with torch.cuda.stream(copying):
            coming = batch.to(device), copying.record_event()
        if waiting is not None:
            yield _arrived(*waiting, device)
        waiting = coming
    if waiting is not None:
        yield _arrived(*waiting, device)


def _arrived(batch: Batch, copied: torch.cuda.Event, device: torch.device) -> Batch:
    """The batch, for what the computing stream is given from now on."""
    computing = torch.cuda.current_stream(device)
    computing.wait_event(copied)  # of this batch alone: the next one may still be on its way
    return batch.used_on(computing)
