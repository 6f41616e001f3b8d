"""The shape of the package: no import cycle between modules, and no public class name that two modules define."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import multiemo

ROOT = Path(multiemo.__file__).parent


def parse(root: Path) -> dict[str, ast.Module]:
    """{name of a module: its syntax tree} of a package; a package itself goes by its own name."""
    trees = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text("utf-8"))
    return trees


def import_graph(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """{module: modules that it names in an import anywhere}: in functions and under TYPE_CHECKING as well."""

    def named(tree: ast.Module) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, "imports are absolute here"
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if inner in trees else str(node.module)

    return {name: {other for other in named(tree) if other in trees} - {name} for name, tree in trees.items()}


def find_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """A cycle, its first module again at its end, or nothing."""
    finished: set[str] = set()

    def follow(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in finished:
            for other in sorted(graph[name]):
                if cycle := follow(other, [*path, name]):
                    return cycle
            finished.add(name)
        return []

    return next((cycle for name in graph if (cycle := follow(name, []))), [])


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    return parse(ROOT)


def test_no_module_imports_itself_through_others(trees):
    assert " -> ".join(find_cycle(import_graph(trees))) == ""


def test_no_two_modules_define_public_classes_of_one_name(trees):
    defined = defaultdict(list)
    for name, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                defined[node.name].append(name)
    twice = {name: modules for name, modules in defined.items() if len(modules) > 1}
    assert twice == {}


def test_a_cycle_is_found_wherever_the_import_stands(tmp_path):
    package = tmp_path / "pack"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner" / "__init__.py").write_text("")
    (package / "one.py").write_text("def f():\n    from pack import two\n")
    (package / "two.py").write_text("if TYPE_CHECKING:\n    from pack.inner.three import X\n")
    (package / "inner" / "three.py").write_text("import os\nimport pack.one\n")
    graph = import_graph(parse(package))
    assert find_cycle(graph) == ["pack.inner.three", "pack.one", "pack.two", "pack.inner.three"]
    graph["pack.two"].clear()
    assert find_cycle(graph) == []
