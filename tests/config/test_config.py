from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

import multiemo
from multiemo.config import load_config, parse_config, save_config, stored_config
from multiemo.config.strict_yaml import read_yaml
from multiemo.errors import ConfigError
from tests.support.paths import ROOT

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
CONFIGS.append(Path(multiemo.__file__).with_name("demo.yaml"))

BASE = {
    "name": "x",
    "label_set": "polarity3",
    "data": {"manifest": "m.jsonl"},
    "encoders": {"text": {"name": "text_transformer", "dim": 64}},
    "stages": ["text"],
}


def write(tmp_path: Path, values: object) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    return path


def test_overrides_reach_any_depth_and_keep_yaml_types(tmp_path):
    config = load_config(
        write(tmp_path, BASE),
        ["training.lr=1e-4", "encoders.text.dim=32", "per_stage.text.epochs=3", "data.split.group_by=group"],
    )
    assert config.training.lr == pytest.approx(1e-4)
    assert config.encoders["text"].options == {"dim": 32}
    assert config.training_of("text").epochs == 3
    assert config.data.split.group_by == "group"


def test_no_is_a_precision_although_yaml_reads_it_as_false(tmp_path):
    assert load_config(write(tmp_path, BASE), ["precision=no"]).precision == "no"


def test_saved_config_is_complete_and_reads_back_equal(tmp_path):
    config = parse_config(BASE)
    save_config(config, tmp_path / "full.yaml")
    assert load_config(tmp_path / "full.yaml") == config
    assert "label_smoothing" in (tmp_path / "full.yaml").read_text("utf-8")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.epoch=3", "training.epoch: unknown config key; did you mean 'epochs'?"),
        ("trainin=3", "trainin: unknown config key; did you mean 'training'?"),
        ("data.split.kind=random", "data.split.kind"),
        ("training.epochs=many", "training.epochs: input should be a valid integer"),
        ("training.epochs=0", "greater than or equal to 1, got 0"),
        ("per_stage.text.lrate=1", "per_stage.text.lrate: unknown config key"),
        ("label_set=ekmann7", "unknown label set 'ekmann7'"),
        ("stages=[text, speech]", "'speech' has no encoder"),
        ("stages=[]", "name at least one"),
        ("per_stage.fuse.lr=1", "the stage is not in stages"),
        ("per_stage.fuse.lrate=1", "per_stage.fuse.lrate: unknown config key"),
        ("training.lr=.nan", "training.lr: input should be a finite number, got nan"),
        ("training.lr=.inf", "training.lr: input should be a finite number, got inf"),
        ("training.lr=-0.1", "greater than 0, got -0.1"),
        ("training.branch_lr.text=-0.1", "training.branch_lr.text: input should be greater than 0, got -0.1"),
        ("per_stage.text.branch_lr.text=-1e-3", "per_stage.text.branch_lr.text: input should be greater than 0"),
        ("training.epochs=yes", "training.epochs: 'true' is not a number"),
        ("seed=off", "seed: 'false' is not a number"),
        ("training={lr: 1, epochs: 2, lr: 3}", "key 'lr' is on line 1 and again on line 1"),
        ("data.split={val: 0}", "data.split: val: a tested model is selected on validation"),
        ("data.split={kind: kfold, test: 0}", "only kind 'holdout' can have no test part"),
        ("epochs", "write it as key.path=value"),
        ("name.x=3", "'name' is a value"),
        ("data.manifest=null", "either 'manifest' or 'sources'"),
    ],
)
def test_bad_keys_and_values_are_named(tmp_path, override, said):
    with pytest.raises(ConfigError) as error:
        load_config(write(tmp_path, BASE), [override])
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("where", ["training.modulation=0.5", "per_stage.fuse.modulation=0.5"])
def test_modulation_of_a_single_modality_is_refused(tmp_path, where):
    with pytest.raises(ConfigError, match=r"training\.modulation: 0\.5 .* 'text' is the only one; set it to 0 or add"):
        load_config(write(tmp_path, BASE), ["stages=[fuse]", where])
    load_config(write(tmp_path, BASE), ["stages=[fuse]", "training.modulation=0"])


TWO = {
    "name": "x",
    "label_set": "polarity3",
    "data": {"manifest": "m.jsonl"},
    "encoders": {"text": {"name": "text_transformer"}, "speech": {"name": "speech_prosody"}},
    "stages": ["text", "speech", "fuse"],
}
SOURCES = {"text": {"manifest": "a.jsonl"}, "speech": {"manifest": "b.jsonl"}}

OWN_SPLIT = ("data.split={kind: holdout, folds: 9}",)
#: (base, what is set, the key that is named, words of the reason)
IDLE = [
    (
        BASE,
        {"data.split": {"kind": "holdout", "folds": 9}},
        "data.split.folds",
        "only kind 'kfold' reads it, but the kind is 'holdout'",
    ),
    (BASE, {"data.split.train_speakers": ["a"]}, "data.split.train_speakers", "only kind 'speakers' reads it"),
    (BASE, {"data.split": {"kind": "kfold", "test": 0.3}}, "data.split.test", "only kind 'holdout' reads it"),
    (
        BASE,
        {"data.split": {"kind": "speakers", "val_as_test": True}},
        "data.split.val_as_test",
        "only kind 'official' reads it",
    ),
    (
        BASE,
        {"data.split": {"kind": "official", "test_corpora": ["a"]}},
        "data.split.test_corpora",
        "only kind 'corpora' reads it",
    ),
    (BASE, {"data.split.fold": 0}, "data.split.fold", "only kind 'kfold' reads it"),
    (
        BASE,
        {"data.per_label": {"train": 5, "val": 1, "test": 1}},
        "data.per_label",
        "needs the stage 'fuse' with data.sources",
    ),
    (TWO, {"data": {"sources": SOURCES, "split": {"val": 0.3}}}, "data.split", "set data.sources.MODALITY.split"),
    (
        TWO,
        {"data": {"sources": SOURCES, "label_from": "text"}},
        "data.label_from",
        "set data.sources.MODALITY.label_from",
    ),
    (
        TWO,
        {"data": {"sources": SOURCES | {"text": {"manifest": "a", "split": {"kind": "speakers", "val": 0.3}}}}},
        "data.sources.text.split.val",
        "names the speakers of each part",
    ),
    (TWO, {"data": {"sources": SOURCES}, "benchmark": {"seeds": 2}}, "benchmark", "reads a single manifest"),
    (BASE, {"benchmark.folds": 4}, "benchmark.folds", "that of data.split.kind holdout"),
    (BASE, {"benchmark": {"protocol": "official", "folds": 4}}, "benchmark.folds", "the protocol is official"),
    (BASE, {"fusion": {"name": "concat"}}, "fusion", "only the stage 'fuse' has a fusion"),
    (TWO, {"stages": ["text"]}, "encoders.speech", "neither 'speech' nor 'fuse'"),
    (
        BASE,
        {"branches.text": "runs/a"},
        "branches.text",
        "only the stage 'fuse' takes over a branch, and it is not in stages",
    ),
    (
        TWO,
        {"branches.text": "runs/a", "per_stage.text.lr": 0.1},
        "per_stage.text",
        "used unchanged, so this stage is skipped",
    ),
    (BASE, {"training.objective": "masked", "max_error": 0.1}, "max_error", "learns no labels, so it predicts none"),
    (BASE, {"training.branch_loss": 0.3}, "training.branch_loss", "it applies only to the stage 'fuse'"),
    (BASE, {"training.modulation": 0.3}, "training.modulation", "it applies only to the stage 'fuse'"),
    (
        TWO,
        {"per_stage.text.modality_dropout": 0.5},
        "per_stage.text.modality_dropout",
        "it applies only to the stage 'fuse'",
    ),
    (
        BASE,
        {"stages": ["fuse"], "training.modality_dropout": 0.5},
        "training.modality_dropout",
        "text is the only modality",
    ),
    (
        TWO,
        {"per_stage.fuse.auxiliary_loss": 1.0},
        "per_stage.fuse.auxiliary_loss",
        "it applies only to the stage of a modality",
    ),
    (TWO, {"stages": ["fuse"], "training.auxiliary_loss": 1.0}, "training.auxiliary_loss", "the stage of a modality"),
    (BASE, {"training.dimension_loss": 1.0}, "training.dimension_loss", "needs dimensions: true"),
    (BASE, {"training": {"select": "last", "patience": 3}}, "training.patience", "select: last keeps the last epoch"),
    (BASE, {"training": {"objective": "masked", "focal": 2.0}}, "training.focal", "'masked' learns without labels"),
    (BASE, {"training": {"objective": "masked", "monitor": "uar"}}, "training.monitor", "has no figure but the loss"),
    (
        TWO,
        {"per_stage.text.freeze": ["speech"]},
        "per_stage.text.freeze.speech",
        "the stage 'text' has no speech encoder",
    ),
    (BASE, {"training.budget": {"face": 9}}, "training.budget.face", "the stage 'text' has no face encoder"),
    (BASE, {"training.unfreeze": {"speech": 1}}, "training.unfreeze.speech", "has no speech encoder"),
    (
        TWO,
        {"training.layer_decay": {"face": 0.9}},
        "training.layer_decay.face",
        "in 'text', the stage 'text' has no face",
    ),
    (
        TWO,
        {"per_stage.fuse": {"freeze": ["text"], "branch_lr": {"text": 1e-4}}},
        "per_stage.fuse.branch_lr.text",
        "freeze keeps this encoder unchanged",
    ),
    (BASE, {"training.lr": 0.1, "per_stage.text.lr": 0.2}, "training.lr", "per_stage.text has its own"),
    (
        BASE,
        {"training.branch_lr": {"text": 1e-4}, "per_stage.text.branch_lr": {"text": 1e-5}},
        "training.branch_lr.text",
        "per_stage.text has its own",
    ),
    (BASE, {"training.freeze": ["text"], "per_stage.text.freeze": []}, "training.freeze.text", "has its own"),
]


def with_keys(base: dict[str, Any], keys: dict[str, Any]) -> dict[str, Any]:
    values = deepcopy(base)
    for path, value in keys.items():
        *parents, last = path.split(".")
        here = values
        for part in parents:
            here = here.setdefault(part, {})
        here[last] = value
    return values


@pytest.mark.parametrize(("base", "keys", "path", "why"), IDLE, ids=lambda v: v if isinstance(v, str) else "")
def test_a_key_that_cannot_take_effect_is_refused(tmp_path, base, keys, path, why):
    with pytest.raises(ConfigError) as error:
        load_config(write(tmp_path, with_keys(base, keys)))
    assert str(error.value).startswith(f"{path}: cannot take effect: ")
    assert why in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("base", "keys"),
    [
        (BASE, {"data.split": {"kind": "speakers", "train_speakers": ["a"], "val": 0.3}}),  # for folds of a benchmark
        (BASE, {"data.split": {"kind": "official", "test": 0.3}, "benchmark.protocol": "holdout"}),
        (BASE, {"data.split": {"kind": "kfold", "folds": 9}, "benchmark.folds": 4}),
        (TWO, {"training": {"auxiliary_loss": 1.0, "modality_dropout": 0.3, "branch_lr": {"text": 1e-4}}}),
        (TWO, {"training.freeze": ["text"], "per_stage.text.freeze": [], "training.branch_lr": {"text": 1e-4}}),
        (BASE, {"training": {"mixup": 0, "modulation": 0.0, "objective": "masked", "gradient_checkpointing": False}}),
        (BASE, {"training": {"objective": "masked", "monitor": "loss"}}),
        (BASE, {"task": "multi", "training.mixup": 0.4, "max_error": 0.2}),
        (
            TWO,
            {"training.budget": {"text": 9}, "per_stage": {s: {"budget": {"speech": 9}} for s in ("speech", "fuse")}},
        ),
        (TWO, {"data": {"sources": SOURCES, "per_label": {"train": 5, "val": 1, "test": 1}}}),
    ],
)
def test_a_key_that_one_stage_or_protocol_reads_is_taken(tmp_path, base, keys):
    load_config(write(tmp_path, with_keys(base, keys)))


def test_a_stage_s_values_per_modality_replace_those_of_the_modalities_that_it_names():
    keys = {
        "training": {"branch_lr": {"text": 2e-5}, "budget": {"speech": 100.0, "text": 9.0}, "freeze": ["text"]},
        "per_stage.fuse": {"branch_lr": {"speech": 1e-4}, "budget": {"text": 4000.0}, "freeze": []},
    }
    config = parse_config(with_keys(TWO, keys))
    fused = config.training_of("fuse")
    assert fused.branch_lr == {"text": 2e-5, "speech": 1e-4}
    assert fused.budget == {"speech": 100.0, "text": 4000.0}
    assert fused.freeze == (), "a list is replaced as a whole"
    assert config.training_of("speech").budget == {"speech": 100.0, "text": 9.0}
    with pytest.raises(ConfigError, match=r"per_stage\.fuse\.budget"):
        parse_config(with_keys(TWO, {"training.budget": {"text": 9}, "per_stage.fuse.budget": 9}))


def test_overrides_may_leave_a_part_of_the_file_without_effect_but_not_their_own_keys(tmp_path):
    path = write(tmp_path, with_keys(TWO, {"fusion": {"name": "concat"}, "training.modality_dropout": 0.3}))
    load_config(path, ["stages=[text]"])
    load_config(path, ["stages=[text]", "training.objective=masked"])
    with pytest.raises(ConfigError, match=r"^fusion: .* \(and 1 more: training\.modality_dropout\)$"):
        load_config(path, ["stages=[text]", "fusion.name=gated", "training.modality_dropout=0.4"])
    with pytest.raises(ConfigError, match=r"^data\.split\.folds: cannot take effect"):
        load_config(path, ["data.split={kind: holdout, folds: 9}"])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_a_resolved_config_reads_back_equal_and_takes_overrides(tmp_path, path):
    config = load_config(path, ["data.manifest=unused.jsonl"] if path.stem == "demo" else [])
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config
    assert load_config(tmp_path / "config.yaml", ["seed=5"]).seed == 5
    with pytest.raises(ConfigError, match=r"^data\.split\.folds: "):
        load_config(
            tmp_path / "config.yaml", ["data.split={kind: holdout, folds: 9}", "data.sources={}", "data.manifest=m"]
        )


@pytest.mark.parametrize("content", ["[1, 2]", "a: [", ""])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, content):
    path = tmp_path / "c.yaml"
    path.write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        load_config(path)


@pytest.mark.parametrize(
    ("added", "key", "lines"),
    [
        ("training: {lr: 1.0e-3}\nseed: 1\ntraining: {epochs: 3}\n", "training", (7, 9)),
        ("training:\n  lr: 1.0e-3\n  epochs: 3\n  lr: 2.0e-3\n", "lr", (8, 10)),
        ("benchmark: {seeds: 1}\n'benchmark': {folds: 3}\n", "benchmark", (7, 8)),
    ],
)
def test_a_key_that_stands_there_twice_is_refused(tmp_path, added, key, lines):
    path = tmp_path / "c.yaml"
    path.write_text(
        "name: x\nlabel_set: polarity3\ndata: {manifest: m.jsonl}\nencoders:\n  text: {name: text_transformer}\n"
        "stages: [text]\n" + added,
        "utf-8",
    )
    with pytest.raises(ConfigError, match=f"key '{key}' is on line {lines[0]} and again on line {lines[1]}"):
        load_config(path)


def test_a_key_that_overrides_a_merged_one_is_not_twice():
    assert read_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")["b"] == {"x": 3, "y": 2}


@pytest.mark.parametrize("stage", ["text", "speech"])
def test_one_stage_asks_for_nothing_of_the_others(tmp_path, stage):
    """A file with settings of every stage, of which the command line asks for one."""
    settings = {"text": {"epochs": 3}, "speech": {"lr": 0.1}, "fuse": {"freeze": ["text"], "branch_loss": 0.0}}
    path = write(tmp_path, with_keys(TWO, {"per_stage": settings, "init": {"text": "a", "speech": "b"}}))
    config = load_config(path, [f"stages=[{stage}]"])
    assert config.modalities == (stage,)
    with pytest.raises(ConfigError, match=r"^per_stage\.fuse: cannot take effect: the stage is not in stages"):
        load_config(path, [f"stages=[{stage}]", "per_stage.fuse.lr=0.1"])
    save_config(config, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


def test_a_branch_is_taken_over_by_the_fused_stage_alone(tmp_path):
    path = write(tmp_path, with_keys(TWO, {"branches": {"text": "runs/a"}}))
    assert load_config(path).taken_over == {"text": "runs/a"}
    assert load_config(path, ["stages=[speech]"]).taken_over == {}
    with pytest.raises(ConfigError, match=r"^branches\.text: cannot take effect"):
        load_config(path, ["stages=[speech]", "branches.text=runs/b"])


@pytest.mark.parametrize(
    ("key", "value"),
    [("freeze", ["face"]), ("branch_lr", {"face": 0.1}), ("budget", {"face": 9}), ("unfreeze", {"face": 1}),
     ("layer_decay", {"face": 0.9})],
)  # fmt: skip
@pytest.mark.parametrize("section", ["training", "per_stage.text"])
def test_a_modality_without_an_encoder_is_refused_wherever_it_is_named(tmp_path, section, key, value):
    """In a file, from Python, and in a complete file that somebody has edited."""
    values = with_keys(TWO, {section: {key: value}})
    said = rf"^{section}\.{key}\.face: cannot take effect"
    with pytest.raises(ConfigError, match=said):
        load_config(write(tmp_path, values))
    with pytest.raises(ConfigError, match=said):
        parse_config(values)
    complete = stored_config(values).model_dump(mode="json")
    with pytest.raises(ConfigError, match=said):
        load_config(write(tmp_path, complete))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no such config file"):
        load_config(tmp_path / "none.yaml")
