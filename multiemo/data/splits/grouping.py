"""Groups that a split keeps whole, and how they are dealt out to parts with about the same labels in each."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from multiemo.data.manifest.rows import closest
from multiemo.errors import SplitError
from multiemo.types import Clip

#: What a split keeps whole.
GroupBy: TypeAlias = Literal["speaker", "group", "clip"]
GROUP_BY: tuple[GroupBy, ...] = ("speaker", "group", "clip")

_RANGE = re.compile(r"(\d+)-(\d+)")
_SIZE = "\0size"
_UNLABELLED = "\0unlabelled"


def group_of(clip: Clip, group_by: GroupBy) -> str:
    """The group of a clip, with its corpus in front, so that the speakers ``01`` of two corpora stay two.

    Raises:
        SplitError: the clip does not say its speaker or group.

    Example:
        >>> group_of(Clip(id="a", corpus="ravdess", speaker="01"), "speaker")
        'ravdess:01'
    """
    name = clip.id if group_by == "clip" else clip.speaker if group_by == "speaker" else clip.group
    if name is None:
        raise SplitError(f"clip {clip.id!r} ({clip.corpus}) has no {group_by}; add it, or use another group_by")
    return f"{clip.corpus}:{name}"


def grouped(clips: Sequence[Clip], group_by: GroupBy) -> dict[str, list[Clip]]:
    """{group: its clips}.

    Raises:
        SplitError: no clips, two with one id, an unknown ``group_by``, or a clip without group.
    """
    if group_by not in GROUP_BY:
        raise SplitError(f"group_by is {group_by!r}; use one of {', '.join(GROUP_BY)}")
    if not clips:
        raise SplitError("there are no clips to split")
    ids = Counter(clip.id for clip in clips)
    if len(ids) < len(clips):
        twice = ids.most_common(1)[0][0]
        raise SplitError(f"id {twice!r} stands for {ids[twice]} clips; ids must be unique over all corpora of a split")
    known = [other for other in GROUP_BY if other == "clip" or all(getattr(c, other) is not None for c in clips)]
    others = " or ".join(other for other in known if other != group_by)
    if group_by != "clip" and all(getattr(clip, group_by) is None for clip in clips):
        raise SplitError(f"no clip of {clips[0].corpus} has a {group_by}; set data.split.group_by to {others}")
    nameless = [clip for clip in clips if group_by != "clip" and getattr(clip, group_by) is None]
    if nameless:
        raise SplitError(
            f"{len(nameless)} of {len(clips)} clips have no {group_by}, the first is {nameless[0].id!r} "
            f"({nameless[0].corpus}); say who it is, leave those rows out, or set data.split.group_by to {others}"
        )
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        groups[group_of(clip, group_by)].append(clip)
    return dict(groups)


def deal(groups: Mapping[str, Sequence[Clip]], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Assign every group to a part, so that parts come near their shares of the clips and of each label.

    Largest groups first; each goes where it reduces most the squared distance between what the parts hold and what
    they should hold, relative to each label's total (the greedy rule of scikit-learn's StratifiedGroupKFold, for parts
    of unequal size). The seed decides the order of groups of one size.

    Args:
        groups: {group: its clips}.
        shares: {part: wanted share}, summing to 1.

    Returns:
        {group: part}; no part is left without a group.

    Raises:
        SplitError: fewer groups than parts.
    """
    if len(groups) < len(shares):
        listed = ", ".join(sorted(groups)[:5])
        if len(groups) == 1:
            raise SplitError(
                f"all clips are of {listed}, so nobody else is left for {' and '.join(shares)}; "
                "data.split.group_by=clip measures the same person on other clips"
            )
        raise SplitError(
            f"{len(groups)} groups ({listed}) cannot fill {len(shares)} parts; "
            f"take {len(groups)} folds or fewer, or another group_by"
        )
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda name: -len(groups[name]))
    counts = {name: _strata(groups[name]) for name in order}
    totals: Counter[str] = Counter()
    for count in counts.values():
        totals.update(count)
    lacking = {part: {label: share * total for label, total in totals.items()} for part, share in shares.items()}
    placed: dict[str, str] = {}
    for name in order:
        weights = [(label, n, n / totals[label] ** 2) for label, n in counts[name].items()]
        best = max(shares, key=lambda part: sum(weight * lacking[part][label] for label, _, weight in weights))
        placed[name] = best
        for label, n, _ in weights:
            lacking[best][label] -= n
    members = Counter(placed.values())
    for part in shares:
        if not members[part]:
            donor = members.most_common(1)[0][0]
            moved = next(name for name in reversed(order) if placed[name] == donor)
            placed[moved] = part
            members.update({donor: -1, part: 1})
    return placed


def validation(groups: Mapping[str, Sequence[Clip]], val: float, seed: int) -> tuple[dict[str, str], bool]:
    """Some of the groups for validation, the others to train on; of a single group, some of its clips.

    Args:
        groups: {group: its clips}, without those that are tested.
        val: wanted share of the clips.

    Returns:
        {clip id: ``train`` or ``val``}, and whether validation is of the group that is trained on.
    """
    within = len(groups) == 1
    if within:
        (clips,) = groups.values()
        inner = {clip.group for clip in clips}
        whole = len(inner) > 1 and None not in inner  # its dialogues
        groups = grouped(clips, "group" if whole else "clip")
    placed = deal(groups, {"train": 1 - val, "val": val}, seed)
    return {clip.id: placed[name] for name, members in groups.items() for clip in members}, within


def spread(clips: Sequence[Clip], group_by: GroupBy, part_of: Mapping[str, str], alone: set[str]) -> tuple[str, ...]:
    """Who stands in several parts of a split, a sentence for each kind.

    Args:
        clips: of the split.
        group_by: what it keeps whole.
        part_of: {clip id: part}.
        alone: the one group that there is to train and to validate on, if so.
    """
    notes = [
        f"only {name} is there to train on, so validation is other clips of the same {group_by}, and its figures are "
        "too high; the test is of others"
        for name in alone
    ]
    nameless = sum(clip.speaker is None for clip in clips)
    if nameless and group_by != "speaker":
        notes.append(
            f"group_by={group_by}: {nameless} of {len(clips)} clips name no speaker, so the same person may stand in "
            "several parts, and figures may be too high"
        )
    for other in ("speaker", "group"):
        if other == group_by:
            continue
        parts: dict[tuple[str, str], set[str]] = defaultdict(set)
        for clip in clips:
            name = getattr(clip, other)
            if name is not None:
                parts[clip.corpus, name].add(part_of[clip.id])
        shared = sum(len(found) > 1 for found in parts.values())
        if shared:
            notes.append(f"group_by={group_by}: {shared} of {len(parts)} {other}s stand in several parts")
    return tuple(notes)


def match_speaker(entry: str, known: Sequence[str]) -> list[str]:
    """The groups ``corpus:speaker`` that an entry of a list of speakers means.

    Args:
        entry: a speaker as called in the clips, with or without corpus; a number; or a range of numbers.
        known: every group of the clips.

    Raises:
        SplitError: no such speaker, or the name is met in two corpora.

    Example:
        >>> match_speaker("1-2", ["ravdess:01", "ravdess:02", "ravdess:03"])
        ['ravdess:01', 'ravdess:02']
    """
    exact = [name for name in known if entry in (name, name.split(":", 1)[1])]
    span = _RANGE.fullmatch(entry)
    if not exact and span:
        numbers = range(int(span[1]), int(span[2]) + 1)
        found = [name for name in known if _number(name) in numbers]
        if numbers and {_number(name) for name in found} == set(numbers):
            return _of_one_corpus(entry, found)
        gone = [str(number) for number in numbers if number not in {_number(name) for name in found}]
        raise SplitError(f"speakers {entry!r}: {'no speaker ' + ', '.join(gone) if gone else 'an empty range'}")
    if not exact and entry.isdecimal():
        exact = [name for name in known if _number(name) == int(entry)]
    if not exact:
        speakers = sorted(name.split(":", 1)[1] for name in known)
        listed = ", ".join(speakers[:30]) + (", ..." if len(speakers) > 30 else "")
        raise SplitError(f"speaker {entry!r} is not in the clips; {closest(entry, speakers)}there are: {listed}")
    return _of_one_corpus(entry, exact)


def _strata(clips: Sequence[Clip]) -> Counter[str]:
    """How many clips of each label a group has, and how many in all."""
    count: Counter[str] = Counter({_SIZE: len(clips)})
    for clip in clips:
        if clip.label is not None:
            count[clip.label] += 1
        elif clip.labels:
            count.update(clip.labels)
        elif clip.votes:
            count[max(clip.votes, key=lambda label: (clip.votes or {})[label])] += 1
        else:
            count[_UNLABELLED] += 1
    return count


def _of_one_corpus(entry: str, found: list[str]) -> list[str]:
    corpora = sorted({name.split(":", 1)[0] for name in found})
    if len(corpora) > 1:
        raise SplitError(f"speaker {entry!r} is in {' and '.join(corpora)}; write {corpora[0]}:{entry}")
    return found


def _number(name: str) -> int | None:
    speaker = name.split(":", 1)[1]
    return int(speaker) if speaker.isdecimal() else None
