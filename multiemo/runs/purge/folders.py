"""Removes a person from run folders and other folders with results."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multiemo.data.splits.split import Split
from multiemo.encryption import is_sealed, read_sealed, write_sealed
from multiemo.errors import SplitError
from multiemo.files import parse_json, write_atomically
from multiemo.runs.folder.lock import LOCK
from multiemo.runs.purge.contents import cleaned
from multiemo.runs.purge.names import Names
from multiemo.runs.purge.records import Remainder, Removal

SPLITS = "splits.json"
#: Formats of weights, of which only the header can name anything.
_WEIGHTS = ".safetensors"
#: Formats that can name split hashes.
_TEXTS = (".json", ".jsonl", ".html", ".md", ".yaml")


@dataclass(slots=True)
class Changes:
    """What is removed, and what remains.

    Args:
        names: names of the person, which are masked.
        removed: {(place, what): count}.
        remains: {place: why}.
    """

    names: Names
    removed: Counter[tuple[str, str]] = field(default_factory=Counter)
    remains: dict[str, str] = field(default_factory=dict)

    def remove(self, place: Path, what: str, count: int = 1) -> None:
        """Count something that is removed.

        Args:
            place: file or folder.
            what: kind of thing, as in :class:`Removal`.
            count: how many.
        """
        self.removed[self.names.masked(str(place)), what] += count

    def keep(self, place: Path, why: str) -> None:
        """Note something that is not removed."""
        self.remains[self.names.masked(str(place))] = why

    def listed(self) -> tuple[list[Removal], list[Remainder]]:
        """Both as records, in the order in which they were found."""
        removed = [Removal(place=place, what=what, count=n) for (place, what), n in self.removed.items() if n]
        return removed, [Remainder(place=place, why=why) for place, why in self.remains.items()]


def clean_folder(folder: Path, changes: Changes, skip: Collection[Path], *, dry: bool) -> None:
    """Remove a person from every file of a folder and its subfolders.

    Splits come last: a purge that was interrupted finds their old hashes again.

    Args:
        folder: run folder, benchmark folder, or folder of predictions.
        changes: receives what was done; its names are searched.
        skip: resolved paths that are left alone: manifests and media.
        dry: change nothing.
    """
    found = [path for path in _files(folder, skip) if path.name == SPLITS]
    splits = {path: made for path in found if (made := _split(path, changes.names)) is not None}
    hashes = {old: new for _, _, renamed in splits.values() for old, new in renamed.items()}
    for path in _files(folder, skip):
        if path not in splits:
            _clean_file(folder, path, changes, hashes, dry)
    for path, (text, count, _) in splits.items():
        changes.remove(path, "clips of the split", count)
        if not dry:
            write_atomically(path, text)


def _clean_file(folder: Path, path: Path, changes: Changes, hashes: Mapping[str, str], dry: bool) -> None:
    if changes.names.occur(path.relative_to(folder).as_posix()):
        changes.remove(path.parent, "files")
        if not dry:
            path.unlink()
        return
    data = _read(path)
    found = cleaned(path, data, changes.names)
    content = data if found is None else found.content
    if found is not None and content is None:
        changes.remove(path, "files")
        if not dry:
            path.unlink()
        return
    if found is not None:
        changes.remove(path, "members or lines", found.count)
    elif changes.names.occur(data.decode("utf-8", "replace")):
        changes.keep(path, "it names the person, and this format cannot be edited; correct or delete it yourself")
    assert content is not None
    if path.suffix in _TEXTS:
        for old, new in hashes.items():
            content = content.replace(old.encode(), new.encode())
    if not dry and content != data:
        sealed = is_sealed(path.read_bytes())
        (write_sealed if sealed else write_atomically)(path, content)


def _read(path: Path) -> bytes:
    """The content of a file; of weights only their header."""
    if path.suffix != _WEIGHTS:
        return read_sealed(path)
    with path.open("rb") as file:
        if is_sealed(file.read(64)):
            return b""
    with path.open("rb") as file:
        return file.read(min(int.from_bytes(file.read(8), "little"), path.stat().st_size))


def _files(folder: Path, skip: Collection[Path]) -> Iterator[Path]:
    """The files of a folder, without following links."""
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(place, name)
            if name != LOCK and not path.is_symlink() and path.resolve() not in skip:
                yield path


def _split(path: Path, names: Names) -> tuple[str, int, dict[str, str]] | None:
    """A ``splits.json`` without the person, the number of their clips, and {old hash: new hash}.

    ``None`` if the person is not in it, or if it is not a file of splits.
    """
    try:
        stored: dict[str, Any] = parse_json(path.read_bytes())
        splits = {stage: Split.from_json(json.dumps(values)) for stage, values in stored.items()}
    except (ValueError, AttributeError, SplitError):
        return None
    count, hashes, made = 0, {}, {}
    for stage, split in splits.items():
        parts = {part: tuple(i for i in ids if not names.identify("id", i)) for part, ids in split.parts.items()}
        groups = {part: tuple(g for g in gs if not names.identify("speaker", g)) for part, gs in split.groups.items()}
        new = Split(
            name=split.name,
            group_by=split.group_by,
            parts=parts,
            groups=groups,
            notes=tuple(note for note in split.notes if not names.occur(note)),
            within=split.within,
            version=split.version,
        )
        count += sum(len(split.parts[part]) - len(ids) for part, ids in parts.items())
        made[stage] = new.stored()
        if new.hash != split.hash:
            hashes[split.hash] = new.hash
    if made == stored:
        return None
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n", count, hashes
