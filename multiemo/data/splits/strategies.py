"""Strategies for leak-free splits: each group (speaker, dialogue or clip) is assigned to one part as a whole.

Model selection and early stopping use ``val``. ``test`` is used once, by evaluation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from multiemo.data.manifest.rows import PARTS
from multiemo.data.splits.grouping import (
    GroupBy,
    deal,
    group_of,
    grouped,
    hold_out_validation,
    match_speaker,
    overlap_notes,
)
from multiemo.data.splits.split import Split, check_disjoint
from multiemo.errors import SplitError
from multiemo.types import Clip


def holdout(
    clips: Sequence[Clip], *, group_by: GroupBy = "speaker", val: float = 0.15, test: float = 0.2, seed: int = 0
) -> Split:
    """Hold out whole groups for validation and test, with similar label distributions in all parts.

    Groups are assigned by :func:`multiemo.data.splits.grouping.deal`. If there are only two groups, one is the test
    part, and some clips of the other are held out for validation.

    Args:
        clips: clips of one or several corpora.
        group_by: the unit that is never divided between parts.
        val, test: target shares of all clips, together below 1. With ``test=0`` the test part is empty; ``val=0`` is
            then allowed too.
        seed: the same arguments and clips, in any order, give the same split.

    Raises:
        SplitError: there are too few groups, a clip has no group, or the shares leave a part empty.
    """
    shares = {"val": val, "test": test}
    empty = [part for part, share in shares.items() if share == 0] if test == 0 else []
    _check_shares(**{part: share for part, share in shares.items() if part not in empty})
    groups = grouped(clips, group_by)
    name = f"holdout(val={val:g}, test={test:g}, seed={seed})"
    if len(groups) == 2 and not empty:
        return _held_out(name, clips, group_by, deal(groups, {"train": 1 - test, "test": test}, seed), val, seed)
    targets = {"train": 1 - val - test, **shares}
    assigned = deal(groups, {part: share for part, share in targets.items() if part not in empty}, seed)
    return _split(name, clips, group_by, assigned, empty=empty)


def kfold(
    clips: Sequence[Clip], k: int, fold: int, *, group_by: GroupBy = "speaker", val: float = 0.15, seed: int = 0
) -> Split:
    """Make fold ``fold`` of ``k``: its groups are the test part, and some of the others are held out for validation.

    Every clip is tested in exactly one fold.

    Args:
        clips, group_by, seed: as in :func:`holdout`.
        k: number of folds, 2 or more.
        fold: index of the fold, from 0.
        val: target share of the clips outside the fold.

    Raises:
        SplitError: as in :func:`holdout`, or ``k`` or ``fold`` out of range.
    """
    _check_shares(val=val)
    if k < 2 or not 0 <= fold < k:
        raise SplitError(f"kfold: fold {fold} of {k}; use k of 2 or more and fold from 0 to k - 1")
    groups = grouped(clips, group_by)
    folds = deal(groups, {str(i): 1 / k for i in range(k)}, seed)
    assigned = {name: "test" if fold_of == str(fold) else "train" for name, fold_of in folds.items()}
    return _held_out(f"kfold(k={k}, fold={fold}, val={val:g}, seed={seed})", clips, group_by, assigned, val, seed)


def official(
    clips: Sequence[Clip],
    *,
    group_by: GroupBy = "speaker",
    val: float = 0.15,
    val_as_test: bool = False,
    seed: int = 0,
) -> Split:
    """Use the published parts of the corpus (``split`` of every clip). A missing validation part is held out of train.

    Args:
        clips, group_by, seed: as in :func:`holdout`.
        val: share of the training clips to hold out if there is no published validation part to use.
        val_as_test: for a corpus without test labels: use its validation part as test part, and hold out another
            validation part.

    Raises:
        SplitError: a clip has no published part, the train or test part is missing, or two published parts share a
            group.
    """
    without = [clip.id for clip in clips if clip.split is None]
    if without:
        raise SplitError(f"official: clip {without[0]!r} has no split ({len(without)} clips); use holdout or kfold")
    given = {clip.id: str(clip.split) for clip in clips}
    if val_as_test:
        if "test" in given.values():
            raise SplitError("official: val_as_test, but the corpus has a test part; leave val_as_test out")
        given = {name: "test" if part == "val" else part for name, part in given.items()}
    present = set(given.values())
    if "test" not in present:
        advice = "set val_as_test to test on its validation part" if "val" in present else "use holdout or kfold"
        raise SplitError(f"official: the corpus has no test part; {advice}")
    if "train" not in present:
        raise SplitError("official: no clip is in train; use holdout or kfold")
    name = "official" + ("(val as test" if val_as_test else "(")
    within = False
    if "val" not in present:
        _check_shares(val=val)
        train = grouped([clip for clip in clips if given[clip.id] == "train"], group_by)
        assigned, within = hold_out_validation(train, val, seed)
        given.update(assigned)
        name += f"{', ' if val_as_test else ''}val={val:g}, seed={seed}"
    split = _by_id(name + ")", clips, group_by, given, within=within)
    check_disjoint(split, clips)
    return split


def by_speakers(
    clips: Sequence[Clip],
    *,
    train: Iterable[str],
    val: Iterable[str],
    test: Iterable[str],
) -> Split:
    """Assign speakers to parts by lists.

    Args:
        clips: the clips to split; all must have a speaker.
        train, val, test: speakers as named in the clips (``"Joey"``), with their corpus (``"ravdess:01"``), as numbers
            (``"1"`` is ``01``), or as ranges of numbers (``"01-12"``).

    Raises:
        SplitError: a speaker is not in the clips, is listed in two parts, occurs in two corpora, or a part is empty.
    """
    groups = grouped(clips, "speaker")
    assigned: dict[str, str] = {}
    for part, targets in zip(PARTS, (train, val, test), strict=True):
        for entry in targets:
            for name in match_speaker(entry, list(groups)):
                if assigned.setdefault(name, part) != part:
                    raise SplitError(f"speaker {name} is listed in {assigned[name]} and in {part}; keep one")
    left = sorted(groups.keys() - assigned.keys())
    notes = (f"{len(left)} speakers are in no part: {', '.join(left)}",) if left else ()
    return _split("by_speakers", [c for c in clips if group_of(c, "speaker") in assigned], "speaker", assigned, notes)


def by_corpora(
    clips: Sequence[Clip], *, test: Iterable[str], group_by: GroupBy = "speaker", val: float = 0.15, seed: int = 0
) -> Split:
    """Use whole corpora as test part, and hold out some groups of the others for validation.

    Args:
        clips, group_by, seed: as in :func:`holdout`.
        test: names of the test corpora.
        val: target share of the clips of the other corpora.

    Raises:
        SplitError: a corpus is not in the clips, or none is left to train on.
    """
    _check_shares(val=val)
    targets, known = set(test), {clip.corpus for clip in clips}
    unknown = sorted(targets - known)
    if unknown or not targets:
        reason = f"no clip is of the corpus {unknown[0]!r}" if unknown else "no test corpus is named"
        raise SplitError(f"corpora: {reason}; known corpora: {', '.join(sorted(known))}")
    if targets == known:
        raise SplitError(f"corpora: every corpus ({', '.join(sorted(known))}) is a test corpus; leave one to train on")
    assigned = {group_of(clip, group_by): "test" if clip.corpus in targets else "train" for clip in clips}
    return _held_out(
        f"corpora(test={'+'.join(sorted(targets))}, val={val:g}, seed={seed})", clips, group_by, assigned, val, seed
    )


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 < share < 1:
            raise SplitError(f"{name} is {share}; it must be a share of the clips between 0 and 1")
    if sum(shares.values()) >= 1:
        raise SplitError(f"{' + '.join(shares)} is {sum(shares.values()):g}; it must leave clips to train on")


def _split(
    name: str,
    clips: Sequence[Clip],
    group_by: GroupBy,
    assigned: Mapping[str, str],
    notes: tuple[str, ...] = (),
    *,
    empty: Collection[str] = (),
) -> Split:
    """Make a split from {group: part}."""
    part_of = {clip.id: assigned[group_of(clip, group_by)] for clip in clips}
    return _by_id(name, clips, group_by, part_of, notes, empty=empty)


def _held_out(
    name: str, clips: Sequence[Clip], group_by: GroupBy, assigned: Mapping[str, str], val: float, seed: int
) -> Split:
    """Make a split from {group: ``train`` or ``test``}, with a validation part held out of train."""
    train = grouped([clip for clip in clips if assigned[group_of(clip, group_by)] == "train"], group_by)
    part_of, within = hold_out_validation(train, val, seed)
    return _by_id(name, clips, group_by, {clip.id: part_of.get(clip.id, "test") for clip in clips}, within=within)


def _by_id(
    name: str,
    clips: Sequence[Clip],
    group_by: GroupBy,
    part_of: Mapping[str, str],
    notes: tuple[str, ...] = (),
    *,
    empty: Collection[str] = (),
    within: bool = False,
) -> Split:
    """Make a split from {clip id: part}; the parts in ``empty`` may be empty."""
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    groups: dict[str, set[str]] = {part: set() for part in PARTS}
    for clip in clips:
        parts[part_of[clip.id]].append(clip.id)
        groups[part_of[clip.id]].add(group_of(clip, group_by))
    for part in PARTS:
        if not parts[part] and part not in empty:
            raise SplitError(f"{name}: {part} is empty; every part needs a clip")
    return Split(
        name=name,
        group_by=group_by,
        parts={part: tuple(sorted(parts[part])) for part in PARTS},
        groups={part: tuple(sorted(groups[part])) for part in PARTS},
        notes=notes + overlap_notes(clips, group_by, part_of, groups["train"] if within else set()),
        within=within,
    )
