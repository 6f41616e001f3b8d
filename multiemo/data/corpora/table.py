"""Any table: a CSV or TSV with a header line, whose columns are named by options."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from multiemo.data.corpora.columns import columns_of
from multiemo.data.corpora.source import Became, Skip, not_the_corpus, read_text
from multiemo.errors import ManifestError
from multiemo.registry import corpora
from multiemo.types import Clip


@corpora.register("table", kind="real", languages=())
def table(
    root: Path,
    skip: Skip,
    became: Became,
    *,
    corpus: str = "table",
    language: str | None = None,
    label_set: str | None = None,
    cropped: bool = False,
    id: str | None = None,
    speaker: str | None = None,
    group: str | None = None,
    text: str | None = None,
    audio: str | None = None,
    video: str | None = None,
    image: str | None = None,
    start: str | None = None,
    end: str | None = None,
    label: str | None = None,
    valence: str | None = None,
    arousal: str | None = None,
    dominance: str | None = None,
    split: str | None = None,
) -> Iterator[Clip]:
    """One clip a row.

    ``corpus``, ``language``, ``label_set`` and ``cropped`` are values; every other option names a column.
    Cells are stripped; an empty cell is an absent value. Labels are brought to the names of
    the label set: as they stand, then whatever their case, then by aliases (``Joy`` -> ``happy``).

    Args:
        root: the table, or a folder with exactly one; media paths in it are relative to its folder.
        skip: told of every row that is left out, and why.
        became: told of every label, and of what it becomes.
        cropped: all pictures are face crops, which are taken whole.
        id: column of ids; without it a clip is called after the table and the row (``clips-000001``).

    Yields:
        Clips in the order of the table.

    Raises:
        ManifestError: no table, an unknown column (the message lists those there are), no column of content named,
            ``label`` without ``label_set``, or ``cropped`` without pictures.
        ConfigError: an unknown label set.
    """
    columns = {
        "id": id, "speaker": speaker, "group": group, "text": text, "audio": audio, "video": video, "image": image,
        "start": start, "end": end, "label": label, "valence": valence, "arousal": arousal, "dominance": dominance,
        "split": split,
    }  # fmt: skip
    mapping = columns_of(
        "table", corpus=corpus, language=language, label_set=label_set, cropped=cropped, columns=columns, became=became
    )
    path = _find(root)
    reader = _reader(path)
    present = [column.strip() for column in next(reader, [])]
    mapping.check(present, path)
    places = {key: present.index(column) for key, column in mapping.named.items()}
    for number, cells in enumerate(reader, start=1):
        if not any(cell.strip() for cell in cells):
            continue
        values = {k: cells[i].strip() for k, i in places.items() if i < len(cells) and cells[i].strip()}
        clip = mapping.clip(values, f"{path.stem}-{number:06d}")
        if isinstance(clip, str):
            skip(f"{path.name} row {number}", clip)
        else:
            yield clip


def _find(root: Path) -> Path:
    if root.is_file():
        return root
    tables = [p for p in sorted(root.glob("*")) if p.suffix.lower() in (".csv", ".tsv")] if root.is_dir() else []
    if len(tables) != 1:
        if tables:
            raise ManifestError(
                f"table: {root} holds {len(tables)} tables; name one: {', '.join(map(str, tables[:5]))}"
            )
        raise not_the_corpus("table", root, "one .csv or .tsv")
    return tables[0]


def _reader(path: Path) -> Iterator[list[str]]:
    """Rows of cells; the separator is the one of tab, semicolon and comma that the header line has most of."""
    text = read_text(path)
    header = text.partition("\n")[0]
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",\t;", key=header.count)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    except csv.Error as error:
        raise ManifestError(f"table: {path} cannot be read as a table: {error}") from None
