"""The generated reference and the published schemas."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

from multiemo.records import Record, record
from multiemo.registry import Registry
from tests.support.paths import ROOT


@record
class Beat(Record):
    """A beat of a clip.

    Args:
        start: where it begins, seconds.
    """

    start: float


class Undocumented(BaseModel):
    """A config with a key that is not described."""

    depth: int = 1


@pytest.fixture(scope="module")
def generate() -> Iterator[ModuleType]:
    """The script as a module; the package beside it can be imported as long as it is."""
    sys.path.insert(0, str(ROOT / "docs"))
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its annotations are looked up there
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(ROOT / "docs"))


def test_the_reference_is_up_to_date(generate: ModuleType) -> None:
    assert generate.stale_files(generate.generated(generate.RECORDS), ROOT / "docs") == []


def test_a_record_becomes_a_schema_with_its_descriptions(generate: ModuleType) -> None:
    schema = json.loads(generate.schema(f"{__name__}:Beat"))
    assert schema["description"] == "A beat of a clip."
    assert schema["properties"]["start"] == {"type": "number", "description": "where it begins, seconds."}
    assert list(generate.generated({"beat": f"{__name__}:Beat"}))[-1] == "schemas/beat.json"


def test_a_stale_file_a_missing_one_and_a_leftover_are_each_named(generate: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "reference").mkdir()
    for name in ("new", "old", "gone"):
        (tmp_path / "reference" / f"{name}.md").write_text(name, "utf-8")
    pages = {"reference/new.md": "new", "reference/old.md": "changed", "schemas/missing.json": "{}"}
    found = [line.removeprefix(f"{tmp_path}/").partition(";")[0] for line in generate.stale_files(pages, tmp_path)]
    assert found == [
        "reference/old.md: is out of date",
        "schemas/missing.json: is missing",
        "reference/gone.md: is not generated any more",
    ]


def test_check_exits_with_1_and_changes_nothing(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    monkeypatch.setattr(generate, "generated", lambda records: {"reference/a.md": "a"})
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().out == f"{tmp_path}/reference/a.md: is missing; run python docs/generate.py\n"
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def test_a_key_or_option_without_a_description_is_an_error(generate: ModuleType) -> None:
    with pytest.raises(SystemExit, match=r"Undocumented.depth: has no description"):
        generate.configuration(Undocumented)
    from generator.parts import part

    shapes = Registry("shape")

    @shapes.register("square")
    def square(*, side: int = 2) -> int:
        """A square."""
        return side

    with pytest.raises(SystemExit, match=r"square.side: has no description"):
        part(shapes, "square", {})


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "number", "minimum": 0, "maximum": 1}, "number from 0 to 1"),
        ({"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "null"}]}, "integer > 0 or null"),
        ({"type": "array", "items": {"type": "string"}}, "list of texts"),
        (
            {"type": "object", "propertyNames": {"enum": ["a"]}, "additionalProperties": {"type": "string"}},
            "{`a`: text}",
        ),
        ({"enum": ["a", "b"]}, "`a`, `b`"),
    ],
)
def test_a_type_is_described_in_words(generate: ModuleType, schema: dict[str, object], words: str) -> None:
    from generator.markdown import type_in_words

    assert type_in_words(schema) == words
