"""Hugging Face ``datasets`` folders, written by ``save_to_disk`` or as Parquet files from the hub.

Formats: https://huggingface.co/docs/datasets/about_arrow (Arrow streams ``data-00000-of-00001.arrow`` beside
``dataset_info.json``, one folder per part below ``dataset_dict.json``) and https://huggingface.co/docs/hub/datasets-structure
(``data/train-00000-of-00001.parquet``, features under the key ``huggingface`` of the file's metadata). No code of a
data set is executed, and nothing is downloaded.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from multiemo.data.corpora.source import Became, Skip, not_the_corpus, part_of, read_text, relative, walk
from multiemo.data.corpora.tables.columns import columns_of
from multiemo.data.manifest.rows import MEDIA_KEYS
from multiemo.errors import ManifestError
from multiemo.files import unwritable
from multiemo.registry import corpora
from multiemo.tables.reading import Row
from multiemo.types import Clip

#: {key of a clip: cell}; a cell is text, or for media a path, bytes, or ``{"bytes", "path"}``.
ClipCells: TypeAlias = dict[str, Any]

#: Files that ``datasets`` leaves beside the data: results of ``map`` and ``filter``, and unfinished ones.
_BY_PRODUCT = re.compile(r"(cache-|tmp).*\.arrow", re.IGNORECASE)
#: First bytes -> suffix, for media stored as bytes without a name.
_MAGIC = {
    b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff\xfb": ".mp3", b"\xff\xf3": ".mp3", b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg", b"RIFF": ".wav", b"\x1a\x45\xdf\xa3": ".mkv", b"BM": ".bmp",
}  # fmt: skip
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{2,5}")


@corpora.register("hfdataset")
def hfdataset(
    root: Path,
    skip: Skip,
    made: Callable[[], Path],
    became: Became,
    *,
    corpus: str = "hfdataset",
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
    """One clip per row.

    ``corpus``, ``language``, ``label_set`` and ``cropped`` are values; every other option names a column. The numbers
    of a ``ClassLabel`` column are replaced by their names, and names are mapped to the label set as in ``table``. Media
    stored as bytes are written to files; paths are relative to ``root``. Without a column of parts, the part of a row
    is taken from the name of its folder or file (train, validation, test).

    Folder:
        a Hugging Face ``datasets`` folder: ``save_to_disk``, or Parquet as on the hub; options name its columns
        (``text=utterance label=emotion label_set=ekman7``); the names of a ClassLabel are used, and media stored as
        bytes are written to files

    Labels:
        any

    Split:
        by file or folder name, or column ``split``

    Args:
        root: the folder, or a single file.
        skip: called for every row that is left out.
        made: returns the folder for media written to files.
        became: called with every label and its mapped label.
        corpus: corpus name of every clip.
        language: language of every clip, such as ``en``.
        label_set: label set to which ``label`` is mapped.
        cropped: whether all pictures are face crops, which are used whole.
        id: column of ids; without it the id is made of part and row (``train-000001``).
        speaker: column of speakers.
        group: column of dialogues or sessions.
        text: column of texts.
        audio, video, image: column of media, as bytes or paths.
        start, end: column of times, in seconds.
        label: column of labels, as text or ``ClassLabel``.
        valence, arousal, dominance: column of values from -1 to 1.
        split: column of parts.

    Yields:
        Clips in the order of the files, sorted by name.

    Raises:
        ManifestError: there are no such files; one cannot be read or lacks a column; labels are numbers without names;
            no column of content is named; files of one part are in several folders; ``label`` is given without
            ``label_set``; or ``cropped`` without pictures.
        ConfigError: the label set is unknown.
    """
    columns = {
        "id": id, "speaker": speaker, "group": group, "text": text, "audio": audio, "video": video, "image": image,
        "start": start, "end": end, "label": label, "valence": valence, "arousal": arousal, "dominance": dominance,
        "split": split,
    }  # fmt: skip
    mapping = columns_of(
        "hfdataset",
        corpus=corpus,
        language=language,
        label_set=label_set,
        cropped=cropped,
        columns=columns,
        became=became,
    )
    home = root.parent if root.is_file() else root
    files = [root] if root.is_file() else _data_files(root, skip)
    if not files:
        raise not_the_corpus("hfdataset", root, "data-00000-of-00001.arrow or data/train-00000-of-00001.parquet")
    counts: Counter[str] = Counter()
    for file in files:
        names = _class_names(file)
        part = _part(file, home)
        for row in _rows(file, mapping.named, mapping.check):
            counts[part or "row"] += 1
            name = f"{part or 'row'}-{counts[part or 'row']:06d}"
            cells = _cells(row, mapping.named, names, file)
            if split is None and part is not None:
                cells["split"] = part
            media = {key: cells.pop(key) for key in MEDIA_KEYS if key in cells}
            clip = _place_part(cells) or mapping.clip({**cells, **dict.fromkeys(media, name)}, name)
            paths = _place_media(media, name, home, made) if isinstance(clip, Clip) else clip
            if isinstance(clip, str) or isinstance(paths, str):
                skip(f"{relative(file, home)} {name}", str(paths))
            else:
                yield replace(clip, **paths)


def _data_files(root: Path, skip: Skip) -> list[Path]:
    """Return the files of the data set in ``root``.

    Raises:
        ManifestError: files of one part are in several folders, as are the configurations of a data set on the hub,
            which may hold the same rows.
    """
    files: list[Path] = []
    for file in walk(root, (".arrow", ".parquet")):
        if _BY_PRODUCT.fullmatch(file.name):
            skip(relative(file, root), "is a cache of the datasets library, not data")
        else:
            files.append(file)
    folders: defaultdict[str | None, set[Path]] = defaultdict(set)
    for file in files:
        folders[_part(file, root)].add(file.parent)
    for part, places in folders.items():
        if len(places) > 1:
            names = ", ".join(sorted(relative(place, root) for place in places))
            raise ManifestError(
                f"hfdataset: {root} has files {f'of the part {part}' if part else 'without a part'} in several folders "
                f"({names}), such as configurations with the same rows; prepare one of them"
            )
    return files


def _class_names(file: Path) -> dict[str, list[str]]:
    """Return {column: names of its numbers} for the ``ClassLabel`` columns, from the file or ``dataset_info.json``."""
    beside = file.parent / "dataset_info.json"
    try:
        if file.suffix.lower() == ".parquet":
            stored = pl.read_parquet_metadata(file).get("huggingface", "{}")
            features = json.loads(stored).get("info", {}).get("features", {})
        else:
            features = json.loads(read_text(beside)).get("features", {}) if beside.is_file() else {}
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _unreadable(file, error) from None
    except (ValueError, AttributeError):
        raise ManifestError(f"hfdataset: the features of {file} are not described in JSON; save it again") from None
    return {
        column: [str(name) for name in kind["names"]]
        for column, kind in (features or {}).items()
        if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and isinstance(kind.get("names"), list)
    }


def _part(file: Path, home: Path) -> str | None:
    """Return the part with which the name of the file or of a parent folder begins; the nearest name decides."""
    for name in reversed(Path(relative(file, home)).parts):
        word = re.match(r"[a-z]+", name.lower())
        if word is not None and (part := part_of(word[0])) is not None:
            return part
    return None


def _rows(file: Path, named: Mapping[str, str], check: Callable[[Sequence[str], object], None]) -> Iterator[Row]:
    """Yield the named columns of every row."""
    try:
        if file.suffix.lower() == ".parquet":
            check(list(pl.read_parquet_schema(file)), file)
            frame = pl.read_parquet(file, columns=list(dict.fromkeys(named.values())))
        else:
            check(pl.read_ipc_stream(file, n_rows=0).columns, file)
            frame = pl.read_ipc_stream(file, columns=list(dict.fromkeys(named.values())))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise _unreadable(file, error) from None
    yield from frame.iter_rows(named=True)


def _unreadable(file: Path, error: Exception) -> ManifestError:
    return ManifestError(f"hfdataset: {file} cannot be read ({str(error).splitlines()[0]}); download or save it again")


def _cells(row: Mapping[str, Any], named: Mapping[str, str], names: Mapping[str, list[str]], file: Path) -> ClipCells:
    """Return {key of a clip: cell} for the cells that are not empty: text, or for media the stored value.

    Raises:
        ManifestError: the label is a number without a name.
    """
    cells: ClipCells = {}
    for key, column in named.items():
        cell = row[column]
        if isinstance(cell, float) and math.isnan(cell):
            cell = None
        if column in names and isinstance(cell, int):
            cell = names[column][cell] if 0 <= cell < len(names[column]) else None
        elif key == "label" and isinstance(cell, int | float):
            raise ManifestError(
                f"hfdataset: label={column}: {file} has numbers such as {cell} without names for them (ClassLabel)"
            )
        if isinstance(cell, dict):
            cell = cell if cell.get("bytes") or cell.get("path") else None
        elif cell is not None and not (key in MEDIA_KEYS and isinstance(cell, bytes)):
            cell = str(cell).strip()
        if cell:
            cells[key] = cell
    return cells


def _place_part(cells: dict[str, Any]) -> str | None:
    """Replace the name of the part by ours; return why that is not possible, or ``None``."""
    if "split" in cells:
        part = part_of(cells["split"])
        if part is None:
            return f"split {cells['split']!r} is not train, validation or test"
        cells["split"] = part
    return None


def _place_media(media: Mapping[str, Any], name: str, home: Path, made: Callable[[], Path]) -> dict[str, Any] | str:
    """Return the path of each medium, writing media stored as bytes to files first.

    Args:
        media: {audio, video or image: a path, bytes, or ``{"bytes", "path"}``}.
        name: id of the clip, used as the stem of written files.
        home: the folder to which stored paths are relative.
        made: returns the folder for written files.

    Returns:
        {key: path}, or the reason why a medium is not available.
    """
    places: dict[str, Any] = {}
    for key, stored in media.items():
        data = stored if isinstance(stored, bytes) else stored.get("bytes") if isinstance(stored, dict) else None
        path = stored if isinstance(stored, str) else stored.get("path") if isinstance(stored, dict) else None
        if data:
            suffix = _suffix(path or "", data)
            if suffix is None:
                return f"{key} has {len(data)} bytes in an unknown format"
            file = made() / key / f"{name}{suffix}"
            try:
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(data)
            except OSError as error:
                raise ManifestError(unwritable(file, error, len(data))) from None
            places[key] = str(file)
        else:
            folder = os.path.normpath(home)
            place = Path(os.path.normpath(home / str(path)))
            if not place.is_relative_to(folder) or not place.is_file():
                return f"{key} {path!r} is not a file below {home}"
            places[key] = place.relative_to(folder).as_posix()
    return places


def _suffix(path: str, data: bytes) -> str | None:
    """Return the suffix for some media: that of the published name, else the one for the first bytes."""
    suffix = Path(path).suffix
    if _SUFFIX.fullmatch(suffix):
        return suffix.lower()
    if data[4:8] == b"ftyp":
        return ".mp4"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for magic, suffix in _MAGIC.items() if data.startswith(magic)), None)
