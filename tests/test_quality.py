"""Lint, types and import layers are part of the tests."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from packaging.version import Version

from tests.support.paths import ROOT


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        pytest.param(
            ["mypy"],
            marks=pytest.mark.skipif(
                Version(np.__version__) >= Version("2.5"), reason="by the stubs of numpy 2.5 `array.max()` is an error"
            ),
        ),
        ["importlinter.cli", "lint-imports"],
    ],
    ids=["lint", "format", "types", "layers"],
)
def test_the_tree_is_clean(command):
    if command[0] == "importlinter.cli":
        run = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    else:
        run = [sys.executable, "-m", *command]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
