"""Progress that is kept, to be looked at by a test."""

from __future__ import annotations

from multiemo.progress import Progress


class Notes(Progress):
    """Keeps the notes of a call."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


class Counted(Progress):
    """Keeps how far a call was, step by step."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []

    def update(self, done: int, total: int) -> None:
        self.steps.append((done, total))
