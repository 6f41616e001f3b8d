"""Auxiliary heads: targets of other sources, their loss, their rate, and runs with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from multiemo.config import TrainingConfig, parse_config
from multiemo.data.collate import Collate
from multiemo.data.manifest.reading import write_manifest
from multiemo.data.targets import LabelSpace
from multiemo.errors import ConfigError
from multiemo.runs import train
from multiemo.training.auxiliary import AuxiliaryHeads, auxiliary_loss
from multiemo.training.losses import label_loss
from multiemo.training.optim import build_optimizer
from multiemo.types import Clip
from tests.support.tiny_training import (
    CLASSES,
    Killed,
    assert_same_weights,
    fit,
    labels,
    make_branch,
    make_samples,
    say_others,
)

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


def test_auxiliary_loss_sums_the_sources_over_the_rows_they_speak_of():
    torch.manual_seed(0)
    logits, targets = torch.randn(4, 3, CLASSES), torch.eye(CLASSES)[torch.randint(0, CLASSES, (4, 3))]
    targets[1, 0] = targets[:, 2] = 0
    first = label_loss(logits[[0, 2, 3], 0], targets[[0, 2, 3], 0], torch.ones(3, dtype=torch.bool))
    second = label_loss(logits[:, 1], targets[:, 1], torch.ones(4, dtype=torch.bool))
    torch.testing.assert_close(auxiliary_loss(logits, targets, task="single"), first + second)
    assert auxiliary_loss(logits, None, task="single") == 0
    assert AuxiliaryHeads(5, CLASSES)(torch.randn(4, 5)).shape == logits.shape


def test_a_branch_learns_from_other_sources_alone():
    samples = make_samples(60, 0)
    say_others(samples, [i % CLASSES for i in range(60)])
    for sample in samples:
        sample.target = torch.eye(CLASSES)[int(torch.randint(0, CLASSES, ()))]  # the label itself says nothing
    model, without = make_branch(), make_branch()
    fit(model, TrainingConfig(epochs=8, lr=5e-3, auxiliary_loss=3.0), samples=samples)
    fit(without, TrainingConfig(epochs=8, lr=5e-3), samples=samples)
    held = Collate(("speech",), CLASSES)(make_samples(90, 2))

    def spread(branch):  # of the labels' mean embeddings, against that within labels
        with torch.no_grad():
            x = branch.eval()(held).embeddings["speech"]
        means = torch.stack([x[held.target[:, c] == 1].mean(0) for c in range(CLASSES)])
        return float(means.var(0).sum() / (x - means[held.target.argmax(1)]).var(0).sum())

    assert spread(model) > 1.2 * spread(without)
    assert model.state_dict().keys() == without.state_dict().keys()  # the heads are not kept


def test_a_branch_with_auxiliary_heads_resumes_bit_for_bit(tmp_path):
    settings = TrainingConfig(epochs=4, lr=3e-3, auxiliary_loss=0.5, mixup=0.4)
    straight, broken, resumed = make_branch(), make_branch(), make_branch()
    samples = say_others(make_samples(60, 0), torch.arange(60) % 2)
    fit(straight, settings, tmp_path / "a", samples=samples)
    with pytest.raises(Killed):
        fit(broken, settings, tmp_path / "b", after_epoch=2, samples=samples)
    torch.manual_seed(99)
    fit(resumed, settings, tmp_path / "b", samples=samples)
    assert_same_weights(straight, resumed)


def test_auxiliary_heads_are_trained_at_the_rate_of_heads():
    settings = TrainingConfig(lr=1e-3, branch_lr={"speech": 1e-5}, auxiliary_loss=0.5)
    objective = labels(make_branch(), settings)
    optimizer = build_optimizer(objective, settings)
    rates = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert {rates[id(p)] for p in objective.auxiliary.parameters()} == {1e-3}
