"""A stage with nothing to train: rules are validated, calibrated and saved, and then fused like any other branch."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import multiemo
from multiemo.config import parse_config
from multiemo.data.manifest.reading import write_manifest
from multiemo.encoders.common.deferred import Deferred
from multiemo.errors import CheckpointError
from multiemo.predict import load
from multiemo.progress import Progress
from multiemo.runs import Run, evaluate_run, load_bundle, train
from multiemo.types import Batch, Clip, FeatureRef, Modality

WORDS = {"happy": "I am so happy", "sad": "what a sad story", "neutral": "pass me the salt"}
VALENCE = {"happy": 0.7, "sad": -0.6, "neutral": 0.0}


class Notes(Progress):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """As :meth:`Progress.note`."""
        self.notes.append(text)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 clips of 12 people with words and features of the face; some lack one of the two."""
    folder = tmp_path_factory.mktemp("clips")
    draw, noise = random.Random(3), np.random.default_rng(3)
    clips = []
    for i in range(96):
        label = draw.choice(list(WORDS))
        text = WORDS[label] if draw.random() < 0.7 else "pass me the salt"
        values = noise.normal(size=(1, 3)).astype(np.float32)
        values[0, list(WORDS).index(label)] += 1.5
        np.save(folder / f"{i}.npy", values)
        clips.append(
            Clip(
                id=f"c{i}",
                corpus="toy",
                speaker=f"s{i % 12}",
                text=None if i % 8 == 0 else text,
                features={} if i % 8 == 1 else {"face": FeatureRef(f"{i}.npy")},
                label_set="ekman7",
                label=label,
                valence=VALENCE[label],
                arousal=0.1,
            )
        )
    write_manifest(clips, folder / "m.jsonl")
    return folder / "m.jsonl"


def run(manifest: Path, out: Path, progress: Progress | None = None, **keys: Any) -> Run:
    values = {
        "name": "rules",
        "label_set": "ekman7",
        "device": "cpu",
        "data": {"manifest": str(manifest)},
        "encoders": {"text": {"name": "text_rules"}},
        "stages": ["text"],
        "training": {"epochs": 2},
        **keys,
    }
    return train(parse_config({k: v for k, v in values.items() if v is not None}), out, progress=progress)


FUSED = {
    "encoders": {"text": {"name": "text_rules"}, "face": {"name": "features", "hidden": 8}},
    "stages": ["text", "face", "fuse"],
}


def test_rules_alone_are_validated_calibrated_and_saved(manifest: Path, tmp_path: Path) -> None:
    progress = Notes()
    result = run(manifest, tmp_path / "run", progress)
    assert "text: text_rules has nothing to train" in progress.notes
    assert (result.stages["text"].epochs, result.stages["text"].history) == (0, [])
    assert result.bundle is not None
    assert result.bundle.facts["validation"]["uar"] == pytest.approx(result.stages["text"].best["uar"], abs=1e-4)
    assert "T" in result.bundle.calibration.temperatures
    report = evaluate_run(tmp_path / "run")
    assert report.subsets["T"].wf1 > report.majority.wf1 + 0.2
    saved, again = load_bundle(tmp_path / "run"), load_bundle(tmp_path / "run", deferred=True)
    assert list(saved.model.state_dict()) == ["prior", "effective_prior", "branch_priors"]
    assert not any(isinstance(part, Deferred) for part in again.model.encoders._modules.values())
    for bundle in (saved, again):
        assert not list(bundle.model.parameters())
    predictor = multiemo.load(tmp_path / "run")
    segment = predictor.predict(text="I am so happy").segments[0]
    assert (segment.label, segment.contribution["text"] > 0.2) == ("happy", True)


def test_a_clip_on_which_no_rule_fires_gets_the_prior(manifest: Path, tmp_path: Path) -> None:
    result = run(manifest, tmp_path / "run")
    assert result.bundle is not None
    model = result.bundle.model
    nothing = torch.zeros(1, model.encoders["text"].out_dim)
    for presence in (True, False):
        logits = model.fuse({"text": nothing}, {"text": torch.tensor([presence])})
        assert torch.allclose(logits.softmax(1)[0], model.effective_prior, atol=1e-4)


def test_class_weights_move_the_prior_of_the_rules_too(manifest: Path, tmp_path: Path) -> None:
    result = run(manifest, tmp_path / "run", training={"epochs": 1, "class_weights": 1.0})
    assert result.bundle is not None
    model = result.bundle.model
    logits = model.fuse({"text": torch.zeros(1, 12)}, {"text": torch.tensor([True])})
    assert torch.allclose(logits.softmax(1)[0], model.effective_prior, atol=1e-4)
    assert not torch.allclose(model.effective_prior, model.prior, atol=1e-3)
    assert "T" in result.bundle.calibration.temperatures
    assert evaluate_run(tmp_path / "run").subsets["T"].uar > 0.5


def batch_of(model: Any, patterns: list[tuple[bool, bool]], text: torch.Tensor) -> Batch:
    size = len(patterns)
    torch.manual_seed(0)
    inputs: dict[Modality, torch.Tensor] = {"text": text.expand(size, 1, -1).clone(), "face": torch.randn(size, 1, 3)}
    presence: dict[Modality, torch.Tensor] = {
        m: torch.tensor([p[i] for p in patterns]) for i, m in enumerate(("text", "face"))
    }
    masks = {m: presence[m].unsqueeze(1) for m in inputs}
    names = [str(i) for i in range(size)]
    classes = len(model.prior)
    return Batch(names, names, names, inputs, masks, presence, [{}] * size, torch.zeros(size, classes),
                 torch.zeros(size, dtype=torch.bool), torch.full((size, 3), torch.nan))  # fmt: skip


@pytest.mark.parametrize("fusion", ["decision", "concat", "gated"])
def test_rules_fuse_with_a_trained_branch(fusion: str, manifest: Path, tmp_path: Path) -> None:
    result = run(manifest, tmp_path / "run", fusion={"name": fusion}, **FUSED)
    assert result.bundle is not None
    model = result.bundle.model.eval()
    patterns = [(True, True), (True, False), (False, True), (False, False)]
    vector = torch.zeros(1, 1, model.encoders["text"].out_dim)
    output = model(batch_of(model, patterns, vector), subsets=("T", "F", "TF"))
    assert output.logits.isfinite().all()
    assert torch.allclose(output.logits[3].softmax(0), model.effective_prior, atol=1e-4)
    if fusion == "decision":  # rules that do not fire change nothing
        assert torch.allclose(output.by_subset["TF"][0], output.by_subset["F"][0], atol=1e-4)
        vector[..., 1] = 1.0
        spoken = model(batch_of(model, patterns, vector), subsets=("F", "TF"))
        assert not torch.allclose(spoken.by_subset["TF"][0], spoken.by_subset["F"][0], atol=1e-2)
    report = evaluate_run(tmp_path / "run")
    assert set(report.subsets) == {"T", "F", "TF"}
    lazy = load_bundle(tmp_path / "run", deferred=True)
    assert [type(p).__name__ for p in lazy.model.encoders._modules.values()] == ["TextRulesEncoder", "Deferred"]
    again = lazy.model(batch_of(model, patterns, vector), subsets=("T", "F", "TF"))
    for key, logits in model(batch_of(model, patterns, vector), subsets=("T", "F", "TF")).by_subset.items():
        assert torch.allclose(logits, again.by_subset[key], atol=1e-5)


def test_a_frozen_branch_of_rules_is_embedded_like_any_other(manifest: Path, tmp_path: Path) -> None:
    frozen = run(manifest, tmp_path / "a", per_stage={"fuse": {"freeze": ["text"]}}, seed=1, **FUSED)
    plain = run(manifest, tmp_path / "b", seed=1, **FUSED)
    assert frozen.bundle is not None
    assert plain.bundle is not None
    weights = dict(plain.bundle.model.state_dict())
    for key, value in frozen.bundle.model.state_dict().items():
        assert key == "branch_priors" or torch.allclose(value, weights[key], atol=1e-5), key
    own = load_bundle(tmp_path / "a" / "branches" / "text").model.effective_prior
    assert torch.equal(frozen.bundle.model.branch_priors[0], own), "a frozen branch is left as it is"


def test_a_saved_model_asks_for_its_lexicon(manifest: Path, tmp_path: Path) -> None:
    lexicon = tmp_path / "mine.txt"
    lexicon.write_text("salt\t-3.0\n", "utf-8")
    run(manifest, tmp_path / "run", encoders={"text": {"name": "text_rules", "lexicon": str(lexicon)}})
    segment = load(tmp_path / "run").predict(text="pass me the salt").segments[0]
    assert segment.probs is not None
    assert segment.probs["sad"] > segment.probs["happy"]
    lexicon.unlink()
    for deferred in (False, True):
        with pytest.raises(CheckpointError, match=r"mine\.txt is missing; model folders do not contain it"):
            load_bundle(tmp_path / "run", deferred=deferred)


def test_a_branch_of_rules_can_be_taken_over(manifest: Path, tmp_path: Path) -> None:
    run(manifest, tmp_path / "words")
    stages = {"encoders": FUSED["encoders"], "stages": ["face", "fuse"]}
    result = run(manifest, tmp_path / "both", branches={"text": str(tmp_path / "words")}, **stages)
    assert result.bundle is not None
    assert set(result.stages) == {"face", "fuse"}


def test_several_labels_at_once(manifest: Path, tmp_path: Path) -> None:
    result = run(manifest, tmp_path / "run", task="multi")
    assert result.bundle is not None
    model = result.bundle.model
    logits = model.fuse({"text": torch.zeros(1, 12)}, {"text": torch.tensor([True])})
    assert torch.allclose(logits.sigmoid()[0], model.effective_prior.clamp(1e-6), atol=1e-4)


def test_valence_and_arousal_without_labels(manifest: Path, tmp_path: Path) -> None:
    run(manifest, tmp_path / "run", task="dimensions", label_set=None)
    predictor = load(tmp_path / "run")
    happy, plain, sad = (predictor.predict(text=t).segments[0] for t in ("I am happy", "the salt", "I am sad"))
    assert happy.valence is not None
    assert plain.valence is not None
    assert sad.valence is not None
    assert happy.valence > 0.4
    assert sad.valence < -0.3
    assert plain.valence == pytest.approx(float(predictor.model.prior[0]), abs=1e-3)


def test_valence_beside_labels(manifest: Path, tmp_path: Path) -> None:
    run(manifest, tmp_path / "run", dimensions=True)
    predictor = load(tmp_path / "run")
    segment = predictor.predict(text="I am happy").segments[0]
    assert (segment.label, segment.valence is not None and segment.valence > 0.4) == ("happy", True)
    assert json.loads((tmp_path / "run" / "model" / "config.json").read_text())["config"]["dimensions"]
