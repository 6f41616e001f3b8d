"""Benchmark scripts start from the root of the repository, and those named in the docs exist."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

PROGRAMS = sorted(
    ["-m", f"benchmarks.measure.{p.stem}"] if p.parent.name == "measure" else [f"benchmarks/{p.name}"]
    for p in (ROOT / "benchmarks").rglob("*.py")
    if "__main__" in p.read_text("utf-8")
)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p[-1])
def test_a_benchmark_starts_from_the_root_of_the_repository(program: list[str]) -> None:
    done = subprocess.run([sys.executable, *program, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


def test_scripts_import_what_lies_beside_them() -> None:
    """A script has its own folder on the path, not the root; other packages are called ``benchmarks`` too."""
    scripts = sorted((ROOT / "benchmarks").glob("*.py"))
    assert len(scripts) > 10
    wrong = [
        p.name for p in scripts if re.search(r"^\s*(from|import) benchmarks\b", p.read_text("utf-8"), re.MULTILINE)
    ]
    assert wrong == []


def test_the_commands_of_the_manual_are_programs() -> None:
    manual = "".join(p.read_text("utf-8") for p in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    named = re.findall(r"python (-m benchmarks\.measure\.\w+|benchmarks/\S+\.py)", manual)
    assert named
    assert {tuple(name.split()) for name in named} <= {tuple(program) for program in PROGRAMS}
