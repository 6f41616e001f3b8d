"""The interface through which long-running calls report progress and notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Progress:
    """Receives progress reports; this base class ignores them. Override the methods you need.

    Example:
        >>> class Print(Progress):
        ...     def note(self, message: str) -> None:
        ...         print("note:", message)
        >>> Print().note("the disk is nearly full")
        note: the disk is nearly full
    """

    def stage(self, name: str) -> None:
        """Called when a stage (``prepare``, a modality, ``fuse``, ``evaluate``) starts."""

    def update(self, done: int, total: int) -> None:
        """Called with the progress of the current stage.

        Args:
            done: number of finished steps, clips or files.
            total: their total number, which may grow.
        """

    def epoch(self, stage: str, record: Mapping[str, Any]) -> None:
        """Called when a training epoch has ended.

        Args:
            stage: a modality, or ``fuse``.
            record: the epoch's line of ``metrics.jsonl``.
        """

    def note(self, message: str) -> None:
        """Called with a message for the user."""
