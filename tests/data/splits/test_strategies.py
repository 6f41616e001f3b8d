"""Splits keep groups whole, stay the same for the same arguments, and refuse what would leak."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiemo.data.manifest.rows import PARTS
from multiemo.data.splits.grouping import group_of
from multiemo.data.splits.split import Split, check_disjoint
from multiemo.data.splits.strategies import by_speakers, holdout, kfold, official
from multiemo.errors import SplitError
from multiemo.types import Clip
from tests.support.clips import LABELS, corpus


def all_ids(split: Split) -> list[str]:
    return [name for part in PARTS for name in split.parts[part]]


def test_holdout_keeps_speakers_whole_and_shares_near() -> None:
    clips = corpus()
    split = holdout(clips, val=0.15, test=0.2, seed=3)
    check_disjoint(split, clips)
    assert sorted(all_ids(split)) == sorted(c.id for c in clips)
    assert {part: len(groups) for part, groups in split.groups.items()} == {"train": 12, "val": 3, "test": 3}
    assert split.notes == ("group_by=speaker: 5 of 5 groups are in several parts",)


def test_the_order_of_clips_does_not_matter_and_the_seed_does() -> None:
    clips = corpus()
    shuffled = random.Random(0).sample(clips, len(clips))
    assert holdout(clips, seed=1) == holdout(shuffled, seed=1)
    assert holdout(clips, seed=1).hash == holdout(shuffled, seed=1).hash
    assert len({holdout(clips, seed=s).groups["test"] for s in range(5)}) > 1


def test_the_hash_is_pinned() -> None:
    """A change here means that stored results no longer belong to the same split: raise ``split.SPLIT_VERSION``."""
    assert holdout(corpus(6, 4), seed=0).hash == PINNED


PINNED = "73d0cbc4cc22afe1079a1d7a37180f49482b9d4dc993bbd8867ae60f80558d10"


def test_labels_are_spread_though_speakers_are_one_sided() -> None:
    """40 speakers, each mostly of one label: parts still come near the label shares of the whole."""
    clips = [
        Clip(id=f"{s}-{i}", corpus="c", speaker=str(s), text="x", label=LABELS[s % 4] if i else "neutral")
        for s in range(40)
        for i in range(5 + s % 3)
    ]
    overall = Counter(c.label for c in clips)
    label = {c.id: c.label for c in clips}
    for seed in range(5):
        split = holdout(clips, val=0.2, test=0.2, seed=seed)
        for part in PARTS:
            counts = Counter(label[name] for name in split.parts[part])
            for name, total in overall.items():
                assert abs(counts[name] / len(split.parts[part]) - total / len(clips)) < 0.08


def test_folds_test_every_clip_once() -> None:
    clips = corpus()
    folds = [kfold(clips, 6, fold, seed=2) for fold in range(6)]
    assert sorted(name for fold in folds for name in fold.parts["test"]) == sorted(c.id for c in clips)
    for fold in folds:
        check_disjoint(fold, clips)
        assert len(fold.groups["test"]) == 3
        assert sorted(all_ids(fold)) == sorted(c.id for c in clips)
    with pytest.raises(SplitError, match="fold 6 of 6"):
        kfold(clips, 6, 6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=3, max_size=25),
    st.integers(0, 99),
    st.floats(0.05, 0.4),
    st.floats(0.05, 0.4),
)
def test_no_part_is_empty_and_nothing_leaks(sizes: list[int], seed: int, val: float, test: float) -> None:
    clips = [
        Clip(id=f"{s}-{i}", corpus="c", speaker=str(s), text="x", label=LABELS[(s * i) % 4])
        for s, size in enumerate(sizes)
        for i in range(size)
    ]
    split = holdout(clips, val=val, test=test, seed=seed)
    check_disjoint(split, clips)
    assert len(all_ids(split)) == len(clips)


def test_two_corpora_never_share_a_speaker() -> None:
    both = corpus(6, 4, "a") + corpus(6, 4, "b")
    split = by_speakers(both, train=["a:01", "a:02"], val=["b:01"], test=["b:02", "a:03"])
    check_disjoint(split, both)
    assert split.groups["val"] == ("b:01",)
    with pytest.raises(SplitError, match="speaker '01' is in a and b; write a:01"):
        by_speakers(both, train=["01"], val=["02"], test=["03"])


def test_by_speakers() -> None:
    clips = corpus()
    split = by_speakers(clips, train=["01-12"], val=["13", "14"], test=["16-18"])
    assert {part: len(groups) for part, groups in split.groups.items()} == {"train": 12, "val": 2, "test": 3}
    assert split.notes[0] == "1 speakers are in no part: c:15"
    assert by_speakers(clips, train=["1-12"], val=["13", "14"], test=["16-18"]).hash == split.hash
    for lists, message in [
        ((["01"], ["02"], ["19"]), "speaker '19' is not in the clips; .*known speakers: 01, 02"),
        ((["01"], ["02"], ["17-19"]), "speakers '17-19': no speaker 19"),
        ((["01"], ["02"], ["5-3"]), "speakers '5-3': the range is empty"),
        ((["01-03"], ["02"], ["04"]), "speaker c:02 is listed in train and in val"),
        ((["01"], ["02"], []), "test is empty"),
    ]:
        with pytest.raises(SplitError, match=message):
            by_speakers(clips, train=lists[0], val=lists[1], test=lists[2])


def with_parts(clips: list[Clip], parts: dict[str, str]) -> list[Clip]:
    return [replace(clip, split=parts.get(str(clip.speaker), "train")) for clip in clips]


def test_official() -> None:
    clips = with_parts(corpus(), {"01": "val", "02": "test"})
    split = official(clips)
    assert split.groups["val"] == ("c:01",)
    assert split.groups["test"] == ("c:02",)


def test_official_without_test_or_validation() -> None:
    no_test = with_parts(corpus(), {"01": "val", "02": "val"})
    with pytest.raises(SplitError, match="no test part; set val_as_test"):
        official(no_test)
    split = official(no_test, val_as_test=True, val=0.2)
    assert split.groups["test"] == ("c:01", "c:02")
    assert len(split.groups["val"]) == 3
    check_disjoint(split, no_test)
    no_val = with_parts(corpus(), {"01": "test"})
    assert len(official(no_val).groups["val"]) > 0
    with pytest.raises(SplitError, match="leave val_as_test out"):
        official(no_val, val_as_test=True)
    with pytest.raises(SplitError, match="has no split"):
        official(corpus())


def test_an_official_split_that_shares_speakers_is_refused() -> None:
    clips = [replace(c, split=PARTS[i % 3], group=f"g{i % 3}") for i, c in enumerate(corpus(4, 9))]
    with pytest.raises(SplitError, match="speaker 'c:01' is in train and"):
        official(clips)
    split = official(clips, group_by="group")
    assert split.notes == ("group_by=group: 4 of 4 speakers are in several parts",)


def test_a_tampered_split_is_refused() -> None:
    clips = corpus()
    split = holdout(clips)
    assert Split.from_json(split.to_json()) == split
    moved = split.parts["test"][0]
    leaky = replace(
        split, parts={**split.parts, "train": (*split.parts["train"], moved), "test": split.parts["test"][1:]}
    )
    assert leaky.hash != split.hash
    speaker = group_of(next(c for c in clips if c.id == moved), "speaker")
    with pytest.raises(SplitError, match=f"speaker '{speaker}' is in train and test"):
        check_disjoint(leaky, clips)
    with pytest.raises(SplitError, match=f"clip '{moved}' is in train and test"):
        check_disjoint(replace(split, parts={**split.parts, "train": (*split.parts["train"], moved)}), clips)
    with pytest.raises(SplitError, match="test is empty"):
        check_disjoint(replace(split, parts={**split.parts, "test": ()}), clips)
    with pytest.raises(SplitError, match="'ghost' of val is not in the manifest"):
        check_disjoint(replace(split, parts={**split.parts, "val": ("ghost",)}), clips)
    stored = json.loads(split.to_json())
    stored["parts"]["test"].pop()
    with pytest.raises(SplitError, match="edited by hand"):
        Split.from_json(json.dumps(stored))
    for text in ("{", "[]", "{}", '{"group_by": "car"}'):
        with pytest.raises(SplitError, match="not a stored split"):
            Split.from_json(text)


def test_what_cannot_be_split() -> None:
    clips = corpus()
    for change, message in [
        ({"val": 0.0}, "val is 0.0"),
        ({"val": 0.5, "test": 0.5}, "must leave clips to train on"),
        ({"group_by": "session"}, "group_by is 'session'"),
    ]:
        with pytest.raises(SplitError, match=message):
            holdout(clips, **change)  # type: ignore[arg-type]
    with pytest.raises(
        SplitError, match=r"all clips are of c:01, so no group is left for .*data\.split\.group_by=clip"
    ):
        holdout(corpus(1))
    with pytest.raises(SplitError, match=r"3 groups \(c:01, c:02, c:03\) cannot fill 4 parts"):
        kfold(corpus(3), 4, 0)
    with pytest.raises(SplitError, match="no clips"):
        holdout([])
    with pytest.raises(SplitError, match=r"no clip of c has a speaker; set data\.split\.group_by to group or clip"):
        holdout([replace(c, speaker=None) for c in clips])
    with pytest.raises(
        SplitError, match=r"1 of \d+ clips have no speaker, the first is 'c-01-00' \(c\); .* to group or clip"
    ):
        holdout([replace(clips[0], speaker=None), *clips[1:]])
    with pytest.raises(SplitError, match="2 clips have the id 'c-01-00'"):
        holdout([clips[0], *clips])


def test_clips_of_no_speaker_split_by_clip() -> None:
    clips = [replace(c, speaker=None, group=None) for c in corpus(5, 40)]
    split = holdout(clips, group_by="clip", val=0.1, test=0.1)
    assert {part: len(ids) for part, ids in split.parts.items()} == {"train": 160, "val": 20, "test": 20}
    assert split.notes == (
        "group_by=clip: 200 of 200 clips name no speaker, so the same person may be in several parts, and figures "
        "may be too high",
    )
    known = holdout(corpus(5, 40), group_by="clip")
    assert not [note for note in known.notes if "name no speaker" in note]


@pytest.mark.parametrize("dialogues", [False, True])
def test_of_two_people_one_is_tested_and_nobody_else_validates(dialogues: bool) -> None:
    """The test stays of a person that nothing was learnt of; validation is of the other, and that is said."""
    clips = corpus(2, 40)
    clips = [replace(c, group=f"{c.speaker}-{i // 4}" if dialogues else None) for i, c in enumerate(clips)]
    for split in (holdout(clips, seed=3), kfold(clips, 2, 0), kfold(clips, 2, 1)):
        tested = {c.speaker for c in clips if c.id in split.parts["test"]}
        learnt = {c.speaker for c in clips if c.id in (*split.parts["train"], *split.parts["val"])}
        assert len(tested) == len(learnt) == 1
        assert tested.isdisjoint(learnt)
        assert 4 <= len(split.parts["val"]) <= 8
        assert split.within
        (who,) = learnt
        assert split.notes[0] == (
            f"c:{who} is the only speaker to train on, so validation uses other clips of the same speaker and its "
            "figures are too high; the test part is of others"
        )
        check_disjoint(split, clips)
        assert Split.from_json(split.to_json()) == split
        for part in ("train", "val") if dialogues else ():
            other = "val" if part == "train" else "train"
            groups = {c.group for c in clips if c.id in split.parts[part]}
            assert groups.isdisjoint(c.group for c in clips if c.id in split.parts[other])
        leaky = replace(split, parts={**split.parts, "val": (*split.parts["val"], split.parts["test"][0])})
        with pytest.raises(SplitError):
            check_disjoint(leaky, clips)
        with pytest.raises(SplitError, match="is in train and val"):
            check_disjoint(replace(split, within=False), clips)
    assert not holdout(corpus(3, 40)).within
