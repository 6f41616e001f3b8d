"""AffectNet: faces from the web, eight expressions, valence and arousal.

Mollahosseini et al. 2019, IEEE Transactions on Affective Computing 10(1), arXiv:1708.03985.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from multiemo.data.corpora.faces.affectnet_copies import copied
from multiemo.data.corpora.source import Skip, folders_below, not_the_corpus, read_text, relative, walk
from multiemo.errors import ManifestError
from multiemo.labels import LABEL_SETS
from multiemo.registry import corpora
from multiemo.types import Clip

_LABELS = LABEL_SETS["affectnet8"]
#: Codes that are not one of the eight expressions.
_OTHER_CODES: dict[float, str] = {8: "none of the expressions", 9: "uncertain", 10: "no face"}
_FOLDERS = {"train_set": "train", "val_set": "val", "test_set": "test"}
_TABLES = {"training.csv": "train", "validation.csv": "val", "automatically_annotated.csv": "train"}
#: The published columns; some copies of ``validation.csv`` have no header.
_HEADER = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks", "expression",
    "valence", "arousal",
)  # fmt: skip


@corpora.register("affectnet")
def affectnet(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip per picture, from the folders of cropped faces or the lists of the full release.

    - ``train_set/images/0.jpg`` with ``train_set/annotations/0_exp.npy``, ``0_val.npy``, ``0_aro.npy`` (and
      ``val_set/``);
    - ``training.csv`` and ``validation.csv`` (and ``automatically_annotated.csv``) with the pictures in a folder
      ``*_Images`` or beside the lists;
    - redistributed copies: class folders, ``labels.csv``, or the YOLO format
      (:mod:`multiemo.data.corpora.faces.affectnet_copies`).

    The test set was never published. The validation set is ``val``; ``val_as_test: true`` tests on it, as is common.
    There are no speakers.

    Folder:
        ``train_set/images/`` and ``annotations/*.npy``, or ``training.csv``, ``validation.csv`` and the pictures;
        valence, arousal. Redistributed copies: ``labels.csv`` (pth, label), class folders (names or codes 0-7) with or
        without parts, or ``YOLO_format/train/images/`` and ``labels/`` with ``data.yaml``

    Labels:
        ``affectnet8``

    Split:
        train, val (the test set was never published; some copies have one of their own); no speakers

    Args:
        root: the corpus folder; its parts are found at any depth.
        skip: called for every picture that is left out, and with the number of pictures of none of the eight classes.

    Yields:
        Clips with id ``train/0`` (for a copy, the path of the picture), label set ``affectnet8``, and valence and
        arousal if annotated.

    Raises:
        ManifestError: there are neither the folders nor the lists.
    """
    below = list(folders_below(root))
    parts = [path for name in _FOLDERS for path in below if path.name == name and (path / "annotations").is_dir()]
    tables = [path for path in walk(root, (".csv",)) if path.name.lower() in _TABLES]
    if not parts and not tables:
        yield from _copies(root, skip)
        return
    for part in parts:
        yield from _folder(part, root, skip)
    if not parts:
        for table in tables:
            yield from _listed(table, root, skip)


def _copies(root: Path, skip: Skip) -> Iterator[Clip]:
    """Yield the pictures of a redistributed copy.

    Raises:
        NotTheCorpus: there are pictures of fewer than two classes.
    """
    skipped: list[tuple[str, str]] = []
    found = list(copied(root, lambda what, reason: skipped.append((what, reason))))
    if len({picture.label for picture in found}) < 2:  # many folders contain one named "happy"
        expected = "train_set/images/ and train_set/annotations/, training.csv, class folders or YOLO_format/"
        raise not_the_corpus("affectnet", root, expected)
    for what, reason in skipped:
        skip(what, reason)
    for copy in found:
        name = relative(copy.picture, root)
        yield _clip(name.rsplit(".", 1)[0], name, copy.part, copy.label)


def _folder(part: Path, root: Path, skip: Skip) -> Iterator[Clip]:
    other_codes: Counter[str] = Counter()
    for picture in walk(part / "images", (".jpg", ".jpeg", ".png")):
        name = relative(picture, root)
        notes = {kind: part / "annotations" / f"{picture.stem}_{kind}.npy" for kind in ("exp", "val", "aro")}
        values = {kind: _value(path) for kind, path in notes.items()}
        if values["exp"] is None:
            skip(name, f"{notes['exp'].name} is missing or is not a number")
            continue
        label = _label(values["exp"], other_codes)
        if label is not None:
            split = _FOLDERS[part.name]
            yield _clip(f"{split}/{picture.stem}", name, split, label, values["val"], values["aro"])
    _report_skipped(relative(part, root), other_codes, skip)


def _value(path: Path) -> float | None:
    """Read the number in a ``.npy``, which may be stored as text; return ``None`` if there is none."""
    try:
        return float(np.load(path, allow_pickle=False).item())
    except (OSError, ValueError, EOFError, AttributeError):
        return None


def _listed(table: Path, root: Path, skip: Skip) -> Iterator[Clip]:
    other_codes: Counter[str] = Counter()
    split = _TABLES[table.name.lower()]
    rows = list(csv.reader(io.StringIO(read_text(table), newline="")))
    header = rows.pop(0) if rows and rows[0] and rows[0][0].strip() == _HEADER[0] else list(_HEADER)
    missing = [column for column in ("expression", "valence", "arousal") if column not in header]
    if missing:
        raise ManifestError(f"affectnet: {table} lacks the column {missing[0]!r}; it has: {', '.join(header)}")
    places = [header.index(column) for column in ("expression", "valence", "arousal")]
    folders = [root, table.parent, *(path for path in folders_below(root) if path.name.endswith("_Images"))]
    for number, row in enumerate(rows, start=1):
        where = f"{table.name} row {number}"
        try:
            code, valence, arousal = (float(row[place]) for place in places)
        except (ValueError, IndexError):
            skip(where, "expression, valence or arousal is not a number")
            continue
        label = _label(code, other_codes)
        if label is None:
            continue
        picture = next((folder / row[0] for folder in folders if (folder / row[0]).is_file()), None)
        if picture is None:
            skip(where, f"the picture {row[0]!r} does not exist")
            continue
        name = f"{split}/{row[0].rsplit('.', 1)[0]}"
        yield _clip(name, relative(picture, root), split, label, valence, arousal)
    _report_skipped(table.name, other_codes, skip)


def _label(code: float, other_codes: Counter[str]) -> str | None:
    """Return the expression of a code, or ``None`` for any other code, which is counted."""
    if code in range(len(_LABELS)):
        return _LABELS[int(code)]
    other_codes[_OTHER_CODES.get(code, f"code {code:g}")] += 1
    return None


def _clip(
    name: str, image: str, split: str | None, label: str, valence: float | None = None, arousal: float | None = None
) -> Clip:
    """Make a clip; valence and arousal are -2 if not annotated."""
    valence, arousal = (None if value is None or not -1 <= value <= 1 else value for value in (valence, arousal))
    return Clip(
        id=name,
        corpus="affectnet",
        image=image,
        label_set="affectnet8",
        label=label,
        valence=valence,
        arousal=arousal,
        split=split,
    )


def _report_skipped(where: str, other_codes: Counter[str], skip: Skip) -> None:
    for what, count in other_codes.items():
        skip(where, f"{count} pictures are labelled {what}")
