"""Lint, format, types and import layers are part of the tests; ``.ci/lint`` says how each is checked."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from packaging.version import Version

from tests.support.paths import ROOT

LINT = ROOT / ".ci" / "lint"
CHECKS = subprocess.run([LINT, "--list"], capture_output=True, text=True, check=True).stdout.split()
#: Earlier stubs ask for the type of every array's elements; by those of numpy 2.5 ``array.max()`` is an error.
SKIPPED = {"types": not Version("2.3") <= Version(np.__version__) < Version("2.5")}


@pytest.mark.parametrize("name", [name for name in CHECKS if name != "reference"])  # tests/docs compares the reference
def test_the_tree_is_clean(name: str) -> None:
    if SKIPPED.get(name):
        pytest.skip("the stubs of this numpy are not those that the types were checked with")
    done = subprocess.run([LINT, name], env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_an_unknown_check_is_refused() -> None:
    done = subprocess.run([LINT, "spelling"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "no check spelling; there are lint format types layers reference" in done.stderr
