"""The media of a table's rows: where they lie, and whether the rows' times lie within them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multiemo.data.corpora.source import RowTroubleError, note
from multiemo.data.corpora.tables.cells import cell_text, unknown_column
from multiemo.data.manifest.checks import span_trouble
from multiemo.data.media_paths import FileFinder
from multiemo.errors import ManifestError, MediaError

if TYPE_CHECKING:
    from multiemo.media.probe import Info

_FIELD = re.compile(r"\{([^{}]+)\}")


class Filled:
    """A column, or a pattern of columns such as ``clips/dia{Dialogue_ID}_utt{Utterance_ID}.mp4``.

    Args:
        option: what the user wrote.
        present: the columns that there are.
        name: of the option.
        where: the table, for the message.

    Raises:
        ManifestError: a column is not there.
    """

    def __init__(self, option: str, present: Collection[str], name: str, where: object) -> None:
        self.option, self.name = option, name
        self._columns = [option] if option in present else _FIELD.findall(option)
        for column in self._columns or [option]:
            if column not in present:
                raise unknown_column(column, present, f"{name}={option}", where)

    def of(self, row: Mapping[str, Any]) -> str:
        """The cell, or the pattern with the cells put in; empty where a cell is."""
        cells = {column: cell_text(row.get(column)) for column in self._columns}
        if not all(cells.values()):
            return ""
        if self._columns == [self.option]:
            return cells[self.option]
        return _FIELD.sub(lambda field: cells[field[1]], self.option)


class MediaColumns:
    """Finds the media of rows.

    Args:
        home: the table's folder; paths in it come out relative, others absolute.
        media: a folder that paths are relative to, beside the table's own.
        time: unit of the rows' times, for a hint.

    Raises:
        ManifestError: no such folder.
    """

    def __init__(self, home: Path, media: str | None, *, time: str) -> None:
        folders = [home]
        self._home = Path(os.path.abspath(home))
        if media is not None:
            folders = [_folder(media, home), home]
        self._files = FileFinder(folders)
        self._advice = "; if the times are milliseconds, say time=ms" if time == "s" else ""
        self._infos: dict[str, Info | str] = {}
        self._found: dict[str, int] = {}
        self._missing: dict[str, list[str]] = {}
        self._late: list[str] = []

    def find(self, filled: Filled, name: str, row: str) -> str | None:
        """The path of a file as a clip has it, or ``None`` where there is none.

        Args:
            filled: the option that names it.
            name: as the table has it.
            row: for the messages.
        """
        place = self._files.find(name)
        if isinstance(place, Path):
            self._found[filled.name] = self._found.get(filled.name, 0) + 1
            inside = place.is_relative_to(self._home)
            return place.relative_to(self._home).as_posix() if inside else str(place)
        first = filled.name not in self._missing and place.startswith("no such file")
        hint = self._hint(filled, name) if first else ""
        self._missing.setdefault(filled.name, []).append(f"{row}: {filled.name} {name!r} {place}{hint}")
        return None

    def kind_of(self, path: str) -> str:
        """Whether a file is ``audio``, ``video`` or ``image``, by what is in it.

        Raises:
            RowTroubleError: it cannot be read.
        """
        info = self._info(path)
        if isinstance(info, str):
            raise RowTroubleError(info)
        return "image" if info.is_image else "video" if info.has_video else "audio"

    def last_missing(self, key: str) -> str:
        """What was said of the file that was not found last."""
        return self._missing[key][-1].partition(": ")[2]

    def within(self, paths: Mapping[str, str], start: float | None, end: float | None, row: str) -> float | None:
        """Where a span ends within the media: at ``end``, or at their end where that comes a little earlier.

        Args:
            paths: {audio or video: path of a clip}.
            start, end: seconds.
            row: for the note.

        Raises:
            RowTroubleError: most of the span is after the end of the media.
        """
        for key, path in paths.items() if (start, end) != (None, None) else ():
            info = self._info(path)
            length = None if isinstance(info, str) else info.duration  # `validate --media` tells what cannot be read
            trouble = span_trouble(length, start, end)
            if trouble is None or length is None:
                continue
            said = f"{key} {path!r}: {trouble}{self._advice}"
            begin = start or 0.0
            if end is None or length - begin < 0.5 * (end - begin):
                raise RowTroubleError(said)
            end = length
            self._late.append(f"{row}: {said}")
        return end

    def finish(self) -> None:
        """Note what was met.

        Raises:
            ManifestError: not one file that a column names was found.
        """
        for key, missing in self._missing.items():
            if key not in self._found:
                raise ManifestError(f"table: none of the {len(missing)} files of {key} was found; {missing[0]}")
            note(f"{len(missing)} file(s) of {key} are not there, the first in {missing[0]}")
        for said in self._files.notes():
            note(said)
        if self._late:
            note(f"{len(self._late)} row(s) end after their media, and now with them; the first in {self._late[0]}")

    def _hint(self, filled: Filled, name: str) -> str:
        """How a file that was not found could be."""
        near = self._files.suggest(name)
        if near is None:
            return "; say in which folder the files lie, like media=/data/clips"
        last = name.replace("\\", "/").rpartition("/")[2]
        if near.name == last:
            return f"; {near} is there: say media={near.parent}"
        ending = near.name[len(near.stem) :]
        column = filled.option if _FIELD.search(filled.option) else "{" + filled.option + "}"
        return f"; {near} is there: give the ending, like {filled.name}={column}{ending}"

    def _info(self, path: str) -> Info | str:
        """What a file is, or why it cannot be read."""
        if path not in self._infos:
            from multiemo.media.reading import probe  # PyAV is needed only here

            try:
                self._infos[path] = probe(self._home / path)
            except MediaError as error:
                self._infos[path] = str(error)
        return self._infos[path]


def _folder(media: str, home: Path) -> Path:
    given = Path(os.path.expanduser(media.replace("\\", "/") if os.sep == "/" and not os.path.isdir(media) else media))
    for folder in (given, home / given):
        if folder.is_dir():
            return folder
    raise ManifestError(f"table: media={media}: there is no such folder, neither here nor in {home}")
