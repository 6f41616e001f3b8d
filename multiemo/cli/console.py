"""Progress on standard error: bars in a terminal, one line for each stage elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from multiemo.progress import Progress


class ConsoleProgress(Progress):
    """Shows progress on the console; use it as a context manager."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[status]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task: TaskID | None = None
        self._name = ""
        self._status = ""
        self._began = 0.0

    def __enter__(self) -> ConsoleProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        if not self._bars.disable:  # versions of rich before 15 end a disabled bar with an empty line
            self._bars.stop()

    def stage(self, name: str) -> None:
        """Begin a bar."""
        self._close()
        self._name, self._status, self._began = name, "", time.perf_counter()
        if not self.console.is_terminal:
            self.console.print(f"{name} ...", markup=False, soft_wrap=True)
        self._task = self._bars.add_task(name, total=None, status="")

    def update(self, done: int, total: int) -> None:
        """Advance the bar."""
        if self._task is not None:
            self._bars.update(self._task, completed=done, total=total)

    def epoch(self, stage: str, record: Mapping[str, Any]) -> None:
        """Show the last epoch beside the bar."""
        val = record["val"]
        validation = ""
        scores = [f"{title} {val[name]:.3f}" for name, title in (("uar", "UAR"), ("ccc", "CCC")) if name in val]
        if scores:
            validation = f", validation {scores[0]}"
        elif val:
            validation = f", validation loss {val['loss']:.3f} (naive: {val['naive_loss']:.3f})"
        self._status = f"epoch {record['epoch']}: loss {record['loss']:.3f}{validation}"
        if self._task is not None:
            self._bars.update(self._task, status=self._status)

    def note(self, message: str) -> None:
        """Print a line above the bars."""
        self.console.print(f"  note: {message}", markup=False, soft_wrap=not self.console.is_terminal)

    def _close(self) -> None:
        if self._task is not None and not self.console.is_terminal:
            seconds = time.perf_counter() - self._began
            last = f"; last {self._status}" if self._status else ""
            self.console.print(f"{self._name}: {seconds:.1f} s{last}", markup=False, soft_wrap=True)
        self._task = None
