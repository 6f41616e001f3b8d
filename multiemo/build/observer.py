"""What a run tells whoever watches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Observer:
    """What a run tells whoever watches; this one is silent."""

    def stage(self, name: str) -> None:
        """A stage (``prepare``, a modality, ``fuse``, ``evaluate``) begins."""

    def progress(self, done: int, total: int) -> None:
        """Steps or clips of the present stage."""

    def epoch(self, stage: str, record: Mapping[str, Any]) -> None:
        """An epoch has ended."""

    def note(self, message: str) -> None:
        """Something a reader should know."""
