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


#: Rooms of what no single module owns; every other test file stands where the module that it tests stands.
ROOMS = ("end_to_end", "house")
#: Folders of scripts and pages beside the package, which have tests under their own names.
BESIDE = ("benchmarks", "docs")


def subject(path: Path) -> tuple[Path, ...]:
    """The modules or packages, one of which a test file at this place tests."""
    *folders, name = path.relative_to(TESTS).with_suffix("").parts
    root = ROOT if folders and folders[0] in BESIDE else ROOT / "multiemo"
    folder, module = root.joinpath(*folders), name.removeprefix("test_")
    return folder / f"{module}.py", folder / f"{module}.md", folder if folder.name == module else folder / module


def test_every_test_file_stands_where_its_module_does() -> None:
    """tests/media/test_reading.py tests multiemo/media/reading.py; tests/data/test_data.py would test the package."""
    files = [path for path in TESTS.rglob("test_*.py") if path.relative_to(TESTS).parts[0] not in ROOMS]
    lost = [str(path.relative_to(ROOT)) for path in sorted(files) if not any(place.exists() for place in subject(path))]
    assert not lost, f"these test no module of their name; move them, or into {' or '.join(ROOMS)}: {', '.join(lost)}"
