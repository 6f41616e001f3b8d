from __future__ import annotations

import sys

import pytest

from multiemo.errors import ConfigError
from multiemo.registry import Positive, Registry, Share, Size, corpora, import_own_modules


@pytest.fixture
def shapes() -> Registry:
    registry = Registry("shape")

    @registry.register("square", modality="face")
    def square(*, side: int = 2, colour: str = "red", given: int = 0) -> tuple[int, str, int]:
        return side, colour, given

    return registry


def test_build_checks_options_and_passes_what_the_builder_takes(shapes):
    assert shapes.build("square", {"side": "3"}, where="x", given=5, other=1) == (3, "red", 5)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("sqare", {}, "x: unknown shape 'sqare'; did you mean 'square'?"),
        ("square", {"sid": 1}, "x.sid: unknown option of shape 'square'; did you mean 'side'?"),
        ("square", {"side": "wide"}, "x.side"),
        ("square", {"given": 3}, "x.given: unknown option"),
    ],
)
def test_wrong_names_and_types_are_named(shapes, name, options, said):
    with pytest.raises(ConfigError) as error:
        shapes.build(name, options, where="x", given=0)
    assert said in str(error.value)


@pytest.mark.parametrize("value", [-1, True, float("inf"), float("nan")])
def test_numbers_without_sense_are_refused(shapes, value):
    with pytest.raises(ConfigError, match=r"^x\.side: "):
        shapes.build("square", {"side": value}, where="x")


def test_annotated_bounds_hold():
    registry = Registry("shape")

    @registry.register("box")
    def box(*, side: Size = 2, open_share: Share = 0.5, rate: Positive = 1.0) -> tuple[int, float, float]:
        return side, open_share, rate

    assert registry.build("box", {"open_share": 1, "side": 1}, where="x") == (1, 1.0, 1.0)
    for wrong in ({"side": 0}, {"open_share": 1.5}, {"rate": 0}):
        with pytest.raises(ConfigError, match=rf"^x\.{next(iter(wrong))}: input should be"):
            registry.build("box", wrong, where="x")


def test_a_name_is_taken_once(shapes):
    with pytest.raises(ConfigError, match="registered twice"):
        shapes.register("square")(lambda: None)


def test_names_by_fact(shapes):
    assert shapes.names(modality="face") == ["square"]
    assert shapes.names(modality="text") == []


def test_modules_of_the_user_are_found_by_every_command(tmp_path, monkeypatch, cli):
    (tmp_path / "mine_of_test.py").write_text(MODULE)
    (tmp_path / "broken_of_test.py").write_text("import nothing_of_that_name")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    import_own_modules.cache_clear()
    try:
        code, _, error = cli("prepare", "mine", str(tmp_path), "--out", "m.jsonl")
        assert code == 2
        assert "unknown corpus 'mine'" in error
        assert "named in the environment variable MULTIEMO_MODULES" in error
        monkeypatch.setenv("MULTIEMO_MODULES", "mine_of_test, broken_of_test")
        import_own_modules.cache_clear()
        code, _, error = cli("prepare", "mine", str(tmp_path), "--out", "m.jsonl")
        assert error.startswith("error: MULTIEMO_MODULES: 'broken_of_test' cannot be imported (ModuleNotFoundError: ")
        monkeypatch.setenv("MULTIEMO_MODULES", "mine_of_test")
        import_own_modules.cache_clear()
        code, said, _ = cli("prepare", "mine", str(tmp_path), "--out", "m.jsonl")
        assert code == 0
        assert "1 clips" in said
    finally:
        import_own_modules.cache_clear()
        sys.modules.pop("mine_of_test", None)
        for kept in (corpora._builders, corpora._facts):
            kept.pop("mine", None)


MODULE = """
from multiemo.registry import corpora
from multiemo.types import Clip


@corpora.register("mine")
def mine(root, skip):
    yield Clip(id="a", corpus="mine", text="hello", speaker="s")
"""
