"""Stages through whole runs: learning without labels and from it, frozen encoders, several ways to fine-tune."""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import torch

import multiemo
from multiemo.cli import main
from multiemo.config import load_config, save_config
from multiemo.data.cache.tensors import TensorCache
from multiemo.data.collate import BucketSampler
from multiemo.data.manifest.reading import read_manifest, write_manifest
from multiemo.errors import CheckpointError, ConfigError, ManifestError, SplitError
from multiemo.inputs import dataset
from multiemo.runs import evaluate_run, load_bundle, train
from multiemo.runs import model_folder as bundles
from multiemo.runs.pipeline import _Session
from multiemo.training.checkpoint import load_tensors
from tests.support.jsonl import read_lines


@pytest.fixture(scope="module")
def unlabelled(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small corpus without its labels."""
    path = tmp_path_factory.mktemp("unlabelled") / "unlabelled.jsonl"
    (path.parent / "media").symlink_to(small_corpus.parent / "media")
    bare = {
        "label": None,
        "label_set": None,
        "valence": None,
        "arousal": None,
        "dominance": None,
        "modality_labels": {},
    }
    write_manifest([replace(clip, **bare) for clip in read_manifest(small_corpus)], path)
    return path


@pytest.fixture(scope="module")
def configured(tiny_config, unlabelled):
    """(folder, overrides) -> a config over the unlabelled corpus."""

    def load(folder: Path, *overrides: str, **lines: str):
        folder.mkdir(exist_ok=True)
        named = any(line.startswith("data.manifest=") for line in overrides)
        manifest = [] if named else [f"data.manifest={unlabelled}"]
        return load_config(tiny_config(folder, **lines), [*manifest, *overrides])

    return load


#: Where the tiny encoders hold what learning without labels does not reach: what pools, projects, or reads no tokens.
AFTER_MASKING = {
    "text": {"ngrams", "transformer"},
    "speech": {"pool", "summary", "project"},
    "face": {"backbone", "project"},
}


def weights(folder: Path, m: str) -> dict[str, torch.Tensor]:
    tensors, _ = load_tensors(folder / "model.safetensors")
    return {k: v for k, v in tensors.items() if k.startswith(f"encoders.{m}.")}


@pytest.mark.parametrize("m", ["text", *(pytest.param(m, marks=pytest.mark.slow) for m in ("speech", "face"))])
def test_a_branch_learns_without_labels_and_a_run_begins_from_it(m, configured, small_corpus, tmp_path):
    longer = ["training.epochs=8", "training.lr=3.0e-3"] if m == "speech" else []  # hidden sound is learnt late
    pre = configured(tmp_path / "a", "training.objective=masked", *longer, modalities=(m,))
    run = train(pre, tmp_path / "pre")
    assert run.bundle is None
    assert run.validation is None
    last = run.stages[m].history[-1]["val"]
    assert set(last) == {"loss", "naive_loss"}
    assert last["loss"] < run.stages[m].history[0]["val"]["loss"]
    branch = tmp_path / "pre" / "branches" / m
    begun = load_bundle(branch, labels=False).model.encoders[m]
    assert {n.partition(".")[0] for n in begun.untrained} == AFTER_MASKING[m]
    with pytest.raises(CheckpointError, match=rf"trained without labels .*fine-tune it with init\.{m}="):
        load_bundle(branch)

    begin = [f"data.manifest={small_corpus}", f"init.{m}={branch}", "training.epochs=1"]
    kept = train(configured(tmp_path / "b", *begin, f"training.freeze=[{m}]", modalities=(m,)), tmp_path / "kept")
    before = weights(branch, m)
    assert all(torch.equal(v, before[k]) for k, v in weights(kept.folder / "model", m).items())
    tuned = train(configured(tmp_path / "c", *begin, modalities=(m,)), tmp_path / "tuned")
    assert tuned.validation is not None
    assert any(not torch.equal(v, before[k]) for k, v in weights(tuned.folder / "model", m).items())
    assert load_bundle(kept.folder).model.encoders[m].untrained == begun.untrained
    assert not load_bundle(tuned.folder).model.encoders[m].untrained
    before_seen, after = load_bundle(branch, labels=False).seen, tuned.bundle.seen
    assert before_seen.counts()["clips"] > 0
    assert (after | before_seen).counts() == after.counts()


@pytest.mark.slow
def test_clips_modalities_against_each_other(configured, tmp_path):
    lines = {"stages": "[fuse]", "training": "{objective: contrastive, epochs: 12, batch_size: 8, lr: 3.0e-3}"}
    run = train(configured(tmp_path / "a", **lines), tmp_path / "run")
    history = run.stages["fuse"].history
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[0]["val"]["naive_loss"] == pytest.approx(history[1]["val"]["naive_loss"])
    for m in ("text", "speech", "face"):
        bundle = load_bundle(tmp_path / "run" / "branches" / m, labels=False)
        assert bundle.model.modalities == (m,)
        assert bundle.facts["objective"] == "contrastive"
    assert not (tmp_path / "run" / "model").exists()


def test_pretraining_on_a_test_speaker_is_refused(configured, small_corpus, tmp_path):
    run = train(
        configured(tmp_path / "a", "training.objective=masked", "training.epochs=1", modalities=("text",)),
        tmp_path / "pre",
    )
    assert run.folder.is_dir()
    tune = configured(
        tmp_path / "b", f"data.manifest={small_corpus}", f"init.text={tmp_path}/pre/branches/text",
        "data.split.seed=2", modalities=("text",),
    )  # fmt: skip
    with pytest.raises(SplitError, match=r"init\.text .* was trained or selected on"):
        train(tune, tmp_path / "tuned")


def test_a_branch_by_speakers_is_refused_where_its_clips_are_tested(tiny_config, tiny_run, tmp_path):
    """The split of the new run keeps clips apart, so it names none of the speakers that the branch has seen."""
    by_clip = ["data.split.group_by=clip", f"branches.text={tiny_run}/branches/text", "training.epochs=1"]
    config = load_config(tiny_config(tmp_path, modalities=("text", "speech")), by_clip)
    with pytest.raises(SplitError, match=r"branches\.text .* was trained or selected on clip 'synthetic-demo:spk"):
        train(config, tmp_path / "run")


def test_a_branch_by_clips_is_refused_where_its_speakers_are_tested(tiny_config, tmp_path):
    by_clip = ["data.split.group_by=clip", "training.epochs=1"]
    train(load_config(tiny_config(tmp_path, modalities=("text",)), by_clip), tmp_path / "first")
    begun = [f"init.text={tmp_path}/first/branches/text", "training.epochs=1"]
    with pytest.raises(SplitError, match=r"init\.text .* was trained or selected on speaker 'synthetic-demo:spk"):
        train(load_config(tiny_config(tmp_path, modalities=("text",)), begun), tmp_path / "second")


def test_whom_a_checkpoint_has_seen_cannot_be_left_out(tiny_run, tmp_path):
    shutil.copytree(tiny_run / "branches" / "text", tmp_path / "text")
    (tmp_path / "text" / "seen.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"seen\.safetensors: cannot be read"):
        load_bundle(tmp_path / "text")


@pytest.mark.parametrize("there", [(), ("opencv-python",), ("opencv-python-headless", "opencv-contrib-python")])
def test_any_opencv_will_do_and_no_version_that_is_not_known_stops_the_saving(there, tiny_run, tmp_path, monkeypatch):
    def version(name: str) -> str:
        if name in there:
            return "4.9"
        raise PackageNotFoundError(f"No package metadata was found for {name}")

    monkeypatch.setattr(bundles, "version", version)
    bundles.save_bundle(load_bundle(tiny_run), tmp_path / "model")
    kept = json.loads((tmp_path / "model" / "config.json").read_text("utf-8"))["versions"]
    assert kept == {
        "multiemo": multiemo.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        **dict.fromkeys(there, "4.9"),
    }


def test_what_cannot_be_begun_from_is_named(configured, small_corpus, tiny_run, tmp_path):
    manifest = f"data.manifest={small_corpus}"
    other = configured(tmp_path / "a", manifest, f"init.text={tiny_run}/branches/speech", modalities=("text",))
    with pytest.raises(CheckpointError, match=r"init\.text: .* has no text encoder 'text_transformer'"):
        train(other, tmp_path / "one")
    larger = configured(
        tmp_path / "b", manifest, f"init.text={tiny_run}/branches/text", "encoders.text.dim=16", modalities=("text",)
    )
    with pytest.raises(CheckpointError, match=r"init\.text: .* do not fit encoders\.text"):
        train(larger, tmp_path / "two")


def test_objectives_belong_to_their_stages(tiny_config, tmp_path):
    with pytest.raises(ConfigError, match=r"per_stage\.fuse\.objective: 'masked' is for the stage of one modality"):
        load_config(tiny_config(tmp_path), ["per_stage.fuse.objective=masked"])
    with pytest.raises(ConfigError, match=r"per_stage\.text\.objective: 'contrastive' is for the stage 'fuse'"):
        load_config(tiny_config(tmp_path), ["per_stage.text.objective=contrastive"])


def test_labels_are_asked_for_where_they_are_needed(configured, tmp_path):
    with pytest.raises(ManifestError, match="no row has a label"):
        train(configured(tmp_path / "a", modalities=("text",)), tmp_path / "run")


# ----------------------------------------------------------------------------------------------- frozen encoders
FREEZE = "{fuse: {freeze: [text, speech, face], branch_loss: 0.3}}"


def fuse_frozen(tiny_config, tiny_run, folder: Path, out: Path, *overrides: str):
    branches = "{" + ", ".join(f"{m}: '{tiny_run}/branches/{m}'" for m in ("text", "speech", "face")) + "}"
    folder.mkdir(exist_ok=True)
    config = load_config(tiny_config(folder, branches=branches, per_stage=FREEZE), list(overrides))
    return train(config, out)


def test_frozen_encoders_feed_the_fusion_from_the_cache_with_the_same_outcome(
    tiny_config, tiny_run, tmp_path, monkeypatch
):
    cached = fuse_frozen(tiny_config, tiny_run, tmp_path / "a", tmp_path / "cached")
    in_loop = tmp_path / "loop"
    monkeypatch.setattr("multiemo.runs.stage._frozen_samples", lambda *given: None)
    looped = fuse_frozen(tiny_config, tiny_run, tmp_path / "b", in_loop)
    for ours, theirs in zip(cached.stages["fuse"].history, looped.stages["fuse"].history, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-4)
        assert ours["val"] == pytest.approx(theirs["val"], abs=1e-4)
    state = looped.bundle.model.state_dict()
    for key, value in cached.bundle.model.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("fusion", ["{name: decision}", "{name: gated, dim: 16}"])
def test_the_fusion_does_not_train_the_heads_of_frozen_branches_again(tiny_config, tmp_path, fusion):
    """They would learn to be certain of clips that their branches have learnt by heart."""
    per_stage = "{fuse: {freeze: [speech], epochs: 4, lr: 1.0e-2}}"
    config = tiny_config(tmp_path, modalities=("text", "speech"), fusion=fusion, per_stage=per_stage)
    run = train(load_config(config), tmp_path / "run")
    model = load_bundle(run.folder).model
    for m, kept in (("speech", True), ("text", False)):
        before = load_bundle(run.folder / "branches" / m).model
        after = model.branch_heads[m].state_dict()
        assert all(torch.equal(x, after[k]) for k, x in before.branch_heads[m].state_dict().items()) == kept, m
        prior = model.branch_priors[model.modalities.index(m)]
        assert torch.equal(prior, (before if kept else model).effective_prior)


@pytest.mark.slow
def test_embeddings_are_computed_once_and_again_for_other_weights(tiny_config, tiny_run, tmp_path, monkeypatch):
    fuse_frozen(tiny_config, tiny_run, tmp_path / "a", tmp_path / "first")
    computed: list[int] = []
    real = TensorCache.put_many

    def counted(self, items):
        items = list(items)
        computed.append(len(items))
        return real(self, items)

    monkeypatch.setattr(TensorCache, "put_many", counted)
    fuse_frozen(tiny_config, tiny_run, tmp_path / "b", tmp_path / "second")
    assert not computed
    other = train(load_config(tiny_config(tmp_path, modalities=("speech",)), ["seed=8"]), tmp_path / "other")
    fuse_frozen(
        tiny_config, tiny_run, tmp_path / "c", tmp_path / "third", f"branches.speech={other.folder}/branches/speech"
    )
    assert sum(computed) > 0


def fuse_text(tiny_config, tiny_run, folder: Path, encoder: str):
    folder.mkdir()
    lines = {"encoders": f"{{text: {encoder}}}", "branches": f"{{text: '{tiny_run}/branches/text'}}"}
    return load_config(tiny_config(folder, modalities=("text",), stages="[fuse]", **lines))


def test_a_fused_model_is_stored_with_the_options_of_its_branch(tiny_config, tiny_run, tmp_path):
    config = fuse_text(tiny_config, tiny_run, tmp_path / "a", "{name: text_transformer}")
    fused = train(config, tmp_path / "run").bundle
    again, branch = load_bundle(tmp_path / "run"), load_bundle(tiny_run / "branches" / "text")
    assert again.config.encoders["text"] == branch.config.encoders["text"]
    x, mask = torch.tensor([[2, 20, 21, 22, 3]]), torch.ones(1, 5, dtype=torch.bool)
    embedded = [bundle.model.encoders["text"].eval()(x, mask) for bundle in (fused, again)]
    assert torch.equal(*embedded)


@pytest.mark.parametrize(
    ("option", "own"), [("dim: 48", 32), ("token_dropout: 0.33", 0.15), ("characters: true", False)]
)
def test_options_that_differ_from_those_of_a_branch_are_refused(tiny_config, tiny_run, tmp_path, option, own):
    key, value = option.split(": ")
    config = fuse_text(tiny_config, tiny_run, tmp_path / "a", f"{{name: text_transformer, {option}}}")
    said = rf"^encoders\.text\.{key}: is {value.title()}, but branches\.text \(.*\) was trained with {own} and is used"
    with pytest.raises(ConfigError, match=said):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()


# -------------------------------------------------------------------------------------------------- the run's rest
def test_a_resumed_run_logs_every_epoch_once(tiny_config, tmp_path, monkeypatch):
    config = load_config(tiny_config(tmp_path, modalities=("text",)), ["training.epochs=4"])

    class Killed(Exception):
        pass

    real = _Session._epoch

    def falls(self, stage, record):
        if record["epoch"] == 3:
            raise Killed  # after the state is written, before the log
        real(self, stage, record)

    monkeypatch.setattr(_Session, "_epoch", falls)
    with pytest.raises(Killed):
        train(config, tmp_path / "run")
    monkeypatch.setattr(_Session, "_epoch", real)
    train(config, tmp_path / "run", resume=True)
    records = read_lines(tmp_path / "run" / "metrics.jsonl")
    assert [r["epoch"] for r in records] == [1, 2, 3, 4]
    straight = train(config, tmp_path / "straight")
    assert [r["loss"] for r in records] == [r["loss"] for r in straight.stages["text"].history]


@pytest.mark.slow
def test_a_profile_is_written(tiny_config, tmp_path):
    config = load_config(tiny_config(tmp_path, modalities=("text",)), ["training.epochs=4"])
    train(config, tmp_path / "run", profile=True)
    trace = json.loads((tmp_path / "run" / "profile" / "text.json").read_text())
    assert any("addmm" in event.get("name", "") for event in trace["traceEvents"])
    assert "Self CPU" in (tmp_path / "run" / "profile" / "text.txt").read_text()


@pytest.mark.slow
def test_ways_to_fine_tune_go_through_a_run(tiny_config, tmp_path):
    settings = (
        "{epochs: 2, batch_size: 8, lr: 1.0e-3, layer_decay: {text: 0.7, face: 0.9}, unfreeze: {speech: 0.5},"
        " focal: 1.5, balanced_sampling: 0.5, modulation: 0.3, gradient_checkpointing: true, ema: 0.9, save_steps: 2,"
        " keep: 2, budget: {speech: 20, text: 300, face: 40}}"
    )
    run = train(load_config(tiny_config(tmp_path, training=settings)), tmp_path / "run")
    assert run.validation.n > 0
    assert evaluate_run(tmp_path / "run").n > 0


def test_the_command_says_what_was_learnt_and_how_to_go_on(configured, tmp_path, monkeypatch, capsys):
    save_config(configured(tmp_path / "a", "training.objective=masked", modalities=("text",)), tmp_path / "c.yaml")
    monkeypatch.setattr("sys.argv", ["multiemo", "train", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    said = capsys.readouterr().out
    assert "text: validation loss" in said
    assert "naive" in said
    assert f"next:  fine-tune it with init.text={tmp_path}/run/branches/text" in said
    assert said.count("next:") == 1


@pytest.mark.slow
def test_a_part_larger_than_memory_is_read_by_workers_with_the_same_outcome(tiny_config, tmp_path, monkeypatch):
    config = load_config(tiny_config(tmp_path, modalities=("speech",)), ["training.epochs=1"])
    held = train(config, tmp_path / "held")
    monkeypatch.setattr(dataset, "MEMORY_LIMIT", 0)
    read = train(config, tmp_path / "read")
    assert read.stages["speech"].history[0]["loss"] == held.stages["speech"].history[0]["loss"]
    branches = f"{{speech: '{tmp_path}/held/branches/speech', text: '{tmp_path}/text/branches/text'}}"
    train(load_config(tiny_config(tmp_path, modalities=("text",)), ["training.epochs=1"]), tmp_path / "text")
    frozen = {"branches": branches, "per_stage": "{fuse: {freeze: [speech]}}", "modalities": ("text", "speech")}
    fused = load_config(tiny_config(tmp_path, **frozen), ["training.epochs=1"])
    read = train(fused, tmp_path / "fused_read")
    monkeypatch.undo()
    held = train(fused, tmp_path / "fused_held")
    assert read.stages["fuse"].history[0]["loss"] == held.stages["fuse"].history[0]["loss"]


# Length goes with the label: from clips of one length, batch normalisation removes what tells them from others.
@pytest.mark.parametrize(
    ("stage", "freeze", "at_random"),
    [("speech", "[]", True), ("text", "[]", False), ("fuse", "[]", True), ("fuse", "[speech, face]", False)],
)
def test_batches_of_layers_that_normalise_over_them_are_drawn_at_random(
    stage, freeze, at_random, tiny_config, tiny_run, tmp_path, monkeypatch
):
    asked = []

    class Recorder(BucketSampler):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            asked.append((self.shuffle, self.similar_lengths))

    monkeypatch.setattr("multiemo.runs.batches.BucketSampler", Recorder)
    freezing = f"per_stage={{fuse: {{freeze: {freeze}}}}}"
    if stage == "fuse":
        fuse_frozen(tiny_config, tiny_run, tmp_path / "config", tmp_path / "run", freezing)
    else:
        train(load_config(tiny_config(tmp_path, modalities=(stage,))), tmp_path / "run")
    assert [similar for shuffled, similar in asked if shuffled] == [not at_random]
