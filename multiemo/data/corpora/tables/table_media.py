"""Find the media of the rows of a table, and check that the times of the rows lie within them."""

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


class CellPattern:
    """A column, or a pattern of columns such as ``clips/dia{Dialogue_ID}_utt{Utterance_ID}.mp4``.

    Args:
        option: the column or pattern, as given by the user.
        present: the columns of the table.
        name: name of the option.
        where: the table, for messages.

    Raises:
        ManifestError: a column does not exist.
    """

    def __init__(self, option: str, present: Collection[str], name: str, where: object) -> None:
        self.option, self.name = option, name
        self._columns = [option] if option in present else _FIELD.findall(option)
        for column in self._columns or [option]:
            if column not in present:
                raise unknown_column(column, present, f"{name}={option}", where)

    def of(self, row: Mapping[str, Any]) -> str:
        """Return the cell, or the pattern filled with the cells of a row; empty if a cell is empty."""
        cells = {column: cell_text(row.get(column)) for column in self._columns}
        if not all(cells.values()):
            return ""
        if self._columns == [self.option]:
            return cells[self.option]
        return _FIELD.sub(lambda field: cells[field[1]], self.option)


class MediaColumns:
    """Finds the media of rows.

    Args:
        home: folder of the table; paths inside it are returned relative to it, others absolute.
        media: another folder to which paths may be relative, besides that of the table.
        time: unit of the times, for a hint in messages.

    Raises:
        ManifestError: the folder does not exist.
    """

    def __init__(self, home: Path, media: str | None, *, time: str) -> None:
        folders = [home]
        self._home = Path(os.path.abspath(home))
        if media is not None:
            folders = [_folder(media, home), home]
        self._files = FileFinder(folders)
        self._advice = "; if the times are in milliseconds, set time=ms" if time == "s" else ""
        self._infos: dict[str, Info | str] = {}
        self._found: dict[str, int] = {}
        self._missing: dict[str, list[str]] = {}
        self._overlong: list[str] = []

    def find(self, filled: CellPattern, name: str, row: str) -> str | None:
        """Return the path of a file for a clip, or ``None`` if it does not exist.

        Args:
            filled: the option that names the file.
            name: path as written in the table.
            row: the row, for messages.
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
        """Return ``audio``, ``video`` or ``image`` according to the content of a file.

        Raises:
            RowTroubleError: the file cannot be read.
        """
        info = self._info(path)
        if isinstance(info, str):
            raise RowTroubleError(info)
        return "image" if info.is_image else "video" if info.has_video else "audio"

    def last_missing(self, key: str) -> str:
        """Return the message for the last file of an option that was not found."""
        return self._missing[key][-1].partition(": ")[2]

    def within(self, paths: Mapping[str, str], start: float | None, end: float | None, row: str) -> float | None:
        """Return the end of a span within the media: ``end``, or the end of the media if that is a little earlier.

        Args:
            paths: {audio or video: path} of a clip.
            start, end: the span, in seconds.
            row: the row, for messages.

        Raises:
            RowTroubleError: most of the span is after the end of the media.
        """
        for key, path in paths.items() if (start, end) != (None, None) else ():
            info = self._info(path)
            length = (
                None if isinstance(info, str) else info.duration
            )  # unreadable files are reported by `validate --media`
            problem = span_trouble(length, start, end)
            if problem is None or length is None:
                continue
            message = f"{key} {path!r}: {problem}{self._advice}"
            begin = start or 0.0
            if end is None or length - begin < 0.5 * (end - begin):
                raise RowTroubleError(message)
            end = length
            self._overlong.append(f"{row}: {message}")
        return end

    def finish(self) -> None:
        """Add the notes about missing files and corrected times.

        Raises:
            ManifestError: none of the files of a column was found.
        """
        for key, missing in self._missing.items():
            if key not in self._found:
                raise ManifestError(f"table: none of the {len(missing)} files of {key} was found; {missing[0]}")
            note(f"{len(missing)} file(s) of {key} were not found, the first in {missing[0]}")
        for message in self._files.notes():
            note(message)
        if self._overlong:
            note(
                f"{len(self._overlong)} row(s) ended after their media and were shortened to them; the first in "
                f"{self._overlong[0]}"
            )

    def _hint(self, filled: CellPattern, name: str) -> str:
        """Return a hint on how to find a file that was not found."""
        suggestion = self._files.suggest(name)
        if suggestion is None:
            return "; name the folder of the files, like media=/data/clips"
        last = name.replace("\\", "/").rpartition("/")[2]
        if suggestion.name == last:
            return f"; {suggestion} exists: set media={suggestion.parent}"
        suffix = suggestion.name[len(suggestion.stem) :]
        column = filled.option if _FIELD.search(filled.option) else "{" + filled.option + "}"
        return f"; {suggestion} exists: add the suffix, like {filled.name}={column}{suffix}"

    def _info(self, path: str) -> Info | str:
        """Return the properties of a file, or why it cannot be read."""
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
    raise ManifestError(f"table: media={media}: this folder exists neither here nor in {home}")
