"""The examples of docs/python.md run as they stand, from top to bottom."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

import multiemo
from multiemo.registry import encoders, fusions
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text("utf-8")


def test_the_examples_run(
    tiny_run: Path,
    small_corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "runs").mkdir()
    run = tmp_path / "runs" / "demo"
    run.mkdir()
    for name in ("model", "branches", "splits.json", "config.yaml"):
        (run / name).symlink_to(tiny_run / name)
    (run / "corpus").symlink_to(small_corpus.parent)
    monkeypatch.chdir(tmp_path)
    known = {registry: set(registry) for registry in (encoders, fusions)}
    names: dict[str, Any] = {"__name__": "docs"}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            for block in blocks:
                exec(block, names)
    finally:
        for registry, before in known.items():
            for name in set(registry) - before:
                del registry._builders[name], registry._facts[name]
    said = capsys.readouterr().out
    assert "runs/words " in said
    assert "text 2 " in said
    assert re.search(r"^UAR 0\.\d\d, 95% interval \[", said, re.MULTILINE)
    assert re.search(r"^\['text', .*\] \{", said, re.MULTILINE)
    assert "spk01-003.mp4 [" in said
    assert names["config"].fusion.options == {"dim": 32}
    assert names["own"].encoders["speech"].name == "mean_mel"


def test_the_table_names_what_the_package_exports() -> None:
    named = set(re.findall(r"^\| `multiemo\.(\w+)", PAGE, re.MULTILINE))
    assert named == set(multiemo.__all__) - {"__version__", "Predictor"}
