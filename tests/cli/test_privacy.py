"""privacy-report through the command line, and what quotes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from multiemo.data.manifest.reading import read_manifest
from multiemo.privacy.embeddings import SpeakerEncoder


@pytest.mark.slow
def test_a_report_is_written_and_the_card_and_the_receipt_quote_it(
    cli: Callable[..., tuple[int, str, str]], tiny_run: Path, small_corpus: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    command = ("privacy-report", run, "--modality", "text", "--clips", 6, "--people", "all", "--device", "cpu")
    code, out, err = cli(*command, "--protection", "mask", "--json", tmp_path / "copy.json")
    assert (code, err.count("error")) == (0, 0), err
    report = json.loads((run / "privacy" / "privacy.json").read_text("utf-8"))
    assert report == json.loads((tmp_path / "copy.json").read_text("utf-8"))
    assert [p["name"] for p in report["protections"]] == ["none", "mask"]
    assert [a["knowledge"] for a in report["protections"][1]["attacks"]] == [
        "ignorant",
        "lazy-informed",
        "semi-informed",
    ]
    assert [e["subset"] for p in report["protections"] for e in p["emotion"]] == ["T", "T"]
    assert [(f["target"], f["level"]) for f in report["membership"]] == [
        ("run", "clips"), ("run", "people"), ("shadows", "clips"), ("shadows", "people"),
    ]  # fmt: skip
    assert "<img" in (run / "privacy" / "privacy.html").read_text("utf-8")
    assert "mask: text EER" in out
    names = {str(c.speaker) for c in read_manifest(small_corpus)}
    assert not any(f'"{name}"' in (run / "privacy" / "privacy.json").read_text("utf-8") for name in names)
    assert "Membership inference" in (run / "model" / "README.md").read_text("utf-8")
    assert [json.loads(line)["by"] for line in (run / "evaluations.jsonl").read_text().splitlines()][
        -1
    ] == "privacy-report"
    speaker = next(c.speaker for c in read_manifest(small_corpus) if c.id in _trained(run))
    code, out, _ = cli("cache", "purge", "--speaker", speaker, "--run", run)
    assert code == 0
    assert "text branch: AUC" in out


def _trained(run: Path) -> list[str]:
    return json.loads((run / "splits.json").read_text("utf-8"))["text"]["parts"]["train"]


def test_options_that_do_not_fit_are_refused_before_any_work(
    cli: Callable[..., tuple[int, str, str]], tiny_run: Path, small_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for options, message in (
        (("--split", "train"), "--split: 'train' is not valid"),
        (("--people", "some"), "choices: held-out, all"),
        (("--shadows", 3), "even number"),
        (("--clips", 1), "too few"),
        (("--retrain", "--split", "val"), "need --split test"),
        (("--protection", "wig"), "'wig' is not known; choices: none, 'mcadams A'"),
        (("--modality", "smell"), "not all are branches"),
    ):
        code, _, err = cli("privacy-report", tiny_run, *options)
        assert code == 2
        assert message in err
    code, _, err = cli("privacy-report", small_corpus)
    assert (code, "--out" in err) == (2, True)
    if not SpeakerEncoder.installed():
        code, _, err = cli("privacy-report", small_corpus, "--out", "x")
        assert (code, 'pip install "multiemo[privacy]"' in err) == (2, True)
