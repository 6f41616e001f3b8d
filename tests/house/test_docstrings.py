"""Public functions describe their parameters, and what they return has a name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "multiemo"
#: Functions of so few parameters may leave them to the summary.
FEW = 2


def public_functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, str]]:
    """Public functions and methods, each with its docstring; a constructor has that of its class, too."""

    def visit(body: list[ast.stmt], of: ast.ClassDef | None) -> Iterator[tuple[ast.FunctionDef, str]]:
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield from visit(node.body, node)
            elif isinstance(node, ast.FunctionDef) and node.name == "__init__" and of is not None:
                yield node, (ast.get_docstring(of) or "") + (ast.get_docstring(node) or "")
            elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield node, ast.get_docstring(node) or ""

    yield from visit(tree.body, None)


def parameters(function: ast.FunctionDef) -> list[str]:
    arguments = function.args
    named = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return [name for name in named if name not in ("self", "cls")]


def is_command(function: ast.FunctionDef) -> bool:
    """Whether the help of options documents the parameters."""
    return any("typer." in ast.unparse(a.annotation) for a in function.args.args if a.annotation is not None)


def undescribed(tree: ast.Module) -> list[str]:
    """Functions of more than a few parameters that leave some undescribed."""
    found = []
    for function, doc in public_functions(tree):
        names = parameters(function)
        if len(names) <= FEW or is_command(function):
            continue
        section = doc.partition("Args:")[2]
        missing = [name for name in names if name not in section]
        if missing:
            found.append(f"line {function.lineno}, {function.name}: {', '.join(missing)}")
    return found


def unnamed(tree: ast.Module) -> list[str]:
    """Functions that return a dictionary of anything."""
    return [
        f"line {function.lineno}, {function.name}"
        for function, _ in public_functions(tree)
        if function.returns is not None and "dict[str, Any]" in ast.unparse(function.returns)
    ]


@pytest.mark.parametrize("check", [undescribed, unnamed])
def test_the_package(check) -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in sorted(PACKAGE.rglob("*.py"))
        if (lines := check(ast.parse(path.read_text("utf-8"))))
    }
    assert found == {}


def test_what_is_missing_is_found() -> None:
    tree = ast.parse(
        'class A:\n    """Of a.\n\n    Args:\n        a: one.\n    """\n    def __init__(self, a, b, c): ...\n'
        "def f(x, y) -> dict[str, Any]: ...\n"
    )
    assert undescribed(tree) == ["line 7, __init__: b, c"]
    assert unnamed(tree) == ["line 8, f"]
