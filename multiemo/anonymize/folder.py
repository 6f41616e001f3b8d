"""The folder that protected files are written to, and how an interrupted run goes on in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from multiemo.anonymize.records import AnonymizedFile
from multiemo.anonymize.settings import Settings
from multiemo.errors import ConfigError, MediaError
from multiemo.files import append_line, parse_json, unwritable, write_atomically

#: The report, the mark of a folder that is not finished, and the files that are finished in it.
REPORT, UNFINISHED, FINISHED_FILES = "anonymized.json", "unfinished.json", "finished.jsonl"
RESERVED = (REPORT, UNFINISHED, FINISHED_FILES)


class OutputFolder:
    """A new folder, or the folder of an interrupted run with the same input and settings.

    Args:
        path: the folder.
        settings: how everything is protected.
        sources: {name of a file in the folder: its original}.

    Attributes:
        finished: {name in the folder: entry} of the files that an interrupted run has finished.

    Raises:
        ConfigError: the folder holds something else.
        MediaError: it cannot be written.
    """

    def __init__(self, path: Path, settings: Settings, sources: Mapping[str, Path]) -> None:
        self.path = path
        self.finished: dict[str, AnonymizedFile] = {}
        state = json.dumps({"settings": asdict(settings), "input": _digest(sources)}, indent=2) + "\n"
        mark = path / UNFINISHED
        if mark.is_file():
            if mark.read_text("utf-8") != state:
                raise ConfigError(
                    f"--out: {path} is the unfinished folder of other files or settings; repeat that command, delete "
                    "the folder, or name another"
                )
            self._read_finished()
        elif path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ConfigError(f"--out: {path} already exists; name a new folder")
        else:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise MediaError(unwritable(path, error)) from None
            write_atomically(mark, state, error=MediaError)

    def add(self, entry: AnonymizedFile) -> None:
        """Record that a file is finished."""
        self.finished[entry.out] = entry
        append_line(self.path / FINISHED_FILES, json.dumps(entry, ensure_ascii=False), error=MediaError)

    def finish(self, report: str) -> None:
        """Write the report, and mark the folder as finished."""
        write_atomically(self.path / REPORT, report, error=MediaError)
        for name in (FINISHED_FILES, UNFINISHED):
            (self.path / name).unlink(missing_ok=True)

    def _read_finished(self) -> None:
        log = self.path / FINISHED_FILES
        if not log.is_file():
            return
        for line in log.read_text("utf-8").splitlines():
            try:
                entry = AnonymizedFile.from_json(parse_json(line))
            except ValueError:
                continue  # cut off
            if (self.path / entry.out).is_file():
                self.finished[entry.out] = entry


def _digest(sources: Mapping[str, Path]) -> str:
    """A hash of the names, sizes and times of the originals."""
    made = hashlib.blake2b(digest_size=16)
    for name, source in sources.items():
        found = source.stat()
        made.update(
            f"{name}\0{source.absolute()}\0{found.st_size}\0{found.st_mtime_ns}\n".encode("utf-8", "surrogateescape")
        )
    return made.hexdigest()
