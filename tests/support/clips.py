"""Rows of corpora that have only names."""

from __future__ import annotations

from multiemo.types import Clip

LABELS = ("neutral", "happy", "sad", "angry")


def corpus(speakers: int = 18, each: int = 20, name: str = "c", groups_of_speakers: bool = False) -> list[Clip]:
    return [
        Clip(
            id=f"{name}-{s:02d}-{i:02d}", corpus=name, speaker=f"{s:02d}", text="x",
            group=f"{s:02d}-d{i % 5}" if groups_of_speakers else f"d{i % 5}",
            label_set="ekman7", label=LABELS[i % 4],
        )
        for s in range(1, speakers + 1)
        for i in range(each)
    ]  # fmt: skip
