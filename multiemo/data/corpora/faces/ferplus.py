"""FER+: ten people's votes on each picture of FER2013, eight emotions (Barsoum et al. 2016, arXiv:1608.01041).

``fer2013new.csv`` (github.com/microsoft/FERPlus) has the columns Usage, Image name, neutral, happiness, surprise,
sadness, anger, disgust, fear, contempt, unknown, NF, and as many rows, in the same order, as ``fer2013.csv``; where
that was turned into pictures they are called ``FER2013Train/fer0000000.png``, and ``FER2013Train/label.csv`` has the
same votes without a header: name, box, ten numbers.
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
#: Votes for no emotion: not to be told, and no face.
_NONE = ("unknown", "nf")
_FOLDERS = {"FER2013Train": "Training", "FER2013Valid": "PublicTest", "FER2013Test": "PrivateTest"}


@corpora.register("ferplus")
def ferplus(root: Path, skip: Skip, made: Callable[[], Path], *, undecided: bool = False) -> Iterator[Clip]:
    """One clip a picture, with its votes; the label is their majority, by the rule of the authors' own reader.

    Single votes do not count towards it, and it is more than half of those that do, "unknown" and "no face" among
    them (github.com/microsoft/FERPlus, ``src/ferplus.py``, mode ``majority``). There are no speakers.

    Folder:
        ``fer2013new.csv`` beside ``fer2013.csv``, or with its pictures (``fer0000000.png``); or
        ``FER2013Train/label.csv`` and so on; ``votes``; the label is their majority by the authors' rule
        (``undecided=true``: also without one)

    Labels:
        ``ferplus8``

    Split:
        official; no speakers

    Args:
        root: the folder with ``fer2013new.csv`` (or ``FER2013Train/label.csv`` and so on) and, at any depth, the
            pictures (``fer0000000.png``), or ``fer2013.csv`` (``icml_face_data.csv``) with their pixels.
        skip: told of every row that is left out, and of how many have no majority.
        made: the folder into which the pictures of the CSV are written, as PNG.
        undecided: take pictures without a majority too, with their votes and no label.

    Yields:
        Clips with id ``fer0000000``, the official part, label set ``ferplus8``, ``votes`` for its labels.

    Raises:
        NotTheCorpus: ``fer2013new.csv``, or pictures for it, are not there.
        ManifestError: the two tables do not belong together.
    """
    listing = nearest(root, "fer2013new.csv") if root.is_dir() else None
    beside = [] if listing else [path for path in walk(root, (".csv",)) if path.parent.name in _FOLDERS]
    pictures = {path.stem: relative(path, root) for path in walk(root, (".png", ".jpg")) if path.stem.startswith("fer")}
    pixels = None if pictures or listing is None else nearest(root, *TABLES[:2])
    if not (listing or beside) or not (pictures or pixels):
        raise not_the_corpus(
            "ferplus", root, "fer2013new.csv beside fer2013.csv, or beside pictures like fer0000000.png"
        )
    none: Counter[str] = Counter()
    for where, votes, pixel_row in _pairs(listing, pixels) if listing else _beside(beside):
        name = votes["image name"].strip().rsplit(".", 1)[0]
        part = USAGES.get(votes["usage"].strip().lower())
        counts = _counts(votes)
        if not name:
            none["show no face, and have no name"] += 1
        elif part is None or counts is None:
            skip(where, f"Usage {votes['usage']!r} is no part, or a vote is not a number")
        else:
            winner = majority(counts)
            given = {label: counts[column] for column, label in _LABELS.items() if counts[column]}
            label = _LABELS.get(winner or "")
            if label is None and (winner is not None or not undecided or not given):
                none["have no majority" if winner is None else f"are taken for {winner!r} by most"] += 1
                continue
            face = face_of(pixel_row["pixels"]) if pixel_row else None
            image = pictures.get(name) if face is None else write_face(face, made() / str(part) / f"{name}.png")
            if image is None:
                skip(where, f"the picture {name!r} is not there, or is not 48x48 grey values")
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
    for reason, count in none.most_common():
        skip(listing.name if listing else "label.csv", f"{count} pictures {reason}")


def majority(counts: dict[str, float]) -> str | None:
    """What more than half of the votes are for, those that stand alone left out; ``None`` where nothing is.

    Example:
        >>> majority({"neutral": 6, "sadness": 3, "fear": 1}), majority({"neutral": 5, "sadness": 5})
        ('neutral', None)
    """
    counted = {column: votes for column, votes in counts.items() if votes > 1}
    best = max(counted, key=lambda column: counted[column], default=None)
    return best if best is not None and counted[best] > sum(counted.values()) / 2 else None


def _beside(tables: list[Path]) -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    """The rows of ``label.csv`` files as those of ``fer2013new.csv``, without pixels."""
    for table in tables:
        for number, cells in enumerate(csv.reader(io.StringIO(read_text(table), newline="")), start=1):
            name, votes = cells[0] if cells else "", cells[-len((*_COLUMNS, *_NONE)) :]
            row = dict(zip((*_COLUMNS, *_NONE), votes, strict=False))
            row |= {"image name": name, "usage": _FOLDERS[table.parent.name]}
            yield f"{table.parent.name}/{table.name} row {number}", row, {}


def _pairs(listing: Path, pixels: Path | None) -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    """(where, row of votes, row of pixels), which lie in the same order."""
    faces = table_cells(pixels, ("pixels", "usage")) if pixels is not None else iter(())
    votes = table_cells(listing, ("usage", "image name", *_COLUMNS, *_NONE))
    for voted, seen in zip_longest(votes, faces):
        if voted is None or (seen is None and pixels is not None):
            raise ManifestError(f"ferplus: {listing} and {pixels} have another number of rows; fetch both again")
        row = seen[1] if seen is not None else {}
        if row and row["usage"].strip() != voted[1]["usage"].strip():
            raise ManifestError(
                f"ferplus: row {voted[0]} is of {voted[1]['usage']} in {listing} and of {row['usage']} in {pixels}; "
                "they must have the same rows in the same order"
            )
        yield f"{listing.name} row {voted[0]}", voted[1], row


def _counts(row: dict[str, str]) -> dict[str, float] | None:
    try:
        return {column: float(row[column] or 0) for column in (*_COLUMNS, *_NONE)}
    except (ValueError, KeyError):
        return None
