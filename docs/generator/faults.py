"""The table of faults, from the tests that are marked with ``fault``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from generator.markdown import cell

_HEAD = """# Faults

What happens if the machine fails. Each row is a test: the mark `fault` on a test makes its row.

| fault | what happens | test |
|---|---|---|
"""


def faults(tests: Path) -> str:
    """The page.

    Args:
        tests: the folder of the tests.
    """
    rows = [row for path in sorted(tests.rglob("test_*.py")) for row in _marked(path, tests.parent)]
    return _HEAD + "".join(f"| {cell(what)} | {cell(outcome)} | `{test}` |\n" for what, outcome, test in sorted(rows))


def _marked(path: Path, root: Path) -> Iterator[tuple[str, str, str]]:
    """(fault, outcome, test) of every mark in a file."""
    text = path.read_text("utf-8")
    if "mark.fault" not in text:
        return
    for node in ast.parse(text).body:
        for mark in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                what, outcome = (ast.literal_eval(argument) for argument in mark.args)
                yield what, outcome, f"{path.relative_to(root).as_posix()}::{node.name}"
