"""A split: which clips stand in which part, hashed, and checked for leaks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from multiemo.data.manifest.rows import PARTS
from multiemo.data.splits.grouping import GROUP_BY, GroupBy, group_of
from multiemo.errors import SplitError
from multiemo.records import Record, record
from multiemo.types import Clip

#: Raised when the same arguments would give another split than before.
SPLIT_VERSION = 1


@record
class StoredSplit(Record):
    """One split: a member of ``splits.json``, which has one for each stage.

    Args:
        name: how it was made, with its arguments.
        version: of the way splits are made.
        hash: SHA-256 of who is in which part.
        group_by: what is kept whole.
        notes: what a reader of the results should know.
        within: true where validation is of groups that are trained on too.
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
    """Which clips stand in which part.

    Args:
        name: how it was made, with its arguments.
        group_by: what is kept whole.
        parts: {train, val, test: ids, sorted}; none is empty.
        groups: {train, val, test: groups, sorted}, as :func:`multiemo.data.splits.grouping.group_of` names them.
        notes: what a reader of the results should know of this split.
        within: validation is of groups that are trained on too, because there were no others; the test is not.
        version: of the way splits are made.
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
        """{clip id: part}."""
        return {name: part for part in PARTS for name in self.parts[part]}

    def to_json(self) -> str:
        """The split as JSON text; :meth:`from_json` reads it."""
        return json.dumps(self.stored(), ensure_ascii=False, indent=1)

    def stored(self) -> StoredSplit:
        """The split as a run folder keeps it."""
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
        """The inverse of :meth:`to_json`.

        Raises:
            SplitError: the text is no split, or its clips are no longer those that were hashed.
        """
        try:
            values = json.loads(text)
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


def without(split: Split, exclude: Iterable[str]) -> Split:
    """The split less some clips, such as near-duplicates of others.

    Raises:
        SplitError: a clip is in no part, or a part is left empty.
    """
    gone = set(exclude)
    unknown = sorted(gone - split.part_of().keys())
    if unknown:
        raise SplitError(f"split {split.name!r}: clip {unknown[0]!r}, which is to be left out, is in no part")
    parts = {part: tuple(name for name in split.parts[part] if name not in gone) for part in PARTS}
    for part in PARTS:
        if split.parts[part] and not parts[part]:
            raise SplitError(f"split {split.name!r}: nothing of {part} is left without the {len(gone)} clips left out")
    note = f"{len(gone)} clips left out by their ids"
    return replace(split, name=f"{split.name} less {len(gone)} clips", parts=parts, notes=(*split.notes, note))


def check_disjoint(split: Split, clips: Sequence[Clip], *, empty: Collection[str] = ()) -> None:
    """Refuse a split that leaks; groups are read from the clips, not from what the split says of itself.

    Args:
        split: any.
        clips: of the manifest.
        empty: parts that may be.

    Raises:
        SplitError: a part is empty, a clip of the split is not among ``clips`` or stands in two parts, or a group
            does; the message names the group and the parts.
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
                raise SplitError(f"split {split.name!r}: clip {name!r} stands in {part_of_clip[name]} and {part}")
            group = group_of(known[name], split.group_by)
            if part == "val" and split.within:
                part_of_group.setdefault(group, "train")
            elif part_of_group.setdefault(group, part) != part:
                advice = (
                    "make a split by speakers" if split.group_by == "speaker" else f"keep each {split.group_by} whole"
                )
                raise SplitError(
                    f"split {split.name!r}: {split.group_by} {group!r} stands in {part_of_group[group]} and {part}; "
                    f"{advice}, or choose another group_by"
                )
