"""FER2013: 48x48 grey faces from the web, seven emotions (Goodfellow et al. 2013, arXiv:1307.0414)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from multiemo.data.corpora.source import Skip, not_the_corpus, read_table, relative, walk
from multiemo.errors import ManifestError
from multiemo.labels import LABEL_SETS, canonical
from multiemo.registry import corpora
from multiemo.types import Clip

_LABELS = LABEL_SETS["fer7"]
_CODES = {str(code): label for code, label in enumerate(_LABELS)}
_SIDE = 48
_FOLDERS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
#: The original, and the two of the competition's page.
_TABLES = ("fer2013.csv", "icml_face_data.csv", "train.csv")
_USAGES = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}


@corpora.register("fer2013", kind="real", languages=())
def fer2013(root: Path, skip: Skip, made: Callable[[], Path]) -> Iterator[Clip]:
    """One clip a picture, from class folders (``train/angry/*.png``) or a published CSV of pixels.

    The published parts are kept: in folders train, val (or validation) and test; in ``fer2013.csv`` and
    ``icml_face_data.csv`` Training, PublicTest (val) and PrivateTest (test); ``train.csv`` holds Training alone. There
    are no speakers.

    Args:
        root: the corpus folder, or the CSV itself.
        skip: told of every picture or row that is left out.
        made: the folder into which the pictures of the CSV are written, as PNG.

    Yields:
        Clips whose id is the picture's path without its suffix, label set ``fer7``.

    Raises:
        ManifestError: neither the folders nor the CSV are there.
    """
    parts = [root / name for name in _FOLDERS if (root / name).is_dir()]
    table = root if root.is_file() else next((root / n for n in _TABLES if (root / n).is_file()), None)
    if parts:
        for part in parts:
            yield from _folder(part, root, skip)
    elif table is not None:
        yield from _pixels(table, skip, made())
    else:
        raise not_the_corpus("fer2013", root, "train/ and test/ with one folder a class, or fer2013.csv")


def _folder(part: Path, root: Path, skip: Skip) -> Iterator[Clip]:
    for path in walk(part, (".png", ".jpg", ".jpeg")):
        name = relative(path, root)
        label = canonical(path.parent.name)
        if path.parent.parent != part or label not in _LABELS:
            skip(name, f"is not in a folder of one of the classes {', '.join(_LABELS)}")
            continue
        yield _clip(name.rsplit(".", 1)[0], name, label, _FOLDERS[part.name])


def _pixels(table: Path, skip: Skip, folder: Path) -> Iterator[Clip]:
    """Write every row of the CSV as a picture. Rows: emotion 0-6, 2304 grey values, the part's name if it has one."""
    import cv2  # only this layout writes pictures

    alone = table.name == "train.csv"
    columns = ("emotion", "pixels") if alone else ("emotion", "pixels", "Usage")
    for number, row in read_table(table, columns=columns, corpus="fer2013"):
        where = f"{table.name} row {number}"
        try:
            face = np.array(row["pixels"].split(), dtype=np.int64)
            label = _CODES[row["emotion"].strip()]
        except (ValueError, KeyError):
            skip(where, f"holds something that is not a number, or emotion {row['emotion']!r} outside 0-6")
            continue
        part = "train" if alone else _USAGES.get(row["Usage"].strip())
        if face.size != _SIDE * _SIDE or face.min() < 0 or face.max() > 255 or part is None:
            skip(where, f"is not {_SIDE}x{_SIDE} grey values of one of {', '.join(_USAGES)}")
            continue
        name = f"{part}/{label}/{number:05d}"
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(path), face.astype(np.uint8).reshape(_SIDE, _SIDE)):
            raise ManifestError(f"fer2013: {path} cannot be written; check the folder's space and permissions")
        yield _clip(name, str(path), label, part)


def _clip(name: str, image: str, label: str, part: str) -> Clip:
    return Clip(id=name, corpus="fer2013", image=image, cropped=True, label_set="fer7", label=label, split=part)
