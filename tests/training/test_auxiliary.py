"""Labels from other sources, from the manifest to the trainer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from multiemo.build import train
from multiemo.config import parse_config
from multiemo.data.manifest import write_manifest
from multiemo.data.targets import LabelSpace
from multiemo.errors import ConfigError
from multiemo.types import Clip

WORDS = {"positive": "a good day", "negative": "what a bad night"}


def clips(*, judged: bool) -> list[Clip]:
    """Twelve speakers of two clips each, with what was judged from the voice or without."""
    rows = []
    for i in range(24):
        label = list(WORDS)[i % 2]
        others = {"speech": label} if judged else {}
        rows.append(
            Clip(
                id=f"c{i}", corpus="t", speaker=f"s{i // 2}", text=WORDS[label], label_set="polarity3",
                label=label, modality_labels=others,
            )
        )  # fmt: skip
    return rows


def config(manifest: Path):
    return parse_config(
        {
            "name": "t",
            "label_set": "polarity3",
            "data": {"manifest": str(manifest)},
            "encoders": {"text": {"name": "text_transformer", "layers": 0, "ngram_buckets": 64, "vocab_size": 512}},
            "stages": ["text"],
            "training": {"epochs": 1, "auxiliary_loss": 0.5},
            "device": "cpu",
        }
    )


def test_targets_of_the_other_sources_in_their_order():
    clip = Clip(
        id="a", corpus="t", text="x", label_set="polarity3", label="neutral",
        modality_labels={"text": "positive", "face": "negative"},
    )  # fmt: skip
    space = LabelSpace("polarity3", label_from="text")
    clip_says, speech_says, face_says = space.other_targets(clip)
    assert space.labels[int(clip_says.argmax())] == "neutral"
    assert not speech_says.any()
    assert space.labels[int(face_says.argmax())] == "negative"
    assert LabelSpace("polarity3").other_targets(clip).sum() == 2  # the text's and the face's


def test_a_run_learns_them_and_keeps_no_heads(tmp_path: Path):
    manifest = tmp_path / "m.jsonl"
    write_manifest(clips(judged=True), manifest)
    run = train(config(manifest), tmp_path / "run")
    assert run.stages["text"].epochs == 1
    assert not [k for k in run.bundle.model.state_dict() if "auxiliary" in k]
    (state,) = (run.folder / "state" / "text").glob("step-*.safetensors")
    with safe_open(state, framework="pt") as file:
        assert [k for k in file.keys() if k.startswith("objective/auxiliary.heads")]  # noqa: SIM118
    assert torch.isfinite(torch.tensor(run.stages["text"].history[0]["loss"]))


def test_a_corpus_without_them_is_refused(tmp_path: Path):
    manifest = tmp_path / "m.jsonl"
    write_manifest(clips(judged=False), manifest)
    with pytest.raises(ConfigError, match=r"training\.auxiliary_loss: no clip of train has a label"):
        train(config(manifest), tmp_path / "run")
