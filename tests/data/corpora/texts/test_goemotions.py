"""The adapter ``goemotions`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ConfigError, ManifestError
from tests.support.corpora import run, write


def test_goemotions(tmp_path: Path) -> None:
    write(tmp_path / "ekman/labels.txt", "anger\ndisgust\nfear\njoy\nneutral\nsadness\nsurprise")
    write(tmp_path / "ekman/dev.tsv", 'He said "hi\t3,4\tid1\nbad\t9\tid2\nbad row\n')
    prepared = run("goemotions", tmp_path, tmp_path / "m.jsonl", variant="ekman")
    (clip,) = prepared.clips
    assert (clip.id, clip.text, clip.labels, clip.label_set, clip.split) == (
        "id1", 'He said "hi', ("happy", "neutral"), "ekman7", "val",
    )  # fmt: skip
    assert [s.what for s in prepared.skipped] == ["dev.tsv line 2", "dev.tsv line 3"]
    with pytest.raises(ConfigError, match=r"prepare\.variant"):
        prepare("goemotions", tmp_path, tmp_path / "m.jsonl", {"variant": "ekmann"})


def test_goemotions_as_published_gives_both_variants(tmp_path: Path) -> None:
    from multiemo.labels import LABEL_SETS

    write(tmp_path / "emotions.txt", "\n".join(LABEL_SETS["goemotions28"]))
    write(tmp_path / "train.tsv", "text\t2,3,17\tid1\n")
    out = tmp_path / "m.jsonl"
    assert run("goemotions", tmp_path, out).clips[0].labels == ("anger", "annoyance", "joy")
    assert run("goemotions", tmp_path, out, variant="ekman").clips[0].labels == ("angry", "happy")
    write(tmp_path / "emotions.txt", "anger\nsplendour")
    with pytest.raises(ManifestError, match=r"lists 2 labels \(anger, splendour, ...\), not those of goemotions28"):
        prepare("goemotions", tmp_path, out)
