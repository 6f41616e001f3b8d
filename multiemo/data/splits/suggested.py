"""Suggest training settings for a prepared corpus: label set, task and split."""

from __future__ import annotations

from collections.abc import Sequence

from multiemo.data.splits.grouping import GroupBy
from multiemo.data.splits.strategies import holdout, official
from multiemo.errors import SplitError
from multiemo.types import Clip


def train_options(clips: Sequence[Clip]) -> dict[str, str]:
    """Return the config settings that follow from the clips, as {config key: value}.

    These are the label set, ``task=multi`` if clips have several labels at once, and a split that keeps people apart as
    far as the clips identify them: the published parts, unless a named speaker or group is in several of them; else
    whole speakers or groups; else single clips.

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
    for options in (published, drawn) if published else (drawn,):
        for group_by in ways:
            try:
                if options is drawn:
                    holdout(clips, group_by=group_by)
                else:
                    official(clips, group_by=group_by, val_as_test="test" not in given)
            except SplitError:
                continue
            return options | {"data.split.group_by": group_by}
    return (drawn if ways else published or drawn) | {"data.split.group_by": "clip"}


def speaker_notes(clips: Sequence[Clip]) -> list[str]:
    """Return a warning if clips do not name their speaker, else an empty list."""
    nameless = sum(clip.speaker is None for clip in clips)
    if not nameless:
        return []
    some = f"{nameless} of {len(clips)} clips name no speaker"
    subject = "no clip names its speaker" if nameless == len(clips) else some
    return [f"{subject}: unless the split is by groups of speakers, a person may be in both train and test"]
