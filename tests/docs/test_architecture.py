"""The folder table and the two lists of functions in docs/architecture.md agree with the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "multiemo"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
#: (module, function) of each numbered line.
STEPS = re.findall(r"^\d+\. `([\w/]+\.py)` `([\w.]+)`:", PAGE, re.MULTILINE)


def defined(path: Path) -> set[str]:
    """Functions of a module, and the methods of its classes as ``Class.method``."""
    names = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return names


def test_both_lists_are_found() -> None:
    lists = re.findall(r"^## One .*?\n(?=## )", PAGE, re.MULTILINE | re.DOTALL)
    assert len(lists) == 2
    assert sum(len(re.findall(r"^\d+\. ", text, re.MULTILINE)) for text in lists) == len(STEPS) > 40


@pytest.mark.parametrize(("module", "function"), dict.fromkeys(STEPS), ids=lambda value: str(value))
def test_a_function_of_the_lists_is_defined_in_its_module(module: str, function: str) -> None:
    assert (PACKAGE / module).is_file(), f"multiemo/{module} does not exist"
    assert function in defined(PACKAGE / module)


def test_every_package_and_module_has_a_place_in_the_tables() -> None:
    cells = re.findall(r"^\| (`.*?) \|", PAGE.partition("## One row")[0], re.MULTILINE)
    named = {name.rstrip("/") for cell in cells for name in re.findall(r"`([\w/]+)`", cell)}
    packages = {str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.rglob("__init__.py")} - {"."}
    modules = {path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")}
    assert named == packages | modules
