"""Read fuzzed inputs and record what came of each: a result, a refusal, or a defect."""

from __future__ import annotations

import os
import re
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from multiemo.errors import DefectError, MultiemoError

#: Line ends, and what a terminal would obey.
_UNCLEAR = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
#: Seconds that one small input may take.
LIMIT = 10.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of input.

    Args:
        inputs: (name of a file, content).
        read: what multiemo does with the file; whatever it writes goes below the second argument.
        named: what a refusal must mention, given the file; by default the name of the file.
    """

    inputs: SearchStrategy[tuple[str, bytes]]
    read: Callable[[Path, Path], object]
    named: Callable[[str, Path], bool] = lambda line, file: file.name in line


@dataclass(slots=True)
class Tally:
    """What came of the inputs of a kind.

    Args:
        inputs: how many were read.
        results: of those, how many were accepted.
        refused: {class of error: how many were refused with it}.
        defects: {what is wrong: how often}; tracebacks, unclear messages, hangs, left files.
        slowest: seconds of the slowest.
        files: open files afterwards, above those after the first inputs.
    """

    inputs: int = 0
    results: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    defects: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    files: int = 0

    def as_json(self) -> dict[str, Any]:
        """The members, for JSON."""
        members = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**members, "refused": dict(self.refused), "defects": dict(self.defects)}


def open_files() -> int:
    """Number of open file descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


class Session:
    """Reads inputs of one kind, each in an empty folder.

    Args:
        kind: the kind.
        folder: an empty folder for inputs and outputs; inputs with defects are kept in ``folder/defects``.
        temporary: the folder that the process uses for temporary files.
    """

    def __init__(self, kind: Kind, folder: Path, temporary: Path) -> None:
        self.kind, self.folder, self.temporary = kind, folder, temporary
        self.tally = Tally()
        self._at_start: int | None = None

    def take(self, name: str, content: bytes) -> str | None:
        """Read one input.

        Returns:
            What is wrong, or ``None`` if it was accepted or refused as it should be.
        """
        place, out = self.folder / "in", self.folder / "out"
        for made in (place, out):
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir(parents=True)
        file = place / name
        file.write_bytes(content)
        begin = time.monotonic()
        wrong = self._read(file, out)
        seconds = time.monotonic() - begin
        self.tally.inputs += 1
        self.tally.slowest = max(self.tally.slowest, seconds)
        if wrong is None and seconds > LIMIT:
            wrong = f"took over {LIMIT:g} s"
        left = sorted(p.name for p in [*place.rglob("*"), *self.temporary.rglob("*")] if p != file)
        if wrong is None and left:
            wrong = f"left files: {re.sub(r'[0-9a-z_]{8}', '*', left[0])}"
        for stray in self.temporary.iterdir():
            shutil.rmtree(stray) if stray.is_dir() else stray.unlink()
        if wrong is not None:
            self.tally.defects[wrong] += 1
            if self.tally.defects[wrong] <= 3:
                self._keep(file, wrong)
        if self.tally.inputs == 30:
            self._at_start = open_files()
        if self._at_start is not None:
            self.tally.files = open_files() - self._at_start
        return wrong

    def _read(self, file: Path, out: Path) -> str | None:
        try:
            self.kind.read(file, out)
        except DefectError as error:
            return f"defect: {error.__cause__ or error}".replace(str(file), "FILE")[:200]
        except MultiemoError as error:
            self.tally.refused[type(error).__name__] += 1
            line = str(error)
            if not self.kind.named(line, file):
                return f"not named: {line}".replace(str(file), "FILE")[:200]
            if _UNCLEAR.search(line):
                return f"not one printable line: {line!r}".replace(str(file), "FILE")[:200]
            return None
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in Rust is no Exception
            frames = traceback.extract_tb(error.__traceback__)
            own = [f for f in frames if "/multiemo/" in f.filename] or frames
            where = f"{own[-1].filename.rpartition('/multiemo/')[2]}:{own[-1].lineno}"
            return f"traceback: {type(error).__name__} at {where}"
        self.tally.results += 1
        return None

    def _keep(self, file: Path, wrong: str) -> None:
        kept = self.folder / "defects"
        kept.mkdir(exist_ok=True)
        number = len(list(kept.iterdir()))
        shutil.copy(file, kept / f"{number:03}-{file.name}")
        print(f"{wrong}  ({kept / f'{number:03}-{file.name}'})", flush=True)


def property_of(session: Session, count: int, first: int) -> Callable[[], Any]:
    """The property "every input is a result or one of our errors" as a Hypothesis test that records and never fails.

    Args:
        session: reads the inputs.
        count: number of inputs.
        first: seed.
    """

    @seed(first)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(session.kind.inputs)
    def every_input_is_a_result_or_an_error(found: tuple[str, bytes]) -> None:
        session.take(*found)

    return every_input_is_a_result_or_an_error
