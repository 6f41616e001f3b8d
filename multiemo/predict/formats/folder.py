"""Writes the timelines of many inputs into one folder."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from multiemo.errors import ConfigError
from multiemo.predict.answers import Answer, as_multiemo_error
from multiemo.predict.formats import FORMATS, write_timeline
from multiemo.predict.prediction import InputFailure

#: Suffixes that are not written in lower case.
_SPELLED = {".textgrid": ".TextGrid"}
#: Characters that a file name cannot contain: control characters, slashes, and surrogates that stand for no byte.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f/\ud800-\udc7f\udd00-\udfff]")
#: Longest file name in bytes, if the system does not state it; and the bytes of the longest suffix.
_MAX_NAME_BYTES, _SUFFIX_BYTES = 255, len(".TextGrid")


class TimelineWriter:
    """Writes the timelines of inputs as files named after them.

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
        self._names: set[str] = set()

    def write(self, answer: Answer) -> tuple[list[Path], list[InputFailure]]:
        """Write the files of one answer.

        Inputs of the same name are numbered. A name that is too long for the file system is cut and ends in a digest.

        Returns:
            The files that were written, and a failure for each file that could not be written.
        """
        source = answer.entry.input
        stem = name = self._file_stem(source)
        number = 1
        while name.lower() in self._names:
            number += 1
            name = f"{stem}-{number}"
        self._names.add(name.lower())
        written: list[Path] = []
        failures: list[InputFailure] = []
        for suffix in self._suffixes:
            target = self.folder / f"{name}{_SPELLED.get(suffix, suffix)}"
            try:
                written.append(write_timeline(answer.entry, target, answer.traces))
            except Exception as error:  # the other files are still written
                reason = str(as_multiemo_error(error, str(target)))
                failures.append(InputFailure(input=source, output=str(target), error=reason))
        return written, failures

    def _file_stem(self, source: str) -> str:
        """The name of the files of an input, without number and suffix."""
        name = _FORBIDDEN.sub("_", Path(source).stem)
        name = "input" if name in ("", ".", "..") else name
        room = self._max_bytes - _SUFFIX_BYTES - len("-9999")
        if len(raw := os.fsencode(name)) <= room:
            return name
        digest = hashlib.sha256(raw).hexdigest()[:8]
        return raw[: room - len(digest) - 1].decode("utf-8", "ignore") + "-" + digest
