"""Suggest training settings for a prepared corpus: label set, task and split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from multiemo.data.manifest.rows import PARTS
from multiemo.data.splits.grouping import GroupBy, deal, group_of
from multiemo.data.splits.strategies import holdout, official
from multiemo.errors import SplitError
from multiemo.types import Clip

#: Longest list of speakers that is suggested.
_MOST_NAMED = 12


def train_options(clips: Sequence[Clip]) -> dict[str, str]:
    """Return the config settings that follow from the clips, as {config key: value}.

    These are the label set, ``task=multi`` if clips have several labels at once, and a split that keeps people apart as
    far as the clips identify them: the published parts, unless a named speaker or group is in several of them; else
    whole speakers or groups, whichever keeps the other whole, or lists of speakers if neither does; else single clips.

    Example:
        >>> train_options([Clip(id=name, corpus="x", text="t") for name in "abcdefgh"])
        {'data.split.kind': 'holdout', 'data.split.group_by': 'clip'}
    """
    sets = {clip.label_set for clip in clips if clip.label_set is not None}
    found = {"label_set": sets.pop()} if len(sets) == 1 else {}
    if any(clip.labels and len(clip.labels) > 1 for clip in clips):
        found["task"] = "multi"
    labelled = [clip for clip in clips if clip.label is not None or clip.labels or clip.votes] or list(clips)
    return found | _split_options(labelled)


def _split_options(clips: Sequence[Clip]) -> dict[str, str]:
    given = {clip.split for clip in clips}
    drawn = {"data.split.kind": "holdout"}
    published: dict[str, str] = {}
    if None not in given and "train" in given and len(given) > 1:
        published = {"data.split.kind": "official"} | ({} if "test" in given else {"data.split.val_as_test": "true"})
    known: tuple[GroupBy, ...] = ("speaker", "group")
    ways = [by for by in known if all(getattr(clip, by) is not None for clip in clips)]
    if len(ways) == 2 and _nested(clips, "speaker", "group"):  # whole groups then keep people apart too
        ways.reverse()
    for options in (published, drawn) if published else (drawn,):
        for group_by in ways:
            try:
                if options is drawn:
                    holdout(clips, group_by=group_by)
                else:
                    official(clips, group_by=group_by, val_as_test="test" not in given)
            except SplitError:
                continue
            if options is drawn and len(ways) == 2 and not _nested(clips, ways[1], ways[0]):
                return _by_circles(clips) or options | {"data.split.group_by": group_by}
            return options | {"data.split.group_by": group_by}
    return (drawn if ways else published or drawn) | {"data.split.group_by": "clip"}


def _nested(clips: Sequence[Clip], inner: GroupBy, outer: GroupBy) -> bool:
    """Whether every speaker is in one group only, or every group has one speaker only."""
    pairs = {(group_of(clip, inner), group_of(clip, outer)) for clip in clips}
    return len(pairs) == len({name for name, _ in pairs})


def _by_circles(clips: Sequence[Clip]) -> dict[str, str] | None:
    """Lists of speakers that divide neither a speaker nor a group, if few people fall into three circles or more.

    A circle is a set of people who share groups, directly or through others: the two actors of a session, if the groups
    are its dialogues.
    """
    together: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        together[group_of(clip, "group")].add(group_of(clip, "speaker"))
    circles: list[set[str]] = []
    if len(set().union(*together.values())) <= _MOST_NAMED:
        for people in together.values():
            met = [circle for circle in circles if circle & people]
            circles = [circle for circle in circles if circle not in met] + [people.union(*met)]
    if len(circles) < 3:
        return None
    names = {name: min(circle) for circle in circles for name in circle}
    members: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        members[names[group_of(clip, "speaker")]].append(clip)
    part_of = deal(members, {"train": 0.65, "val": 0.15, "test": 0.2}, seed=0)
    lists = {part: sorted(name for name, circle in names.items() if part_of[circle] == part) for part in PARTS}
    return {"data.split.kind": "speakers"} | {
        f"data.split.{part}_speakers": f"[{', '.join(people)}]" for part, people in lists.items()
    }


def speaker_notes(clips: Sequence[Clip]) -> list[str]:
    """Return a warning if clips do not name their speaker, or name only one; else an empty list."""
    nameless = sum(clip.speaker is None for clip in clips)
    if not nameless:
        alone = len({(clip.corpus, clip.speaker) for clip in clips}) == 1
        return ["all clips are of one speaker: figures on them say nothing about other people"] if alone else []
    some = f"{nameless} of {len(clips)} clips name no speaker"
    subject = "no clip names its speaker" if nameless == len(clips) else some
    return [f"{subject}: unless the split is by groups of speakers, a person may be in both train and test"]
