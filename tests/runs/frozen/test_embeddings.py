"""Embeddings of frozen encoders: from the cache only if they are still right, and each process computes its share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from multiemo.config import load_config
from multiemo.runs import train
from tests.support.processes import start
from tests.support.tiny_decoders import save_decoder
from tests.support.wait_in_processes import CLIPS

MODULE = "tests.support.wait_in_processes"


CONFIG = """
name: waiting
label_set: demo5
data: {manifest: none.jsonl, workers: 1}
encoders: {speech: {name: features}}
stages: [speech]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG, "utf-8")
    (tmp_path / "sound.wav").write_bytes(b"sound")
    return tmp_path


@pytest.mark.slow
def test_processes_share_what_takes_longer_than_a_collective_may(folder: Path) -> None:
    done = start(MODULE, folder, "share")
    assert done.returncode == 0, done.stderr[-4000:]
    first, second = (json.loads((folder / f"{rank}.json").read_text()) for rank in range(2))
    assert first["decoded"] == [str(i) for i in range(0, CLIPS, 2)]
    assert second["decoded"] == [str(i) for i in range(1, CLIPS, 2)]
    assert first["embedded"] == second["embedded"] == CLIPS // 2
    values = torch.tensor(first["values"])
    assert torch.equal(values, torch.tensor(second["values"]))
    assert len(values.unique(dim=0)) == CLIPS


@pytest.mark.slow
def test_a_collective_would_have_given_up(folder: Path) -> None:
    done = start(MODULE, folder, "collective")
    assert done.returncode != 0
    assert "timeout" in done.stderr.lower() or "timed out" in done.stderr.lower()


def test_a_changed_option_of_a_frozen_encoder_is_not_answered_from_the_cache(tiny_config, tmp_path: Path) -> None:
    model = save_decoder(tmp_path / "model")
    encoder = f"{{name: text_pretrained, model: '{model}', max_tokens: 40}}"
    path = tiny_config(tmp_path, modalities=("text",), encoders=f"{{text: {encoder}}}", training="{freeze: [text]}")

    def losses(cache: str, pooling: str) -> list[float]:
        given = [f"data.cache={tmp_path / cache}", f"encoders.text.pooling={pooling}", "training.epochs=1"]
        run = train(load_config(path, given), tmp_path / f"{cache}-{pooling}")
        return [epoch["val"]["loss"] for epoch in run.stages["text"].history]

    first = losses("shared", "mean")
    assert losses("shared", "last") == losses("fresh", "last") != first
