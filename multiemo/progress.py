"""How far a call is, and what a person should know meanwhile: the one way in which anything here reports it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Progress:
    """Told how far a call is; this one is silent. Override what you want to hear of.

    Example:
        >>> class Print(Progress):
        ...     def note(self, message: str) -> None:
        ...         print("note:", message)
        >>> Print().note("the disk is nearly full")
        note: the disk is nearly full
    """

    def stage(self, name: str) -> None:
        """A stage (``prepare``, a modality, ``fuse``, ``evaluate``) begins."""

    def update(self, done: int, total: int) -> None:
        """So many of the steps, clips or files of the present stage are done; the total may grow."""

    def epoch(self, stage: str, record: Mapping[str, Any]) -> None:
        """An epoch of training has ended.

        Args:
            stage: a modality, or ``fuse``.
            record: as in ``metrics.jsonl``.
        """

    def note(self, message: str) -> None:
        """Something a person should know."""
