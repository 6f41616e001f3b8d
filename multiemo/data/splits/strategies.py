"""Splits that cannot leak: whole groups (speakers, else dialogues, else clips) go to one part; the result is hashed.

Selection and early stopping read ``val``; ``test`` is read once, by evaluation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from multiemo.data.manifest.rows import PARTS
from multiemo.data.splits.grouping import GroupBy, deal, group_of, grouped, match_speaker, spread, validation
from multiemo.data.splits.split import Split, check_disjoint
from multiemo.errors import SplitError
from multiemo.types import Clip


def holdout(
    clips: Sequence[Clip], *, group_by: GroupBy = "speaker", val: float = 0.15, test: float = 0.2, seed: int = 0
) -> Split:
    """Whole groups held out for validation and test, with about the same labels in each part.

    Groups are dealt out by :func:`multiemo.data.splits.grouping.deal`. Of two groups one is the test, and validation
    is some clips of the other.

    Args:
        clips: of one or several corpora.
        group_by: what is kept whole.
        val, test: wanted shares of all clips, together below 1; ``test=0`` leaves that part empty, and then ``val=0``
            too.
        seed: the same arguments and clips, in whatever order, give the same split.

    Raises:
        SplitError: too few groups, a clip without group, or shares that leave nothing for a part.
    """
    shares = {"val": val, "test": test}
    empty = [part for part, share in shares.items() if share == 0] if test == 0 else []
    _check_shares(**{part: share for part, share in shares.items() if part not in empty})
    groups = grouped(clips, group_by)
    name = f"holdout(val={val:g}, test={test:g}, seed={seed})"
    if len(groups) == 2 and not empty:
        return _held_out(name, clips, group_by, deal(groups, {"train": 1 - test, "test": test}, seed), val, seed)
    wanted = {"train": 1 - val - test, **shares}
    placed = deal(groups, {part: share for part, share in wanted.items() if part not in empty}, seed)
    return _split(name, clips, group_by, placed, empty=empty)


def kfold(
    clips: Sequence[Clip], k: int, fold: int, *, group_by: GroupBy = "speaker", val: float = 0.15, seed: int = 0
) -> Split:
    """Fold ``fold`` of ``k``: its groups are the test, and of the rest some are held out for validation.

    Over all folds every clip is tested once.

    Args:
        clips, group_by, seed: as in :func:`holdout`.
        k: number of folds, 2 or more.
        fold: which, from 0.
        val: wanted share of the clips outside the fold.

    Raises:
        SplitError: as in :func:`holdout`, or ``k`` or ``fold`` out of range.
    """
    _check_shares(val=val)
    if k < 2 or not 0 <= fold < k:
        raise SplitError(f"kfold: fold {fold} of {k}; use k of 2 or more and fold from 0 to k - 1")
    groups = grouped(clips, group_by)
    folds = deal(groups, {str(i): 1 / k for i in range(k)}, seed)
    placed = {name: "test" if fold_of == str(fold) else "train" for name, fold_of in folds.items()}
    return _held_out(f"kfold(k={k}, fold={fold}, val={val:g}, seed={seed})", clips, group_by, placed, val, seed)


def official(
    clips: Sequence[Clip],
    *,
    group_by: GroupBy = "speaker",
    val: float = 0.15,
    val_as_test: bool = False,
    seed: int = 0,
) -> Split:
    """The parts that the corpus publishes (``split`` of every clip); a missing validation part is held out of train.

    Args:
        clips, group_by, seed: as in :func:`holdout`.
        val: share of the training clips held out where there is no official validation part to use.
        val_as_test: for a corpus without test labels: its validation part is the test, and another is held out.

    Raises:
        SplitError: a clip has no official part; a part is missing and nothing says where to take it from; or the
            official parts share a group.
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
        placed, within = validation(train, val, seed)
        given.update(placed)
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
    """Parts by lists of speakers.

    Args:
        clips: all must say their speaker.
        train, val, test: speakers as they are called in the clips (``"Joey"``), with their corpus
            (``"ravdess:01"``), as numbers (``"1"`` is ``01``), or as ranges of numbers (``"01-12"``).

    Raises:
        SplitError: a speaker is not in the clips, stands in two parts or in two corpora, or a part is empty.
    """
    groups = grouped(clips, "speaker")
    placed: dict[str, str] = {}
    for part, wanted in zip(PARTS, (train, val, test), strict=True):
        for entry in wanted:
            for name in match_speaker(entry, list(groups)):
                if placed.setdefault(name, part) != part:
                    raise SplitError(f"speaker {name} is listed in {placed[name]} and in {part}; keep one")
    left = sorted(groups.keys() - placed.keys())
    notes = (f"{len(left)} speakers stand in no part: {', '.join(left)}",) if left else ()
    return _split("by_speakers", [c for c in clips if group_of(c, "speaker") in placed], "speaker", placed, notes)


def by_corpora(
    clips: Sequence[Clip], *, test: Iterable[str], group_by: GroupBy = "speaker", val: float = 0.15, seed: int = 0
) -> Split:
    """Whole corpora are the test; of the others some groups are held out for validation.

    Args:
        clips, group_by, seed: as in :func:`holdout`.
        test: names of corpora.
        val: wanted share of the clips of the other corpora.

    Raises:
        SplitError: a corpus is not in the clips, or none is left to train on.
    """
    _check_shares(val=val)
    wanted, known = set(test), {clip.corpus for clip in clips}
    unknown = sorted(wanted - known)
    if unknown or not wanted:
        found = f"no clip is of the corpus {unknown[0]!r}" if unknown else "no corpus is named"
        raise SplitError(f"corpora: {found}; there are: {', '.join(sorted(known))}")
    if wanted == known:
        raise SplitError(f"corpora: every corpus ({', '.join(sorted(known))}) is in the test; leave one to train on")
    placed = {group_of(clip, group_by): "test" if clip.corpus in wanted else "train" for clip in clips}
    return _held_out(
        f"corpora(test={'+'.join(sorted(wanted))}, val={val:g}, seed={seed})", clips, group_by, placed, val, seed
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
    placed: Mapping[str, str],
    notes: tuple[str, ...] = (),
    *,
    empty: Collection[str] = (),
) -> Split:
    """The split that {group: part} makes of ``clips``."""
    part_of = {clip.id: placed[group_of(clip, group_by)] for clip in clips}
    return _by_id(name, clips, group_by, part_of, notes, empty=empty)


def _held_out(
    name: str, clips: Sequence[Clip], group_by: GroupBy, placed: Mapping[str, str], val: float, seed: int
) -> Split:
    """The split that {group: ``train`` or ``test``} makes, with validation held out of train."""
    train = grouped([clip for clip in clips if placed[group_of(clip, group_by)] == "train"], group_by)
    inner, within = validation(train, val, seed)
    return _by_id(name, clips, group_by, {clip.id: inner.get(clip.id, "test") for clip in clips}, within=within)


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
    """The split that {clip id: part} makes of ``clips``; ``empty`` are the parts that are to hold nothing."""
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
        notes=notes + spread(clips, group_by, part_of, groups["train"] if within else set()),
        within=within,
    )
