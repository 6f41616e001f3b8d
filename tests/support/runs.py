"""Finished runs: what they were made from, and what another process measures of them."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path

import pytest

from multiemo.benchmark.cost import memory
from multiemo.config import load_config
from multiemo.runs import Source, open_source


def source_of(run: Path) -> Source:
    """The corpus of a run, opened with its own split."""
    return open_source(load_config(run / "config.yaml").data)


def answered_here(command: list[str], *, input: str, **_: object) -> subprocess.CompletedProcess[str]:
    """Stands in for ``subprocess.run``: the other process' part, in this one, which has torch imported already."""
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(sys, "stdin", io.StringIO(input))
        memory.answer()
    return subprocess.CompletedProcess(command, 0, out.getvalue(), "")
