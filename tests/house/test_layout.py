"""How the tests themselves are laid out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT

TESTS = ROOT / "tests"


def imported(path: Path) -> Iterator[str]:
    """The full name of every module that a file may import, also within a function."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def test_no_test_module_is_imported() -> None:
    """What tests share stands in tests/support, so that any test file can be moved, split or run alone."""
    modules = {path.stem for path in TESTS.rglob("test_*.py")} | {"conftest"}
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted(TESTS.rglob("*.py"))
        for name in imported(path)
        if modules & set(name.split("."))
    ]
    assert not found, "\n".join(found)
