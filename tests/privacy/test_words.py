"""Word error rates."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from multiemo.data.manifest.reading import read_manifest
from multiemo.privacy.words import word_errors, words_kept
from multiemo.progress import Progress


def test_word_errors() -> None:
    assert word_errors("Kids are talking by the door", "kids are talking, by the door.") == 0
    assert word_errors("kids are talking by the door", "kits are by the the door") == 3
    assert word_errors("我很高兴。", "我高兴") == 1


class Deaf:
    """Stands in for a recogniser: the text of the first person, and nothing of anybody else."""

    name = "deaf"

    def __init__(self, texts: list[str]) -> None:
        self.texts = iter(texts)

    def transcribe(self, samples: np.ndarray) -> SimpleNamespace:
        assert len(samples) > 1000
        return SimpleNamespace(text=next(self.texts))


def test_words_count_over_clips_and_people(small_corpus: Path) -> None:
    rows = [c for c in read_manifest(small_corpus) if c.audio and c.text]
    first, second = rows[0], next(c for c in rows if c.speaker != rows[0].speaker)
    texts = {first.id: "one two three", second.id: "four"}
    found = words_kept(Deaf(["one two three", "five"]), [first, second], texts, small_corpus.parent, Progress())
    assert found is not None
    assert (found.wer.value, found.words, found.clips) == (0.25, 4, 2)
    assert found.wer.interval[1] > 0.5, "two people say little about others"
    assert words_kept(Deaf([]), [first], {}, small_corpus.parent, Progress()) is None
