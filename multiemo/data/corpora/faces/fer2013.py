"""FER2013: 48x48 grey faces from the web, seven emotions (Goodfellow et al. 2013, arXiv:1307.0414)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from multiemo.data.corpora.source import Skip, not_the_corpus, part_folders, read_table, relative, walk
from multiemo.errors import ManifestError
from multiemo.labels import LABEL_SETS, find_label
from multiemo.registry import corpora
from multiemo.types import Clip

_LABELS = LABEL_SETS["fer7"]
_CODES = {str(code): label for code, label in enumerate(_LABELS)}
#: Side of the pictures, in pixels.
SIDE = 48
#: The original CSV, and those of the competition's page; the first that exists is read.
TABLES = ("fer2013.csv", "icml_face_data.csv", "train.csv")
#: Published part of the CSVs -> part.
USAGES = {"training": "train", "publictest": "val", "privatetest": "test"}


@corpora.register("fer2013")
def fer2013(root: Path, skip: Skip, made: Callable[[], Path]) -> Iterator[Clip]:
    """One clip per picture, from class folders (``train/angry/*.png``) or a published CSV of pixels.

    The published parts are kept: the folders train, val (or valid, validation) and test; in ``fer2013.csv`` and
    ``icml_face_data.csv`` Training, PublicTest (val) and PrivateTest (test); ``train.csv`` has only Training. There are
    no speakers.

    Folder:
        class folders, the original ``fer2013.csv``, the competition's ``icml_face_data.csv`` or ``train.csv``, or
        the path of such a CSV

    Labels:
        ``fer7``

    Split:
        official; no speakers

    Args:
        root: the corpus folder, or the CSV itself.
        skip: called for every picture or row that is left out.
        made: returns the folder for the pictures of the CSV, written as PNG.

    Yields:
        Clips whose id is the path of the picture without its suffix, label set ``fer7``.

    Raises:
        NotTheCorpus: there are neither the folders nor the CSV.
        ManifestError: the CSV lacks a column, or a picture cannot be written.
    """
    table = root if root.is_file() else next((root / name for name in TABLES if (root / name).is_file()), None)
    parts = {folder: part for folder, part in part_folders(root).items() if _has_classes(folder)}
    if parts:
        for folder, part in parts.items():
            yield from _folder(folder, part, root, skip)
    elif table is not None:
        yield from _pixels(table, skip, made())
    else:
        raise not_the_corpus("fer2013", root, f"train/ and test/ with one folder per class, or {' or '.join(TABLES)}")


def _has_classes(folder: Path) -> bool:
    return any(find_label(inner.name, _LABELS) is not None for inner in folder.iterdir() if inner.is_dir())


def _folder(folder: Path, part: str, root: Path, skip: Skip) -> Iterator[Clip]:
    for path in walk(folder, (".png", ".jpg", ".jpeg")):
        name = relative(path, root)
        label = find_label(path.parent.name, _LABELS)
        if path.parent.parent != folder or label is None:
            skip(name, f"is not in a folder of one of the classes {', '.join(_LABELS)}")
            continue
        yield _clip(name.rsplit(".", 1)[0], name, label, part)


def _pixels(table: Path, skip: Skip, folder: Path) -> Iterator[Clip]:
    """Write every row of the CSV as a picture. Columns: emotion 0-6, 2304 grey values, and the part if there is one."""
    for number, row in table_cells(table, ("emotion", "pixels")):
        where = f"{table.name} row {number}"
        label = _CODES.get(row["emotion"].strip())
        part = USAGES.get(row["usage"].strip().lower()) if "usage" in row else "train"
        face = face_of(row["pixels"])
        if label is None:
            skip(where, f"emotion {row['emotion']!r} is not a code 0-6")
        elif face is None or part is None:
            skip(where, f"is not {SIDE}x{SIDE} grey values of one of Training, PublicTest, PrivateTest")
        else:
            name = f"{part}/{label}/{number:05d}"
            yield _clip(name, write_face(face, folder / f"{name}.png"), label, part)


def table_cells(table: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (number, row) of a CSV of FER2013 or FER+, with column names in lower case.

    Raises:
        ManifestError: the CSV cannot be read or lacks one of ``columns``.
    """
    for number, row in read_table(table, columns=(), corpus="fer2013"):
        found = {name.lower(): cell for name, cell in row.items() if isinstance(name, str)}
        missing = [column for column in columns if column not in found]
        if missing:
            raise ManifestError(f"fer2013: {table} lacks the column {missing[0]!r}; it has: {', '.join(found)}")
        yield number, found


def face_of(pixels: str) -> np.ndarray | None:
    """Convert grey values given as text to ``[48, 48]`` uint8, or return ``None`` if they are not valid."""
    try:
        face = np.array(pixels.split(), dtype=np.int64)
    except (ValueError, OverflowError):
        return None
    if face.size != SIDE * SIDE or face.min() < 0 or face.max() > 255:
        return None
    return face.astype(np.uint8).reshape(SIDE, SIDE)


def write_face(face: np.ndarray, path: Path) -> str:
    """Write a picture and return its path.

    Raises:
        ManifestError: the picture cannot be written.
    """
    import cv2  # needed only for this layout

    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), face):
        raise ManifestError(f"fer2013: {path} cannot be written; check the folder's space and permissions")
    return str(path)


def _clip(name: str, image: str, label: str, part: str) -> Clip:
    return Clip(id=name, corpus="fer2013", image=image, cropped=True, label_set="fer7", label=label, split=part)
