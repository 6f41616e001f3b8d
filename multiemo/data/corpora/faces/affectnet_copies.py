"""AffectNet as it is passed on: folders of classes, a ``labels.csv``, or boxes of a detector (YOLO)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from multiemo.data.corpora.source import Skip, part_folders, part_of, read_table, read_text, relative, walk
from multiemo.labels import LABEL_SETS, find_label

_LABELS = LABEL_SETS["affectnet8"]
_PICTURES = (".jpg", ".jpeg", ".png")
#: Class numbers of the YOLO copy where its ``data.yaml`` is not there: by the alphabet.
_ALPHABET = ("Anger", "Contempt", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")


@dataclass(frozen=True, slots=True)
class Copied:
    """A picture of a copy.

    Args:
        picture: where it lies.
        label: of ``affectnet8``.
        part: ``train``, ``val``, ``test``, or ``None`` where the copy has no parts.
    """

    picture: Path
    label: str
    part: str | None


def copied(root: Path, skip: Skip) -> Iterator[Copied]:
    """The pictures of a copy; none where ``root`` holds none.

    - ``YOLO_format/train/images/a.png`` with ``train/labels/a.txt`` (class, box), or ``images/train/a.png`` with
      ``labels/train/a.txt``, and ``data.yaml``, which names the classes;
    - ``labels.csv`` with the columns pth (below its folder, or that of a part) and label, which goes before the folders
      that the pictures lie in;
    - ``train/anger/a.jpg`` or ``anger/a.jpg``; folders may be called by the codes 0-7 of the release.
    """
    listing = next((path for path in walk(root, (".csv",)) if path.name.lower() == "labels.csv"), None)
    boxed = [(path, note) for path in walk(root, _PICTURES) if (note := _note(path, root)) is not None]
    if boxed:
        yield from _boxed(boxed, root, skip)
    elif listing is not None:
        yield from _listed(listing, root, skip)
    else:
        yield from _classes(root, skip)


def _note(picture: Path, root: Path) -> Path | None:
    """Where the boxes of a picture are written: under ``labels`` what it is under ``images``; ``None`` elsewhere."""
    inner = picture.relative_to(root).parts
    if "images" not in inner[:-1]:
        return None
    place = max(n for n, name in enumerate(inner[:-1]) if name == "images")
    labels = root.joinpath(*inner[:place], "labels")
    return labels.joinpath(*inner[place + 1 :]).with_suffix(".txt") if labels.is_dir() else None


def _boxed(boxed: list[tuple[Path, Path]], root: Path, skip: Skip) -> Iterator[Copied]:
    """Pictures and their boxes; a picture whose boxes are of several classes is left out."""
    named: dict[Path, dict[str, str | None]] = {}
    for picture, note in boxed:
        names = named.get(note.parent) or named.setdefault(note.parent, _names(note.parent, root))
        codes = {line.split()[0] for line in read_text(note).splitlines() if line.split()} if note.is_file() else set()
        known = {names.get(code) for code in codes}
        label = known.pop() if len(known) == 1 else None
        if label is None:
            said = f"classes {', '.join(sorted(codes))}, not one of the eight" if codes else "no class"
            skip(relative(picture, root), f"labels/{note.name} is missing or names {said}")
        else:
            yield Copied(picture, label, _part(picture, root))


def _part(picture: Path, root: Path) -> str | None:
    """The part that the nearest folder so called says."""
    above = reversed(picture.relative_to(root).parts[:-1])
    return next((part for folder in above if (part := part_of(folder)) is not None), None)


def _names(folder: Path, root: Path) -> dict[str, str | None]:
    """{number in the notes: label}, from the nearest ``data.yaml``."""
    found: object = None
    for place in (folder, *folder.parents):
        if (place / "data.yaml").is_file():
            try:
                found = yaml.safe_load(read_text(place / "data.yaml")).get("names")
            except (yaml.YAMLError, AttributeError):
                found = None
            break
        if place == root:
            break
    names = found if isinstance(found, list | dict) and found else list(_ALPHABET)
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    return {str(code): find_label(str(name), _LABELS) for code, name in pairs}


def _listed(listing: Path, root: Path, skip: Skip) -> Iterator[Copied]:
    folders = [*dict.fromkeys((listing.parent, root)), *part_folders(listing.parent)]
    for number, row in read_table(listing, columns=("pth", "label"), corpus="affectnet"):
        where = f"{listing.name} row {number}"
        label = find_label(row["label"], _LABELS)
        places = (folder / row["pth"].strip() for folder in folders)
        pictures = [place for place in places if place.is_file()]
        if label is None:
            skip(where, f"label {row['label']!r} is not one of {', '.join(_LABELS)}")
        elif not pictures:
            skip(where, f"the picture {row['pth']!r} is not there")
        else:
            yield from (Copied(picture, label, _part(picture, root)) for picture in pictures)


def _classes(root: Path, skip: Skip) -> Iterator[Copied]:
    """Pictures in folders of classes; a folder's number is the code of the release."""
    for picture in walk(root, _PICTURES):
        word = picture.parent.name
        code = int(word) if word.isdecimal() else len(_LABELS)
        label = _LABELS[code] if code < len(_LABELS) else find_label(word, _LABELS)
        if label is None or picture.parent == root:
            skip(relative(picture, root), f"is not in a folder of one of the classes {', '.join(_LABELS)}, or 0-7")
        else:
            yield Copied(picture, label, _part(picture, root))
