"""Which other clips of its speaker a clip is compared with."""

from __future__ import annotations

import pytest
import torch

from multiemo.encoders.common.speaker_offset import SpeakerOffset
from multiemo.training.speaker_draws import SIZES, SpeakerDraws
from multiemo.types import Batch

#: {clip: (speaker, mean of its input)}; powers of two, so that a sum tells which clips are in it.
CLIPS = {"a1": ("a", 1.0), "a2": ("a", 2.0), "a3": ("a", 4.0), "b1": ("b", 8.0), "b2": ("b", 16.0)}


class Sums(SpeakerOffset):
    """Returns the sum of the means, and notes their number."""

    def __init__(self) -> None:
        super().__init__(torch.tensor([True]))
        self.counts: list[float] = []

    def forward(self, total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        self.counts += count.tolist()
        return total


def draws(offset: SpeakerOffset, without: str = "") -> SpeakerDraws:
    means = {"face": {clip: torch.tensor([mean]) for clip, (_, mean) in CLIPS.items() if clip != without}}
    return SpeakerDraws({"face": offset}, means, {clip: speaker for clip, (speaker, _) in CLIPS.items()})


def batch_of(clips: list[str]) -> Batch:
    count = len(clips)
    speakers = [CLIPS[clip][0] if clip in CLIPS else "nobody" for clip in clips]
    ones = torch.ones(count, 1, dtype=torch.bool)
    return Batch(
        clips, [""] * count, speakers, {"face": torch.zeros(count, 1, 1)}, {"face": ones}, {"face": ones[:, 0]},
        [{}] * count, torch.zeros(count, 2), ones[:, 0], torch.zeros(count, 3),
    )  # fmt: skip


def test_all_others_of_the_same_speaker_and_never_the_clip_itself() -> None:
    found = draws(Sums()).drawn(batch_of([*CLIPS, "x"]), (100,))
    assert found.speaker_offsets["face"].flatten().tolist() == [6, 5, 3, 16, 8, 0]


def test_the_number_asked_for_is_drawn_without_replacement() -> None:
    offset = Sums()
    for _ in range(20):
        totals = draws(offset).drawn(batch_of(["a1", "b1"]), (1,)).speaker_offsets["face"].flatten().tolist()
        assert totals[0] in (2, 4)
        assert totals[1] == 16
    assert set(offset.counts) == {1}


def test_training_draws_every_number() -> None:
    offset = Sums()
    for _ in range(200):
        draws(offset).drawn(batch_of(["a1"]))
    assert set(offset.counts) == {0, 1, 2}
    assert SIZES[0] == 0


def test_a_clip_without_the_modality_is_not_counted() -> None:
    offset = Sums()
    assert draws(offset, without="a2").drawn(batch_of(["a1"]), (100,)).speaker_offsets["face"].item() == 4
    assert offset.counts == [1]


def test_draws_repeat_with_the_seed_and_leave_the_batch() -> None:
    batch = batch_of(["a1", "a2", "a3"])
    first, second = (
        draws(Sums()).drawn(batch, (1,), torch.Generator().manual_seed(5)).speaker_offsets["face"] for _ in range(2)
    )
    assert first.equal(second)
    assert batch.speaker_offsets == {}


@pytest.mark.parametrize("gone", ["inputs", "embeddings"])
def test_embeddings_that_are_known_are_not_shifted(gone: str) -> None:
    batch = batch_of(["a1"])
    if gone == "inputs":
        batch.inputs = {}
    else:
        batch.embeddings = {"face": torch.zeros(1, 4)}
    assert draws(Sums()).drawn(batch).speaker_offsets == {}
