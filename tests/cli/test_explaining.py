"""The command explain."""

from __future__ import annotations

import json

import pytest


def test_a_text_is_explained_as_page_json_and_summary(cli, tiny_run, tmp_path):
    page = tmp_path / "why.html"
    code, out, _ = cli("explain", tiny_run, "--text", "I am so happy", "--out", page, "--json", "-")
    assert code == 0
    assert json.loads(out)["segments"][0]["text"] == "I am so happy"
    assert page.read_text("utf-8").startswith("<!doctype html>")
    code, out, err = cli("explain", tiny_run, "--text", "I am so happy")
    assert code == 0
    assert out.startswith("text: The model reads this as")
    assert "seconds: prediction" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to explain"),
        (["--text", "a", "--out", "/nowhere/at/all.html"], "its folder does not exist"),
        (["--text", "a", "--language", "fr"], "'fr' is not one of en, zh"),
    ],
)
def test_wrong_usage_is_named(cli, tiny_run, arguments, message):
    code, _, err = cli("explain", tiny_run, *arguments)
    assert code == 2
    assert message in err


def test_a_manifest_of_several_rows_needs_the_id_of_one(cli, tiny_run, small_corpus):
    code, _, err = cli("explain", tiny_run, small_corpus)
    assert code == 2
    assert "--clip ID" in err
    code, _, err = cli("explain", tiny_run, small_corpus, "--clip", "none")
    assert code == 2
    assert "no row with the id 'none'" in err
