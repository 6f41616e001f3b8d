from __future__ import annotations

import pytest

from multiemo.errors import ConfigError
from multiemo.registry import Registry


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


def test_a_name_is_taken_once(shapes):
    with pytest.raises(ConfigError, match="registered twice"):
        shapes.register("square")(lambda: None)


def test_names_by_fact(shapes):
    assert shapes.names(modality="face") == ["square"]
    assert shapes.names(modality="text") == []
