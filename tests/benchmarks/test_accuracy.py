"""The rows of the table of accuracy, and the table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.accuracy import BEGIN, END, FOLDERS, ROOT, ROWS, put_table, table
from multiemo.config import load_config


@pytest.mark.parametrize("name", ROWS)
def test_a_row_names_a_config_and_subsets_that_its_encoders_have(name: str) -> None:
    row = ROWS[name]
    overrides = [option for option in row.options if "=" in option and "{runs}" not in option]
    config = load_config(ROOT / row.config, overrides)
    assert set(row.corpora) <= set(FOLDERS)
    for figure in row.figures:
        assert set(figure.subset) <= {m[0].upper() for m in config.modalities}


def test_the_table_has_the_classic_baseline_where_a_row_shows_it() -> None:
    figures = {"accuracy": 0.61234, "accuracy_ci": [0.5, 0.7]}
    result = {"seeds": [0, 1, 2], "systems": {"multiemo": {"F": figures}, "classic": {"F": {"accuracy": 0.505}}}}
    line = table({"rows": {"fer2013": result}}).splitlines()[-1]
    assert line == (
        "| FER2013, published test part | face, from scratch | accuracy | 0.612 | 0.500 .. 0.700 | 3 | 0.505 |"
    )


def test_the_table_of_the_readme_is_that_of_the_newest_result(tmp_path: Path) -> None:
    newest = max((ROOT / "benchmarks" / "results").glob("*-accuracy.json"))
    copy = tmp_path / "README.md"
    text = (ROOT / "README.md").read_text("utf-8")
    copy.write_text(text, "utf-8")
    put_table(copy, json.loads(newest.read_text("utf-8")))
    assert copy.read_text("utf-8") == text


def test_a_page_without_a_place_for_the_table_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"{BEGIN} but no end", "utf-8")
    with pytest.raises(SystemExit, match=END):
        put_table(page, {"rows": {}})
    assert page.read_text("utf-8") == f"{BEGIN} but no end"
