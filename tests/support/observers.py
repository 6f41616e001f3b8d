"""Observers of a run."""

from __future__ import annotations

from multiemo.build.observer import Observer


class Notes(Observer):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)
