"""The configs with three large pretrained encoders: each takes a step of every stage, on a miniature of its corpus.

The corpus is prepared by the command in the comment of the config. Tiny models of the same architectures stand in for
the models on the hub; everything else is as in the file, except that a stage has one epoch.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from multiemo.benchmark.protocol import plan
from multiemo.config import load_config
from multiemo.labels import LABEL_SETS
from multiemo.runs import train
from multiemo.training import trainer
from multiemo.types import Clip
from tests.support.corpora import run
from tests.support.flagships import MINIATURES, Footage, StandIns, footage
from tests.support.paths import ROOT

#: {config: groups of each part as published, in the miniature; a name of a speaker, a session or a video}.
OFFICIAL = {
    "meld": {"train": {"train_dia0", "train_dia1"}, "val": {"dev_dia0"}, "test": {"test_dia0"}},
    "cmumosei": {"train": {"v1", "v2", "v3"}, "val": {"v4"}, "test": {"v5"}},
    "chsims": {"train": {"video_0001", "video_0002", "video_0003"}, "val": {"video_0004"}, "test": {"video_0005"}},
    "msppodcast": {"train": {"19", "unknown-0002", "20"}, "val": {"88"}, "test": {"97"}},
    "emotiontalk": {"train": {"14", "15", "16", "17"}, "val": {"05", "07"}, "test": {"12", "13"}},
}
#: {config: (folds of its benchmark, the unit that is tested once)}.
FOLDS = {"iemocap": (5, "group"), "cremad": (5, "speaker")}
#: The others run with ``-m slow``, as in CI.
ALWAYS = ("emotiontalk",)


@pytest.fixture(scope="module")
def media(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Footage:
    return footage(small_corpus, tmp_path_factory.mktemp("footage"))


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> StandIns:
    return StandIns(tmp_path_factory.mktemp("models"))


def prepare_as_documented(name: str, folder: Path, media: Footage) -> Path:
    """Prepare the miniature by the command in the config's comment; returns the manifest."""
    command = re.search(r"^# multiemo prepare (\w+) \S+((?: \w+=\S+)*) --out manifests/(\w+)\.jsonl$",
                        (ROOT / "configs" / f"{name}.yaml").read_text("utf-8"), re.MULTILINE)  # fmt: skip
    assert command is not None
    assert command[3] == name
    MINIATURES[name](folder / "corpus", media)
    options = dict(option.split("=", 1) for option in command[2].split())
    run(command[1], folder / "corpus", folder / f"{name}.jsonl", **options)
    return folder / f"{name}.jsonl"


@pytest.mark.parametrize("name", [n if n in ALWAYS else pytest.param(n, marks=pytest.mark.slow) for n in MINIATURES])
def test_every_stage_takes_a_step(name, media, stand_ins, tmp_path, monkeypatch):
    path = ROOT / "configs" / f"{name}.yaml"
    manifest = prepare_as_documented(name, tmp_path, media)
    stages = load_config(path).stages
    overrides = [f"data.manifest={manifest}", "data.workers=1", "device=cpu", *stand_ins.overrides(path)]
    config = load_config(path, [*overrides, *(f"per_stage.{stage}.epochs=1" for stage in stages)])
    lacking = watch_gradients(monkeypatch)
    result = train(config, tmp_path / "run")
    assert config.stages == ("text", "speech", *(["face"] if name != "msppodcast" else []), "fuse")
    epochs = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert [epoch["stage"] for epoch in epochs] == list(config.stages)
    assert all(math.isfinite(epoch["loss"]) for epoch in epochs)
    assert lacking() == []
    assert result.bundle is not None
    assert result.bundle.config.columns == LABEL_SETS[config.label_set]


@pytest.mark.parametrize("name", MINIATURES)
def test_the_split_is_that_of_the_literature(name, media, tmp_path):
    manifest = prepare_as_documented(name, tmp_path, media)
    config = load_config(ROOT / "configs" / f"{name}.yaml", [f"data.manifest={manifest}"])
    protocol = plan(config)
    clips = {clip.id: clip for clip in protocol.clips}
    assert {clip.label_set for clip in clips.values()} == {config.label_set}
    unit = FOLDS[name][1] if name in FOLDS else config.data.split.group_by
    parts = [
        {part: {unit_of(clips[i], unit) for i in ids} for part, ids in fold.split.parts.items()}
        for fold in protocol.folds
    ]
    for groups in parts:
        assert not groups["train"] & groups["val"]
        assert not (groups["train"] | groups["val"]) & groups["test"]
        assert all(groups.values())
    if name in OFFICIAL:
        assert parts == [OFFICIAL[name]]
        assert {part for clip in clips.values() for part in [clip.split]} == {"train", "val", "test"}
        return
    tested = [group for groups in parts for group in groups["test"]]
    assert len(parts) == FOLDS[name][0]
    assert sorted(tested) == sorted({unit_of(clip, unit) for clip in clips.values()})


def test_a_session_of_iemocap_is_tested_with_both_of_its_actors(media, tmp_path):
    manifest = prepare_as_documented("iemocap", tmp_path, media)
    folds = plan(load_config(ROOT / "configs" / "iemocap.yaml", [f"data.manifest={manifest}"]))
    speakers = {clip.id: str(clip.speaker) for clip in folds.clips}
    for fold in folds.folds:
        seen = {part: {speakers[i] for i in ids} for part, ids in fold.split.parts.items()}
        assert {name[:5] for name in seen["test"]} == {min(seen["test"])[:5]}
        assert [len(seen[part]) for part in ("train", "val", "test")] == [6, 2, 2]


def unit_of(clip: Clip, unit: str) -> str:
    """The speaker or group of a clip; of a clip without a known speaker, its group."""
    name = getattr(clip, unit)
    return str(name if name is not None else clip.group)


def watch_gradients(monkeypatch: pytest.MonkeyPatch):
    """Watch every parameter that an optimiser gets; returns a function that names those without a gradient so far."""
    waiting: dict[str, set[str]] = {}
    build = trainer.build_optimizer

    def build_watched(objective, settings):
        stage = str(len(waiting))
        waiting[stage] = {name for name, p in objective.named_parameters() if p.requires_grad}
        for name, parameter in objective.named_parameters():
            if parameter.requires_grad:
                parameter.register_hook(lambda grad, name=name: waiting[stage].discard(name) if grad.any() else None)
        return build(objective, settings)

    monkeypatch.setattr(trainer, "build_optimizer", build_watched)
    return lambda: sorted(f"stage {stage}: {name}" for stage, names in waiting.items() for name in names)
