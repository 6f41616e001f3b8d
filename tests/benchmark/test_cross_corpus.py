"""The cross-corpus matrix: refused without common labels, and on two tiny corpora of words."""

from __future__ import annotations

import csv
import io

import pytest

from multiemo.benchmark.cross_corpus import CrossCorpusResult, by_corpus, run_cross_corpus, summary
from multiemo.config import load_config
from multiemo.data.manifest.reading import read_manifest, write_manifest
from multiemo.errors import ConfigError, SplitError
from multiemo.report import model_card
from multiemo.runs.folder.evaluation_log import reads_of
from multiemo.types import Clip

WORDS = {"happy": "what a lovely day", "sad": "I miss her so much", "angry": "leave me alone now"}


def clips(corpus: str, labels=("happy", "sad"), speakers: int = 6) -> list[Clip]:
    """Clips whose words show the label; in the corpus ``other`` they show the opposite of it."""
    shown = {"happy": "sad", "sad": "happy"} if corpus == "other" else {}
    return [
        Clip(
            id=f"{corpus}-{s}-{label}-{i}", corpus=corpus, speaker=f"{s}", text=f"{WORDS[shown.get(label, label)]} {i}",
            label_set="ekman7", label=label, language="en",
        )
        for s in range(speakers) for label in labels for i in range(3)
    ]  # fmt: skip


@pytest.fixture
def config(tmp_path):
    def make(rows, labels="custom:happy,sad"):
        write_manifest(rows, tmp_path / "words.jsonl")
        path = tmp_path / "words.yaml"
        path.write_text(
            f"""
name: words
label_set: "{labels}"
data: {{manifest: {tmp_path}/words.jsonl, cache: {tmp_path}/cache, split: {{kind: holdout, val: 0.2, test: 0.3}}}}
encoders: {{text: {{name: text_transformer, layers: 0, dim: 16, ngram_dim: 16, ngram_buckets: 128, vocab_size: 600}}}}
stages: [text]
training: {{epochs: 12, lr: 1.0e-2, batch_size: 8}}
benchmark: {{seeds: 1, jobs: 1}}
""",
            "utf-8",
        )
        return load_config(path)

    return make


def test_corpora_without_common_labels_are_refused_with_those_that_they_share(config, tmp_path):
    three = config([*clips("one", tuple(WORDS)), *clips("other")], "custom:happy,sad,angry")
    with pytest.raises(ConfigError, match=r"no clip of other is angry.*set label_set=custom:happy,sad$"):
        by_corpus(three, tmp_path / "words.jsonl")
    alone = config(clips("one"))
    with pytest.raises(SplitError, match="every clip is of one; join manifests"):
        by_corpus(alone, tmp_path / "words.jsonl")


def test_every_model_is_tested_on_the_same_clips_and_its_card_quotes_the_worst_corpus(config, tmp_path, conforms):
    found = run_cross_corpus(
        config([*clips("one"), *clips("other")]), tmp_path / "out", command="multiemo cross-corpus"
    )
    conforms(tmp_path / "out" / "cross_corpus.json", CrossCorpusResult)
    assert [(c.train, c.test) for c in found.cells] == [(a, b) for a in found.corpora for b in found.corpora]
    assert found.worst == {"one": "other", "other": "one"}
    for name in found.corpora:
        other = found.worst[name]
        assert found.cell(name, name).figures.uar > 0.9, "the words show the label"
        assert found.cell(name, other).figures.uar < 0.1, "there they show the opposite"
        run = tmp_path / "out" / "cells" / f"{name}-seed{found.seeds[0]}"
        tested = {c.id for c in read_manifest(tmp_path / "out" / "manifests" / f"{other}.test.jsonl")}
        assert len(tested) == found.cell(name, other).figures.n == found.cell(other, other).figures.n
        assert [r.corpora for r in reads_of(run) if r.foreign] == [[other]]
        card = (run / "model" / "README.md").read_text("utf-8")
        assert card == model_card(run)
        assert f"on {other}**, the worst of the corpora below" in card
        assert card.index("On other corpora") < card.index("On unseen clips of its own corpus")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "table.csv").read_text("utf-8"))))
    assert [row["worst"] for row in rows] == ["False", "True", "True", "False"]
    assert "| one " in summary(found)
    assert "Red: the worst other corpus" in (tmp_path / "out" / "report.html").read_text("utf-8")
