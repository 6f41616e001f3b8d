"""A split: the assignment of clips to parts, hashed and checked for leaks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from multiemo.data.manifest.rows import PARTS
from multiemo.data.splits.grouping import GROUP_BY, GroupBy, group_of
from multiemo.errors import SplitError
from multiemo.files import parse_json
from multiemo.records import Record, record
from multiemo.types import Clip

#: Incremented when the same arguments result in another split than before.
SPLIT_VERSION = 1


@record
class StoredSplit(Record):
    """One split: a member of ``splits.json``, which has one per stage.

    Args:
        name: the strategy with its arguments.
        version: version of the split algorithms.
        hash: SHA-256 of the assignment of clips to parts.
        group_by: the unit that is never divided between parts.
        notes: what a reader of the results should know.
        within: true if the validation part has clips of groups that are also trained on.
        groups: {train, val, test: groups, sorted}.
        parts: {train, val, test: clip ids, sorted}.
    """

    name: str
    version: int
    hash: str
    group_by: GroupBy
    notes: list[str]
    within: bool | None = None
    groups: dict[str, list[str]]
    parts: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Split:
    """The assignment of clips to parts.

    Args:
        name: the strategy with its arguments.
        group_by: the unit that is never divided between parts.
        parts: {train, val, test: clip ids, sorted}.
        groups: {train, val, test: groups, sorted}, as named by :func:`multiemo.data.splits.grouping.group_of`.
        notes: what a reader of the results should know about this split.
        within: the validation part has clips of groups that are also trained on, since there were no other groups;
            the test part never has.
        version: version of the split algorithms.
    """

    name: str
    group_by: GroupBy
    parts: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()
    within: bool = False
    version: int = SPLIT_VERSION
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        content = [self.version, self.name, self.group_by, [sorted(self.parts[part]) for part in PARTS]]
        content += ["within"] if self.within else []
        digest = hashlib.sha256(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())
        object.__setattr__(self, "hash", digest.hexdigest())

    def part_of(self) -> dict[str, str]:
        """Return {clip id: part}."""
        return {name: part for part in PARTS for name in self.parts[part]}

    def to_json(self) -> str:
        """Convert the split to JSON text; :meth:`from_json` is the inverse."""
        return json.dumps(self.stored(), ensure_ascii=False, indent=1)

    def stored(self) -> StoredSplit:
        """Convert the split to the record that a run folder stores."""
        return StoredSplit(
            name=self.name,
            version=self.version,
            hash=self.hash,
            group_by=self.group_by,
            notes=list(self.notes),
            within=True if self.within else None,
            groups={part: list(self.groups[part]) for part in PARTS},
            parts={part: list(self.parts[part]) for part in PARTS},
        )

    @classmethod
    def from_json(cls, text: str) -> Split:
        """Read a split from JSON text; the inverse of :meth:`to_json`.

        Raises:
            SplitError: the text is not a stored split, or its clips do not match its hash.
        """
        try:
            values = parse_json(text)
            if values["group_by"] not in GROUP_BY:
                raise ValueError(f"group_by {values['group_by']!r}")
            split = cls(
                name=str(values["name"]),
                group_by=values["group_by"],
                parts={part: tuple(values["parts"][part]) for part in PARTS},
                groups={part: tuple(values["groups"][part]) for part in PARTS},
                notes=tuple(values["notes"]),
                within=bool(values.get("within", False)),
                version=int(values["version"]),
            )
            expected = values["hash"]
        except (ValueError, KeyError, TypeError) as error:
            raise SplitError(f"split: not a stored split ({type(error).__name__}: {error}); make it again") from None
        if split.hash != expected:
            raise SplitError(f"split {split.name!r}: its clips do not match its hash {expected}; it was edited by hand")
        return split


def exclude_clips(split: Split, exclude: Iterable[str]) -> Split:
    """Remove some clips from a split, such as near-duplicates of others.

    Raises:
        SplitError: a clip is in no part, or a part becomes empty.
    """
    excluded = set(exclude)
    unknown = sorted(excluded - split.part_of().keys())
    if unknown:
        raise SplitError(f"split {split.name!r}: clip {unknown[0]!r} cannot be left out: it is in no part")
    parts = {part: tuple(name for name in split.parts[part] if name not in excluded) for part in PARTS}
    for part in PARTS:
        if split.parts[part] and not parts[part]:
            raise SplitError(f"split {split.name!r}: {part} is empty without the {len(excluded)} clips left out")
    note = f"{len(excluded)} clips left out by their ids"
    return replace(split, name=f"{split.name} less {len(excluded)} clips", parts=parts, notes=(*split.notes, note))


def check_disjoint(split: Split, clips: Sequence[Clip], *, empty: Collection[str] = ()) -> None:
    """Refuse a split that leaks. Groups are taken from the clips, not from the split.

    Args:
        split: the split to check.
        clips: all clips of the manifest.
        empty: parts that may be empty.

    Raises:
        SplitError: a part is empty, a clip of the split is not among ``clips``, or a clip or a group is in two parts;
            the message names the clip or group and the parts.
    """
    known = {clip.id: clip for clip in clips}
    part_of_clip: dict[str, str] = {}
    part_of_group: dict[str, str] = {}
    for part in PARTS:
        if not split.parts[part] and part not in empty:
            raise SplitError(f"split {split.name!r}: {part} is empty; every part needs a clip")
        for name in split.parts[part]:
            if name not in known:
                raise SplitError(f"split {split.name!r}: clip {name!r} of {part} is not in the manifest")
            if part_of_clip.setdefault(name, part) != part:
                raise SplitError(f"split {split.name!r}: clip {name!r} is in {part_of_clip[name]} and {part}")
            group = group_of(known[name], split.group_by)
            if part == "val" and split.within:
                part_of_group.setdefault(group, "train")
            elif part_of_group.setdefault(group, part) != part:
                advice = (
                    "make a split by speakers" if split.group_by == "speaker" else f"keep each {split.group_by} whole"
                )
                raise SplitError(
                    f"split {split.name!r}: {split.group_by} {group!r} is in {part_of_group[group]} and {part}; "
                    f"{advice}, or choose another group_by"
                )
