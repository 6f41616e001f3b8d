"""Coverage-guided fuzzing with atheris: it mutates the bytes from which a Hypothesis test draws its input."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def instrument() -> None:
    """Instrument every module of multiemo that is imported from here on."""
    import atheris

    atheris.instrument_imports(include=["multiemo"], enable_loader_override=False).__enter__()


def run(test: Callable[[], Any], *, seconds: int, seed: int, folder: Path, done: Callable[[], None]) -> None:
    """Run a Hypothesis test on inputs chosen by coverage, and end the process.

    Args:
        test: decorated with ``given``.
        seconds: how long.
        seed: of libFuzzer.
        folder: where libFuzzer writes an input that ends the process.
        done: called from time to time and at the end.
    """
    import atexit

    import atheris

    atexit.register(done)
    one_input = test.hypothesis.fuzz_one_input  # type: ignore[attr-defined]

    def take(data: bytes) -> None:
        one_input(data)

    options = [f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=4096", "-len_control=20", "-timeout=60"]
    atheris.Setup([sys.argv[0], *options, "-rss_limit_mb=6000", f"-artifact_prefix={folder}/"], take)
    atheris.Fuzz()
