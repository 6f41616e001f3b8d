"""Results are JSON objects with typed attributes that cannot be changed."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, field, replace
from pathlib import Path
from typing import Literal

import jsonschema
import pytest

from multiemo.errors import CheckpointError
from multiemo.records import UNWRITTEN, Record, record


@record
class Span(Record):
    """A span of
    a file.

    Args:
        start, end: seconds.
        label: what it shows,
            where it shows anything.
    """

    start: float
    end: float | None
    label: str | None = None


@record
class Spans(Record):
    """All spans.

    Args:
        spans: in order.
        kind: how they were found.
        best: the surest.
    """

    spans: list[Span]
    kind: Literal["turn", "window"]
    best: Span | None = None


@record
class Move(Record):
    """A move.

    Args:
        from: where it began.
    """

    from_: float
    to: float


@record
class Moves(Record):
    """All moves."""

    moves: list[Move]


SPANS = Spans(spans=[Span(start=0.0, end=None), Span(start=1.0, end=2.0, label="sad")], kind="turn")
PLAIN = {"spans": [{"start": 0.0, "end": None}, {"start": 1.0, "end": 2.0, "label": "sad"}], "kind": "turn"}


def test_a_record_is_its_json() -> None:
    assert json.loads(json.dumps(SPANS)) == PLAIN == json.loads(str(SPANS)) == SPANS
    assert SPANS.spans[1].label == SPANS["spans"][1]["label"] == "sad"
    assert list(SPANS) == ["spans", "kind"]


def test_it_comes_back_from_json_pickles_and_copies() -> None:
    for same in (Spans.from_json(PLAIN), pickle.loads(pickle.dumps(SPANS)), copy.deepcopy(SPANS)):
        assert same == SPANS
        assert isinstance(same, Spans)
        assert isinstance(same.spans[0], Span)
    assert replace(SPANS, kind="window")["kind"] == "window"


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match=r"spans\.0\.end"):
        Spans.from_json({"spans": [{"start": 0.0}], "kind": "turn"})


def test_nothing_changes_a_record() -> None:
    record_ = Span(start=0.0, end=1.0)
    with pytest.raises(FrozenInstanceError):
        record_.start = 2.0  # type: ignore[misc]
    changes = [
        lambda: record_.__setitem__("start", 2.0),
        lambda: record_.pop("start"),
        lambda: record_.update(start=2.0),
        lambda: record_.setdefault("label", "sad"),
        record_.clear,
        record_.popitem,
    ]
    for change in changes:
        with pytest.raises(TypeError, match="a Span cannot be changed"):
            change()
    with pytest.raises(TypeError, match="a Span cannot be changed"):
        record_ |= {"start": 2.0}
    assert record_ == {"start": 0.0, "end": 1.0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"spans": [], "kind": "pause"},
        {"spans": [{"start": 0.0}], "kind": "turn"},
        {"spans": [], "kind": "turn", "best": None},
        {"spans": [], "kind": "turn", "other": 1},
        {"spans": [{"start": "0", "end": None}], "kind": "turn"},
    ],
)
def test_the_schema_takes_what_is_written_and_nothing_else(wrong: dict[str, object]) -> None:
    schema = Spans.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(json.dumps(SPANS)), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


@record
class Counted(Record):
    """How many.

    Args:
        n: clips.
    """

    n: int


@record
class Rated(Counted):
    """A figure.

    Args:
        uar: recall.
        lines: not written.
    """

    uar: float
    lines: list[str] = field(default_factory=list, metadata=UNWRITTEN)


def test_json_has_no_nan_and_not_what_is_an_attribute_alone() -> None:
    rated = Rated(n=2, uar=float("nan"), lines=["one"])
    remade = Rated.of({"n": 2}, uar=rated.uar, lines=["one"])
    for same in (rated, pickle.loads(pickle.dumps(rated)), Rated.of(rated), remade):
        assert same == {"n": 2, "uar": None}
        assert (str(same.uar), same.lines) == ("nan", ["one"])
    schema = Rated.json_schema()
    assert list(schema["properties"]) == ["n", "uar"]
    assert schema["properties"]["n"]["description"] == "clips."


def test_a_file_that_holds_no_such_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(CheckpointError, match=r"result\.json: not readable as a result: No such file"):
        Counted.read(path)
    for text, reason in (
        ("{", "Expecting"),
        ('{"n": "x"}', "n: Input should be a valid integer"),
        ("[]", "contains a list"),
    ):
        path.write_text(text)
        with pytest.raises(CheckpointError, match=rf"result\.json: not readable as a result: .*{reason}"):
            Counted.read(path)
    path.write_text('{"n": 3}')
    assert Counted.read(path).n == 3


def test_the_schema_describes_every_member() -> None:
    schema = Spans.json_schema()
    span = schema["$defs"]["Span"]
    assert (schema["description"], span["description"]) == ("All spans.", "A span of a file.")
    assert span["properties"]["end"]["description"] == "seconds."
    assert span["properties"]["label"]["description"] == "what it shows, where it shows anything."


def test_a_member_may_have_a_name_that_python_reserves() -> None:
    moves = Moves(moves=[Move(from_=1.0, to=2.0)])
    assert moves == {"moves": [{"from": 1.0, "to": 2.0}]}
    assert Moves.from_json(moves).moves[0].from_ == 1.0
    assert pickle.loads(pickle.dumps(moves)) == replace(moves) == moves
    schema = Moves.json_schema()
    jsonschema.validate(moves, schema)
    assert schema["$defs"]["Move"]["properties"]["from"]["description"] == "where it began."
    assert schema["$defs"]["Move"]["required"] == ["from", "to"]
