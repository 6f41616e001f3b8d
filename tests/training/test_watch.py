"""The next batch is copied beside the step."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import torch

from multiemo.training.watch import on_device


def test_the_next_batch_is_copied_beside_the_step(monkeypatch):
    """With a GPU that only takes notes: who copies when, what the step waits for, whose memory is kept."""
    notes: list[tuple] = []
    now = ["computing"]

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def record_event(self) -> str:
            assert notes[-1][0] == "copy"
            return f"copied {notes[-1][1]}"

        def wait_event(self, event: str) -> None:
            notes.append(("wait", event, self.name))

    class Clips:
        def __init__(self, number: int) -> None:
            self.number = number

        def to(self, device: torch.device) -> Clips:
            notes.append(("copy", self.number, now[0]))
            return self

        def used_on(self, stream: Stream) -> Clips:
            notes.append(("kept for", self.number, stream.name))
            return self

    @contextmanager
    def current(stream: Stream):
        before, now[0] = now[0], stream.name
        yield
        now[0] = before

    gpu = {"Stream": lambda device: Stream("copying"), "stream": current}
    gpu["current_stream"] = lambda device: Stream(now[0])
    for name, value in gpu.items():
        monkeypatch.setattr(torch.cuda, name, value)
    for batch in on_device([Clips(i) for i in range(3)], SimpleNamespace(type="cuda")):
        notes.append(("step", batch.number, now[0]))
    assert notes == [
        ("copy", 0, "copying"),
        ("copy", 1, "copying"),
        *(("wait", "copied 0", "computing"), ("kept for", 0, "computing"), ("step", 0, "computing")),
        ("copy", 2, "copying"),
        *(("wait", "copied 1", "computing"), ("kept for", 1, "computing"), ("step", 1, "computing")),
        *(("wait", "copied 2", "computing"), ("kept for", 2, "computing"), ("step", 2, "computing")),
    ]
