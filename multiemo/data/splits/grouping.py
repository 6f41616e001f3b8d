"""Group the clips of a split, and assign whole groups to parts with similar label distributions."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from multiemo.data.manifest.rows import closest
from multiemo.errors import SplitError
from multiemo.types import Clip

#: The unit that a split never divides between parts.
GroupBy: TypeAlias = Literal["speaker", "group", "clip"]
GROUP_BY: tuple[GroupBy, ...] = ("speaker", "group", "clip")

_RANGE = re.compile(r"(\d+)-(\d+)")
_SIZE_KEY = "\0size"
_UNLABELLED_KEY = "\0unlabelled"


def group_of(clip: Clip, group_by: GroupBy) -> str:
    """Return the group of a clip as ``corpus:name``, so that the speakers ``01`` of two corpora are distinct.

    Raises:
        SplitError: the clip has no speaker or group.

    Example:
        >>> group_of(Clip(id="a", corpus="ravdess", speaker="01"), "speaker")
        'ravdess:01'
    """
    name = clip.id if group_by == "clip" else clip.speaker if group_by == "speaker" else clip.group
    if name is None:
        raise SplitError(f"clip {clip.id!r} ({clip.corpus}) has no {group_by}; add it, or use another group_by")
    return f"{clip.corpus}:{name}"


def grouped(clips: Sequence[Clip], group_by: GroupBy) -> dict[str, list[Clip]]:
    """Return {group: its clips}.

    Raises:
        SplitError: there are no clips, two clips share an id, ``group_by`` is unknown, or a clip has no group.
    """
    if group_by not in GROUP_BY:
        raise SplitError(f"group_by is {group_by!r}; use one of {', '.join(GROUP_BY)}")
    if not clips:
        raise SplitError("there are no clips to split")
    ids = Counter(clip.id for clip in clips)
    if len(ids) < len(clips):
        twice = ids.most_common(1)[0][0]
        raise SplitError(f"{ids[twice]} clips have the id {twice!r}; ids must be unique over all corpora of a split")
    known = [other for other in GROUP_BY if other == "clip" or all(getattr(c, other) is not None for c in clips)]
    others = " or ".join(other for other in known if other != group_by)
    if group_by != "clip" and all(getattr(clip, group_by) is None for clip in clips):
        raise SplitError(f"no clip of {clips[0].corpus} has a {group_by}; set data.split.group_by to {others}")
    nameless = [clip for clip in clips if group_by != "clip" and getattr(clip, group_by) is None]
    if nameless:
        raise SplitError(
            f"{len(nameless)} of {len(clips)} clips have no {group_by}, the first is {nameless[0].id!r} "
            f"({nameless[0].corpus}); add it, remove those rows, or set data.split.group_by to {others}"
        )
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        groups[group_of(clip, group_by)].append(clip)
    return dict(groups)


def deal(groups: Mapping[str, Sequence[Clip]], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Assign every group to a part, so that each part has about its share of the clips and of each label.

    Groups are assigned in order of size, largest first. Each goes to the part where it most reduces the squared
    distance between actual and target counts, relative to the total of each label. This is the greedy rule of
    scikit-learn's StratifiedGroupKFold, extended to parts of unequal size.

    Args:
        groups: {group: its clips}.
        shares: {part: target share of the clips}, summing to 1.
        seed: determines the order of groups of equal size.

    Returns:
        {group: part}; every part has at least one group.

    Raises:
        SplitError: fewer groups than parts.
    """
    if len(groups) < len(shares):
        listed = ", ".join(sorted(groups)[:5])
        if len(groups) == 1:
            raise SplitError(
                f"all clips are of {listed}, so no group is left for {' and '.join(shares)}; "
                "data.split.group_by=clip tests other clips of the same person"
            )
        raise SplitError(
            f"{len(groups)} groups ({listed}) cannot fill {len(shares)} parts; "
            f"use {len(groups)} folds or fewer, or another group_by"
        )
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda name: -len(groups[name]))
    counts = {name: _stratum_counts(groups[name]) for name in order}
    totals: Counter[str] = Counter()
    for count in counts.values():
        totals.update(count)
    deficit = {part: {label: share * total for label, total in totals.items()} for part, share in shares.items()}
    assigned: dict[str, str] = {}
    for name in order:
        weights = [(label, n, n / totals[label] ** 2) for label, n in counts[name].items()]
        best = max(shares, key=lambda part: sum(weight * deficit[part][label] for label, _, weight in weights))
        assigned[name] = best
        for label, n, _ in weights:
            deficit[best][label] -= n
    members = Counter(assigned.values())
    for part in shares:
        if not members[part]:
            donor = members.most_common(1)[0][0]
            moved = next(name for name in reversed(order) if assigned[name] == donor)
            assigned[moved] = part
            members.update({donor: -1, part: 1})
    return assigned


def hold_out_validation(groups: Mapping[str, Sequence[Clip]], val: float, seed: int) -> tuple[dict[str, str], bool]:
    """Hold out some groups for validation. If there is only one group, hold out some of its clips.

    Args:
        groups: {group: its clips}, without those of the test part.
        val: target share of the clips.
        seed: see :func:`deal`.

    Returns:
        {clip id: ``train`` or ``val``}, and whether the validation clips are of the group that is trained on.
    """
    within = len(groups) == 1
    if within:
        (clips,) = groups.values()
        dialogues = {clip.group for clip in clips}
        has_dialogues = len(dialogues) > 1 and None not in dialogues
        groups = grouped(clips, "group" if has_dialogues else "clip")
    assigned = deal(groups, {"train": 1 - val, "val": val}, seed)
    return {clip.id: assigned[name] for name, members in groups.items() for clip in members}, within


def overlap_notes(
    clips: Sequence[Clip], group_by: GroupBy, part_of: Mapping[str, str], only_group: set[str]
) -> tuple[str, ...]:
    """Describe which speakers and groups may occur in several parts of a split, one sentence each.

    Args:
        clips: clips of the split.
        group_by: the unit that the split never divides.
        part_of: {clip id: part}.
        only_group: the group, if it is the only one to train and to validate on; else empty.
    """
    notes = [
        f"{name} is the only {group_by} to train on, so validation uses other clips of the same {group_by} and its "
        "figures are too high; the test part is of others"
        for name in only_group
    ]
    nameless = sum(clip.speaker is None for clip in clips)
    if nameless and group_by != "speaker":
        notes.append(
            f"group_by={group_by}: {nameless} of {len(clips)} clips name no speaker, so the same person may be in "
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
            notes.append(f"group_by={group_by}: {shared} of {len(parts)} {other}s are in several parts")
    return tuple(notes)


def match_speaker(entry: str, known: Sequence[str]) -> list[str]:
    """Return the groups ``corpus:speaker`` that an entry of a list of speakers refers to.

    Args:
        entry: a speaker as named in the clips, with or without corpus; a number; or a range of numbers.
        known: all groups of the clips.

    Raises:
        SplitError: there is no such speaker, or the name occurs in two corpora.

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
        absent = [str(number) for number in numbers if number not in {_number(name) for name in found}]
        raise SplitError(f"speakers {entry!r}: {'no speaker ' + ', '.join(absent) if absent else 'the range is empty'}")
    if not exact and entry.isdecimal():
        exact = [name for name in known if _number(name) == int(entry)]
    if not exact:
        speakers = sorted(name.split(":", 1)[1] for name in known)
        listed = ", ".join(speakers[:30]) + (", ..." if len(speakers) > 30 else "")
        raise SplitError(f"speaker {entry!r} is not in the clips; {closest(entry, speakers)}known speakers: {listed}")
    return _of_one_corpus(entry, exact)


def _stratum_counts(clips: Sequence[Clip]) -> Counter[str]:
    """Count the clips of a group by label, and in total."""
    count: Counter[str] = Counter({_SIZE_KEY: len(clips)})
    for clip in clips:
        if clip.label is not None:
            count[clip.label] += 1
        elif clip.labels:
            count.update(clip.labels)
        elif clip.votes:
            count[max(clip.votes, key=lambda label: (clip.votes or {})[label])] += 1
        else:
            count[_UNLABELLED_KEY] += 1
    return count


def _of_one_corpus(entry: str, found: list[str]) -> list[str]:
    corpora = sorted({name.split(":", 1)[0] for name in found})
    if len(corpora) > 1:
        raise SplitError(f"speaker {entry!r} is in {' and '.join(corpora)}; write {corpora[0]}:{entry}")
    return found


def _number(name: str) -> int | None:
    speaker = name.split(":", 1)[1]
    return int(speaker) if speaker.isdecimal() else None
