from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from multiemo.config import load_config, parse_config, save_config
from multiemo.errors import ConfigError

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


@pytest.mark.parametrize("content", ["[1, 2]", "a: [", ""])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, content):
    path = tmp_path / "c.yaml"
    path.write_text(content, "utf-8")
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        load_config(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no such config file"):
        load_config(tmp_path / "none.yaml")
