"""Every file in configs/ is read and its parts are built."""

from __future__ import annotations

from pathlib import Path

import pytest

import multiemo
from multiemo.config import load_config
from multiemo.inputs import build_input
from multiemo.runs.parts import assemble, build_encoder, uses_features
from tests.support.flagships import StandIns
from tests.support.paths import ROOT

FILES = sorted((ROOT / "configs").glob("*.yaml"))
FILES.append(Path(multiemo.__file__).with_name("demo.yaml"))


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> StandIns:
    """Tiny models in place of those on the hub."""
    return StandIns(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_the_config_builds(path, stand_ins):
    config = load_config(path, ["data.manifest=unused.jsonl"] if path.stem == "demo" else stand_ins.overrides(path))
    assert config.name == path.stem
    texts = ["what a day", "no", "今天天气很好", "我不知道"] * 30
    parts, specs = {}, {}
    for m in config.modalities:
        parts[m] = build_encoder(config, m, feature_dim=35 if uses_features(config, m) else None)
        specs[m] = build_input(m, parts[m].input_spec, texts=lambda: texts).spec
        assert specs[m] == parts[m].input_spec
    model = assemble(config, parts, fused="fuse" in config.stages)
    assert model.modalities == config.modalities
