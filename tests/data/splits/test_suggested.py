"""What is advised after preparing a corpus: settings that keep people apart, and that work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml

from multiemo.config import SplitConfig
from multiemo.data.splits.split import check_disjoint
from multiemo.data.splits.suggested import speaker_notes, train_options
from multiemo.runs.sources import make_split
from multiemo.types import Clip

PARTS = ("train", "val", "test")


def clips(people: int, count: int = 24, **more: Callable[[int], Any]) -> list[Clip]:
    """Clips of some people in turn; ``more`` gives further keys from a clip's number."""
    return [
        Clip(
            id=str(n),
            corpus="x",
            text="t",
            speaker=str(n % people) if people else None,
            label_set="demo5",
            label=("happy", "sad")[n % 2],
            **{key: value(n) for key, value in more.items()},
        )
        for n in range(count)
    ]


def part(n: int) -> str:
    return PARTS[n % 6 // 2]


@pytest.mark.parametrize(
    ("found", "split"),
    [
        (clips(6), {}),
        (clips(2), {}),
        (clips(1), {"group_by": "clip"}),
        (clips(0), {"group_by": "clip"}),
        (clips(0, group=lambda n: str(n // 4)), {"group_by": "group"}),
        (clips(6, split=part), {"kind": "official"}),
        (clips(6, split=lambda n: "test" if n % 6 == 0 else "train"), {"kind": "official"}),
        (clips(6, split=lambda n: "val" if n % 6 == 0 else "train"), {"kind": "official", "val_as_test": "true"}),
        (clips(6, split=lambda n: PARTS[n // 8]), {}),  # everybody stands in every part
        (
            clips(6, split=lambda n: PARTS[n // 8], group=lambda n: str(n // 8)),
            {"kind": "official", "group_by": "group"},
        ),
        (clips(0, split=part), {"kind": "official", "group_by": "clip"}),
        (clips(0, split=lambda n: "train"), {"group_by": "clip"}),
    ],
)
def test_a_split_that_works_and_keeps_people_apart(found: list[Clip], split: dict[str, str]) -> None:
    split = {"kind": "holdout", "group_by": "speaker", **split}
    options = train_options(found)
    assert options == {"label_set": "demo5", **{f"data.split.{key}": value for key, value in split.items()}}
    made = make_split(found, SplitConfig(**split))  # type: ignore[arg-type]
    check_disjoint(made, found)


def sessions(dialogues: bool) -> list[Clip]:
    """Five sessions of two actors each, as in IEMOCAP; groups are sessions, or the dialogues of each session."""
    return clips(10, 120, group=lambda n: f"Ses{n % 10 // 2}" + (f"_{n // 10 % 3}" if dialogues else ""))


def test_the_people_of_a_session_stay_together() -> None:
    found = sessions(dialogues=False)
    options = train_options(found)
    assert options["data.split.group_by"] == "group"
    made = make_split(found, SplitConfig(kind="holdout", group_by="group"))
    check_disjoint(made, found)
    assert not made.notes  # no speaker is in several parts either


def test_people_who_share_dialogues_stay_together() -> None:
    found = sessions(dialogues=True)
    options = train_options(found)
    assert options["data.split.kind"] == "speakers"
    lists = {key[len("data.split.") :]: yaml.safe_load(value) for key, value in options.items() if "speakers" in key}
    made = make_split(found, SplitConfig(kind="speakers", **lists))
    check_disjoint(made, found)
    assert not made.notes  # no dialogue is in several parts
    pairs = [name.split(":")[1] for name in lists["test_speakers"]]
    assert int(pairs[0]) // 2 == int(pairs[-1]) // 2
    mixed = clips(5, group=lambda n: str(n // 2))  # everybody has met everybody
    assert train_options(mixed)["data.split.group_by"] == "speaker"


def test_label_sets_and_several_labels() -> None:
    several = [replace(c, label=None, labels=("happy", "sad")) for c in clips(6)]
    drawn = {"data.split.kind": "holdout", "data.split.group_by": "speaker"}
    assert train_options(several) == {"label_set": "demo5", "task": "multi", **drawn}
    assert train_options([*several, replace(several[0], id="y", label_set="ekman7")]) == {"task": "multi", **drawn}


def test_who_is_unknown_is_said() -> None:
    assert speaker_notes(clips(3)) == []
    assert speaker_notes(clips(1)) == ["all clips are of one speaker: figures on them say nothing about other people"]
    assert speaker_notes(clips(0))[0].startswith("no clip names its speaker: unless the split")
    some = [replace(c, speaker=None) if n < 5 else c for n, c in enumerate(clips(3))]
    assert speaker_notes(some)[0].startswith("5 of 24 clips name no speaker: ")
