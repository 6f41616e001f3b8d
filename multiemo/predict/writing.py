"""Timelines of many inputs into one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from multiemo.errors import ConfigError
from multiemo.predict.answers import Answer
from multiemo.predict.outputs import FORMATS, write_timeline

#: How a suffix is written where it is not in lower case.
_SPELLED = {".textgrid": ".TextGrid"}


class Writing:
    """Writes each answer as files named after its input.

    Args:
        folder: made if it is not there.
        formats: names of formats, such as ``srt``; all by default.

    Raises:
        ConfigError: a format that does not exist.
    """

    def __init__(self, folder: Path, formats: Sequence[str] | None = None) -> None:
        wanted = ["." + name.lower().lstrip(".") for name in formats or ()] or list(FORMATS)
        for suffix in wanted:
            if suffix not in FORMATS:
                known = ", ".join(name[1:] for name in FORMATS)
                raise ConfigError(f"--format: there is no timeline format {suffix[1:]!r}; choose of {known}")
        self.folder, self._suffixes = folder, list(dict.fromkeys(wanted))
        self._names: set[str] = set()

    def write(self, answer: Answer) -> list[Path]:
        """The files of one answer; inputs of the same name get numbers.

        Raises:
            ConfigError: a file cannot be written.
        """
        stem = name = Path(answer.entry["input"]).stem or "input"
        number = 1
        while name.lower() in self._names:
            number += 1
            name = f"{stem}-{number}"
        self._names.add(name.lower())
        targets = [self.folder / f"{name}{_SPELLED.get(suffix, suffix)}" for suffix in self._suffixes]
        return [write_timeline(answer.entry, target, answer.traces) for target in targets]
