"""Writes the timelines of many inputs into one folder."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from multiemo.errors import ConfigError, MultiemoError
from multiemo.files import append_line
from multiemo.predict.answers import Answer, as_multiemo_error
from multiemo.predict.formats import FORMATS, write_timeline
from multiemo.predict.prediction import InputFailure
from multiemo.predict.sources import Item
from multiemo.runs.folder.required_files import file_digest

#: File in the folder that lists the timelines written there, as ``sha256sum`` does: digest and name.
RECORD = ".multiemo-timelines"

#: Suffixes that are not written in lower case.
_SPELLED = {".textgrid": ".TextGrid"}
#: Characters that a file name cannot contain: control characters, slashes, and surrogates that stand for no byte.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f/\ud800-\udc7f\udd00-\udfff]")
#: Longest file name in bytes, if the system does not state it; and the bytes of the longest suffix.
_MAX_NAME_BYTES, _SUFFIX_BYTES = 255, len(".TextGrid")


class TimelineWriter:
    """Writes the timelines of inputs as files named after them.

    A file that exists is replaced only if a writer wrote it and nobody has changed it since, which the file ``RECORD``
    in the folder tells.

    Args:
        folder: created if it does not exist.
        formats: names of formats, such as ``srt``; all by default.

    Raises:
        ConfigError: there is no such format, or the folder is not writable.
    """

    def __init__(self, folder: Path, formats: Sequence[str] | None = None) -> None:
        wanted = ["." + name.lower().lstrip(".") for name in formats or ()] or list(FORMATS)
        for suffix in wanted:
            if suffix not in FORMATS:
                known = ", ".join(name[1:] for name in FORMATS)
                raise ConfigError(f"--format: there is no timeline format {suffix[1:]!r}; choices: {known}")
        self.folder, self._suffixes = folder, list(dict.fromkeys(wanted))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._max_bytes = os.pathconf(folder, "PC_NAME_MAX") if hasattr(os, "pathconf") else _MAX_NAME_BYTES
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"--timeline: {str(folder)!r} cannot be created: {reason}; choose another place"
            ) from None
        if not os.access(folder, os.W_OK):
            raise ConfigError(f"--timeline: you have no permission to write to {str(folder)!r}; choose another place")
        self._record = folder / RECORD
        try:
            self._written = set(self._record.read_text("utf-8", "replace").split("\n"))
        except OSError:
            self._written = set()
        self._inputs: set[str] = set()

    def reserve(self, items: Sequence[Item], others: Iterable[str | Path] = ()) -> list[str]:
        """Name the files of each item, and check that none of them replaces a file that is not the writer's own.

        Items of the same name are numbered. A name that is too long for the file system is cut and ends in a digest.

        Args:
            items: all items to predict.
            others: manifests and transcripts that are read too.

        Returns:
            The name of the files of each item, without suffix; empty for an item that is refused.

        Raises:
            ConfigError: a file would be replaced.
        """
        self._inputs = {_real(path) for path in others} | {_real(path) for item in items for path in _files_of(item)}
        taken: set[str] = set()
        names = []
        for item in items:
            if item.refused is not None:
                names.append("")
                continue
            stem = name = self._file_stem(item.name)
            number = 1
            while name.lower() in taken:
                number += 1
                name = f"{stem}-{number}"
            taken.add(name.lower())
            names.append(name)
            for suffix in self._suffixes:
                self._check_replaceable(self._target(name, suffix))
        return names

    def write(self, answer: Answer, name: str) -> tuple[list[Path], list[InputFailure]]:
        """Write the files of one answer.

        Args:
            answer: the answer.
            name: from :meth:`reserve`.

        Returns:
            The files that were written, and a failure for each file that could not be written.
        """
        written: list[Path] = []
        failures: list[InputFailure] = []
        for suffix in self._suffixes:
            target = self._target(name, suffix)
            try:
                self._check_replaceable(target)
                written.append(write_timeline(answer.entry, target, answer.traces))
                if (line := _record_line(target)) not in self._written:
                    append_line(self._record, line, error=ConfigError)
            except Exception as error:  # the other files are still written
                reason = str(as_multiemo_error(error, str(target)))
                failures.append(InputFailure(input=answer.entry.input, output=str(target), error=reason))
        return written, failures

    def _target(self, name: str, suffix: str) -> Path:
        return self.folder / f"{name}{_SPELLED.get(suffix, suffix)}"

    def _check_replaceable(self, target: Path) -> None:
        """Check that a file does not exist, or is one that a writer wrote.

        Raises:
            ConfigError: it is another file.
        """
        if not os.path.lexists(target):
            return
        if _real(target) in self._inputs:
            why = "it is read as an input or a transcript"
        elif not self._is_own(target):
            why = "multiemo did not write it, or it was changed since"
        else:
            return
        raise ConfigError(f"--timeline: {str(target)!r} would be replaced, and {why}; choose another folder")

    def _is_own(self, target: Path) -> bool:
        """Whether a writer wrote a file, and it is as it was then."""
        try:
            return target.is_file() and _record_line(target) in self._written
        except MultiemoError:
            return False

    def _file_stem(self, source: str) -> str:
        """The name of the files of an input, without number and suffix."""
        name = _FORBIDDEN.sub("_", Path(source).stem)
        name = "input" if name in ("", ".", "..") else name
        room = self._max_bytes - _SUFFIX_BYTES - len("-9999")
        if len(raw := os.fsencode(name)) <= room:
            return name
        digest = hashlib.sha256(raw).hexdigest()[:8]
        return raw[: room - len(digest) - 1].decode("utf-8", "ignore") + "-" + digest


def _files_of(item: Item) -> list[Path]:
    """The media files of an item."""
    if item.clip is None or item.folder is None:
        return [] if item.path is None else [item.path]
    return [item.folder / name for name in (item.clip.audio, item.clip.video, item.clip.image) if name is not None]


def _real(path: str | Path) -> str:
    """The path without links; a name that no file can have is returned as it is."""
    try:
        return os.path.realpath(path)
    except ValueError:
        return str(path)


def _record_line(path: Path) -> str:
    """The line of a file in the record; bytes of its name that are not UTF-8 are escaped."""
    return f"{file_digest(path)}  {path.name.encode('utf-8', 'backslashreplace').decode()}"
