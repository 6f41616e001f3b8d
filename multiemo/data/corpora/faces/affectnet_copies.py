"""Redistributed copies of AffectNet: class folders, a ``labels.csv``, or detector boxes in YOLO format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from multiemo.data.corpora.source import Skip, part_folders, part_of, read_table, read_text, relative, walk
from multiemo.labels import LABEL_SETS, find_label

_LABELS = LABEL_SETS["affectnet8"]
_PICTURES = (".jpg", ".jpeg", ".png")
#: Class names of the YOLO copy, by number, if its ``data.yaml`` is missing: in alphabetical order.
_ALPHABETICAL = ("Anger", "Contempt", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")


@dataclass(frozen=True, slots=True)
class Copied:
    """A picture of a copy.

    Args:
        picture: path of the picture.
        label: label of ``affectnet8``.
        part: ``train``, ``val``, ``test``, or ``None`` if the copy has no parts.
    """

    picture: Path
    label: str
    part: str | None


def copied(root: Path, skip: Skip) -> Iterator[Copied]:
    """Yield the labelled pictures of a redistributed copy.

    - ``YOLO_format/train/images/a.png`` with ``train/labels/a.txt`` (class, box), or ``images/train/a.png`` with
      ``labels/train/a.txt``, and ``data.yaml``, which names the classes;
    - ``labels.csv`` with the columns pth (relative to its folder or that of a part) and label, which takes priority
      over the folders of the pictures;
    - ``train/anger/a.jpg`` or ``anger/a.jpg``; folders may be named by the codes 0-7 of the release.
    """
    listing = next((path for path in walk(root, (".csv",)) if path.name.lower() == "labels.csv"), None)
    annotated = [
        (path, annotation) for path in walk(root, _PICTURES) if (annotation := _annotation_file(path, root)) is not None
    ]
    if annotated:
        yield from _boxed(annotated, root, skip)
    elif listing is not None:
        yield from _listed(listing, root, skip)
    else:
        yield from _classes(root, skip)


def _annotation_file(picture: Path, root: Path) -> Path | None:
    """Return the file under ``labels`` with the boxes of a picture under ``images``, or ``None`` for other pictures."""
    inner = picture.relative_to(root).parts
    if "images" not in inner[:-1]:
        return None
    place = max(n for n, name in enumerate(inner[:-1]) if name == "images")
    labels = root.joinpath(*inner[:place], "labels")
    return labels.joinpath(*inner[place + 1 :]).with_suffix(".txt") if labels.is_dir() else None


def _boxed(annotated: list[tuple[Path, Path]], root: Path, skip: Skip) -> Iterator[Copied]:
    """Yield pictures labelled by their boxes; pictures with boxes of several classes are left out."""
    class_names: dict[Path, dict[str, str | None]] = {}
    for picture, annotation in annotated:
        names = class_names.get(annotation.parent) or class_names.setdefault(
            annotation.parent, _names(annotation.parent, root)
        )
        codes = (
            {line.split()[0] for line in read_text(annotation).splitlines() if line.split()}
            if annotation.is_file()
            else set()
        )
        known = {names.get(code) for code in codes}
        label = known.pop() if len(known) == 1 else None
        if label is None:
            found = f"classes {', '.join(sorted(codes))}, not one of the eight" if codes else "no class"
            skip(relative(picture, root), f"labels/{annotation.name} is missing or names {found}")
        else:
            yield Copied(picture, label, _part(picture, root))


def _part(picture: Path, root: Path) -> str | None:
    """Return the part given by the nearest parent folder named after one."""
    above = reversed(picture.relative_to(root).parts[:-1])
    return next((part for folder in above if (part := part_of(folder)) is not None), None)


def _names(folder: Path, root: Path) -> dict[str, str | None]:
    """Return {class number: label} from the nearest ``data.yaml``."""
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
    names = found if isinstance(found, list | dict) and found else list(_ALPHABETICAL)
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
            skip(where, f"the picture {row['pth']!r} does not exist")
        else:
            yield from (Copied(picture, label, _part(picture, root)) for picture in pictures)


def _classes(root: Path, skip: Skip) -> Iterator[Copied]:
    """Yield pictures in class folders; a number as folder name is a code of the release."""
    for picture in walk(root, _PICTURES):
        word = picture.parent.name
        code = int(word) if word.isdecimal() else len(_LABELS)
        label = _LABELS[code] if code < len(_LABELS) else find_label(word, _LABELS)
        if label is None or picture.parent == root:
            skip(relative(picture, root), f"is not in a folder of one of the classes {', '.join(_LABELS)}, or 0-7")
        else:
            yield Copied(picture, label, _part(picture, root))
