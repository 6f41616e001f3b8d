"""Timelines of many inputs into one folder."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from multiemo.errors import ConfigError
from multiemo.predict.answers import Answer, foreseen
from multiemo.predict.formats import FORMATS, write_timeline
from multiemo.predict.prediction import InputFailure

#: How a suffix is written where it is not in lower case.
_SPELLED = {".textgrid": ".TextGrid"}
#: What no name of a file can hold: control characters, slashes, and halves of characters that stand for no byte.
_NO_NAME = re.compile("[\x00-\x1f\x7f/\ud800-\udc7f\udd00-\udfff]")
#: Bytes that a name may have where the system does not say it, and those that its longest ending needs.
_LONGEST, _ENDING = 255, len(".TextGrid")


class Writing:
    """Writes each answer as files named after its input.

    Args:
        folder: made if it is not there.
        formats: names of formats, such as ``srt``; all by default.

    Raises:
        ConfigError: a format that does not exist, or a folder that cannot be written to.
    """

    def __init__(self, folder: Path, formats: Sequence[str] | None = None) -> None:
        wanted = ["." + name.lower().lstrip(".") for name in formats or ()] or list(FORMATS)
        for suffix in wanted:
            if suffix not in FORMATS:
                known = ", ".join(name[1:] for name in FORMATS)
                raise ConfigError(f"--format: there is no timeline format {suffix[1:]!r}; choose of {known}")
        self.folder, self._suffixes = folder, list(dict.fromkeys(wanted))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._longest = os.pathconf(folder, "PC_NAME_MAX") if hasattr(os, "pathconf") else _LONGEST
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"--timeline: {str(folder)!r} cannot be made: {reason}; choose another place") from None
        if not os.access(folder, os.W_OK):
            raise ConfigError(f"--timeline: {str(folder)!r} may not be written to by you; choose another place")
        self._names: set[str] = set()

    def write(self, answer: Answer) -> tuple[list[Path], list[InputFailure]]:
        """The files of one answer that were written, and a failure for each that could not be.

        Inputs of the same name get numbers; a name that is too long for the folder is cut, and ends in a digest.
        """
        source = answer.entry.input
        stem = name = self._named(source)
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
            except Exception as error:  # the other files of it, and the other inputs, are written all the same
                reason = str(foreseen(error, str(target)))
                failures.append(InputFailure(input=source, output=str(target), error=reason))
        return written, failures

    def _named(self, source: str) -> str:
        name = _NO_NAME.sub("_", Path(source).stem)
        name = "input" if name in ("", ".", "..") else name
        room = self._longest - _ENDING - len("-9999")
        if len(raw := os.fsencode(name)) <= room:
            return name
        digest = hashlib.sha256(raw).hexdigest()[:8]
        return raw[: room - len(digest) - 1].decode("utf-8", "ignore") + "-" + digest
