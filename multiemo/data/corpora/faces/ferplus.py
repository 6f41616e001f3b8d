"""FER+: ten people's votes on each picture of FER2013, eight emotions (Barsoum et al. 2016, arXiv:1608.01041).

``fer2013new.csv`` (github.com/microsoft/FERPlus) has the columns Usage, Image name, neutral, happiness, surprise,
sadness, anger, disgust, fear, contempt, unknown, NF, and the same rows in the same order as ``fer2013.csv``. If that
was converted to pictures, they are named ``FER2013Train/fer0000000.png``, and ``FER2013Train/label.csv`` has the same
votes without a header: name, box, ten numbers.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

from multiemo.data.corpora.faces.fer2013 import TABLES, USAGES, face_of, table_cells, write_face
from multiemo.data.corpora.source import Skip, nearest, not_the_corpus, read_text, relative, walk
from multiemo.errors import ManifestError
from multiemo.labels import LABEL_SETS
from multiemo.registry import corpora
from multiemo.types import Clip

_COLUMNS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
_LABELS = dict(zip(_COLUMNS, LABEL_SETS["ferplus8"], strict=True))
#: Votes for no emotion: unknown, and no face.
_NO_EMOTION = ("unknown", "nf")
_FOLDERS = {"FER2013Train": "Training", "FER2013Valid": "PublicTest", "FER2013Test": "PrivateTest"}


@corpora.register("ferplus")
def ferplus(root: Path, skip: Skip, made: Callable[[], Path], *, undecided: bool = False) -> Iterator[Clip]:
    """One clip per picture, with its votes; the label is their majority by the rule of the authors' code.

    Labels with a single vote are ignored, and the majority must have more than half of the remaining votes, including
    "unknown" and "no face" (github.com/microsoft/FERPlus, ``src/ferplus.py``, mode ``majority``). There are no
    speakers.

    Folder:
        ``fer2013new.csv`` with ``fer2013.csv`` or with its pictures (``fer0000000.png``); or
        ``FER2013Train/label.csv`` and so on; ``votes``; the label is their majority by the authors' rule
        (``undecided=true`` includes pictures without one)

    Labels:
        ``ferplus8``

    Split:
        official; no speakers

    Args:
        root: the folder with ``fer2013new.csv`` (or ``FER2013Train/label.csv`` and so on) and, at any depth, the
            pictures (``fer0000000.png``), or ``fer2013.csv`` (``icml_face_data.csv``) with their pixels.
        skip: called for every row that is left out, and with the number of pictures without majority.
        made: returns the folder for the pictures of the CSV, written as PNG.
        undecided: whether to include pictures without a majority, with their votes and no label.

    Yields:
        Clips with id ``fer0000000``, the official part, label set ``ferplus8`` and the ``votes`` for its labels.

    Raises:
        NotTheCorpus: ``fer2013new.csv`` or its pictures are missing.
        ManifestError: the two tables do not have the same rows.
    """
    listing = nearest(root, "fer2013new.csv") if root.is_dir() else None
    label_tables = [] if listing else [path for path in walk(root, (".csv",)) if path.parent.name in _FOLDERS]
    pictures = {path.stem: relative(path, root) for path in walk(root, (".png", ".jpg")) if path.stem.startswith("fer")}
    pixels = None if pictures or listing is None else nearest(root, *TABLES[:2])
    if not (listing or label_tables) or not (pictures or pixels):
        raise not_the_corpus(
            "ferplus", root, "fer2013new.csv together with fer2013.csv or with pictures like fer0000000.png"
        )
    left_out: Counter[str] = Counter()
    for where, votes, pixel_row in _pairs(listing, pixels) if listing else _label_rows(label_tables):
        name = votes["image name"].strip().rsplit(".", 1)[0]
        part = USAGES.get(votes["usage"].strip().lower())
        counts = _counts(votes)
        if not name:
            left_out["have no name (no face)"] += 1
        elif part is None or counts is None:
            skip(where, f"Usage {votes['usage']!r} is not a part, or a vote is not a number")
        else:
            winner = majority(counts)
            given = {label: counts[column] for column, label in _LABELS.items() if counts[column]}
            label = _LABELS.get(winner or "")
            if label is None and (winner is not None or not undecided or not given):
                left_out["have no majority" if winner is None else f"have a majority for {winner!r}"] += 1
                continue
            face = face_of(pixel_row["pixels"]) if pixel_row else None
            image = pictures.get(name) if face is None else write_face(face, made() / str(part) / f"{name}.png")
            if image is None:
                skip(where, f"the picture {name!r} does not exist, or is not 48x48 grey values")
                continue
            yield Clip(
                id=name,
                corpus="ferplus",
                image=image,
                cropped=True,
                label_set="ferplus8",
                label=label,
                votes=given,
                split=part,
            )
    for reason, count in left_out.most_common():
        skip(listing.name if listing else "label.csv", f"{count} pictures {reason}")


def majority(counts: dict[str, float]) -> str | None:
    """Return the column with more than half of the votes, ignoring single votes, or ``None`` if there is none.

    Example:
        >>> majority({"neutral": 6, "sadness": 3, "fear": 1}), majority({"neutral": 5, "sadness": 5})
        ('neutral', None)
    """
    counted = {column: votes for column, votes in counts.items() if votes > 1}
    best = max(counted, key=lambda column: counted[column], default=None)
    return best if best is not None and counted[best] > sum(counted.values()) / 2 else None


def _label_rows(tables: list[Path]) -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    """Yield the rows of ``label.csv`` files in the form of :func:`_pairs`, without pixels."""
    for table in tables:
        for number, cells in enumerate(csv.reader(io.StringIO(read_text(table), newline="")), start=1):
            name, votes = cells[0] if cells else "", cells[-len((*_COLUMNS, *_NO_EMOTION)) :]
            row = dict(zip((*_COLUMNS, *_NO_EMOTION), votes, strict=False))
            row |= {"image name": name, "usage": _FOLDERS[table.parent.name]}
            yield f"{table.parent.name}/{table.name} row {number}", row, {}


def _pairs(listing: Path, pixels: Path | None) -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    """Yield (location, row of votes, row of pixels) from two tables with the same order."""
    faces = table_cells(pixels, ("pixels", "usage")) if pixels is not None else iter(())
    votes = table_cells(listing, ("usage", "image name", *_COLUMNS, *_NO_EMOTION))
    for voted, seen in zip_longest(votes, faces):
        if voted is None or (seen is None and pixels is not None):
            raise ManifestError(f"ferplus: {listing} and {pixels} have different numbers of rows; download both again")
        row = seen[1] if seen is not None else {}
        if row and row["usage"].strip() != voted[1]["usage"].strip():
            raise ManifestError(
                f"ferplus: row {voted[0]} is of {voted[1]['usage']} in {listing} and of {row['usage']} in {pixels}; "
                "they must have the same rows in the same order"
            )
        yield f"{listing.name} row {voted[0]}", voted[1], row


def _counts(row: dict[str, str]) -> dict[str, float] | None:
    try:
        return {column: float(row[column] or 0) for column in (*_COLUMNS, *_NO_EMOTION)}
    except (ValueError, KeyError):
        return None
