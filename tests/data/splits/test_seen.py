"""What a checkpoint has seen, and which clips may be tested on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from multiemo.data.splits.seen import Seen, check_unseen
from multiemo.data.splits.split import Split
from multiemo.data.splits.strategies import holdout
from multiemo.errors import SplitError
from multiemo.types import Clip
from tests.support.clips import corpus


def seen_by(clips: list[Clip], split: Split) -> Seen:
    part_of = split.part_of()
    return Seen.of(c for c in clips if part_of[c.id] in ("train", "val"))


def test_every_kind_of_name_is_compared_with_what_a_checkpoint_has_seen() -> None:
    clips = corpus(groups_of_speakers=True)
    by_speaker, by_clip = holdout(clips, seed=1), holdout(clips, group_by="clip", seed=1)
    assert check_unseen(seen_by(clips, by_speaker), clips, by_speaker, "it") == []
    with pytest.raises(SplitError, match=r"it was trained or selected on clip 'c:c-\d\d-\d\d' .* such clips\)"):
        check_unseen(seen_by(clips, by_speaker), clips, by_clip, "it")
    with pytest.raises(SplitError, match=r"it was trained or selected on speaker 'c:\d\d' .* such speakers\)"):
        check_unseen(seen_by(clips, by_clip), clips, by_speaker, "it")
    alone = [replace(c, speaker=None) for c in clips]
    with pytest.raises(SplitError, match=r"it was trained or selected on group 'c:\d\d-d\d' .* such groups\)"):
        check_unseen(seen_by(alone[::2], holdout(alone[::2], group_by="clip", seed=3)), alone[1::2],
                     holdout(alone[1::2], group_by="group", seed=1), "it")  # fmt: skip


def test_what_a_split_lets_stand_in_several_parts_a_checkpoint_may_know_too() -> None:
    clips = corpus()  # five groups, with every speaker in each
    by_group = holdout(clips, group_by="group", val=0.2, test=0.2, seed=1)
    assert check_unseen(seen_by(clips, by_group), clips, by_group, "it") == [
        "it has seen 18 speakers of the test part; the train part of this split has too"
    ]


def test_names_of_one_clip_in_several_manifests() -> None:
    clips = corpus(6, 4)
    split = holdout(clips, seed=1)
    seen = seen_by(clips, split)
    merged = [replace(c, id=f"{c.corpus}:{c.id}") for c in clips]
    with pytest.raises(SplitError, match="on clip"):
        check_unseen(seen, merged, holdout(merged, group_by="clip", seed=2), "it")
    others = [replace(c, corpus="d") for c in clips]  # the same ids and speakers, of another corpus
    assert check_unseen(seen, others, holdout(others, group_by="clip", seed=2), "it") == []
    composite = [replace(c, id=f"composite-{c.id}", corpus="composite", speaker=f"c:{c.speaker}") for c in clips]
    with pytest.raises(SplitError, match="on speaker 'c:"):
        check_unseen(seen, composite, holdout(composite, seed=2), "it")


@pytest.mark.slow
def test_a_million_clips_are_few_bytes_and_none_is_mistaken() -> None:
    clips = [Clip(id=f"{i:07d}", corpus="c", text="x") for i in range(200_000)]
    seen = Seen.of(clips[::2])
    assert sum(digests.nbytes for digests in seen.digests.values()) == 8 * 100_000
    assert len(seen.among(clips, "clip")) == 100_000
    assert seen.among(clips[1::2], "clip") == []
    assert seen.counts() == {"clips": 100_000}
