"""Recipes: settings that an encoder recommends for its own stage, and what takes precedence over them."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

import multiemo
from multiemo.config import Config, TrainingConfig, load_config, load_stored, parse_config, save_config, stored_config
from multiemo.errors import ConfigError
from multiemo.recipe import TrainingRecipe
from multiemo.registry import encoders
from multiemo.runs.folder.layout import differing_keys, identity
from tests.support.paths import ROOT

#: Unlike the defaults of ``training`` in every key.
RECIPE = TrainingRecipe({"epochs": 7, "lr": 3e-3, "branch_lr": 4e-4, "class_weights": 0.5, "mixup": 0.3})
FROZEN = TrainingRecipe({"epochs": 9}, when={"freeze": "all"})
#: A user's whole config for a corpus of voices.
VOICES: dict[str, Any] = {
    "name": "x",
    "label_set": "polarity3",
    "data": {"manifest": "m.jsonl"},
    "encoders": {"speech": {"name": "my_voice"}},
    "stages": ["speech"],
}


@pytest.fixture(autouse=True)
def recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes of two encoders that only these tests know."""
    own = dict(encoders._recipes)
    monkeypatch.setattr(encoders, "_recipes", own)
    encoders.recommend("my_voice", [RECIPE, FROZEN])
    encoders.recommend("my_words", [TrainingRecipe({"epochs": 2, "ema": 0.9})])


def write(tmp_path: Path, values: dict[str, Any]) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    return path


def with_keys(values: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return deepcopy(values) | keys


def test_a_config_that_names_an_encoder_trains_by_its_recipe():
    expected = TrainingConfig(epochs=7, lr=3e-3, branch_lr={"speech": 4e-4}, class_weights=0.5, mixup=0.3)
    assert parse_config(VOICES).training_of("speech") == expected
    assert multiemo.Config(**VOICES).training_of("speech") == expected


def test_a_user_s_corpus_of_voices_gets_the_recipe_of_the_published_config():
    values = with_keys(VOICES, encoders={"speech": {"name": "speech_prosody"}})
    published = load_config(ROOT / "configs" / "ravdess_av.yaml").training_of("speech")
    assert parse_config(values).training_of("speech") == published
    assert published.mixup > 0


def test_options_of_the_encoder_select_the_recipe():
    chosen = {
        value: parse_config(with_keys(VOICES, encoders={"speech": {"name": "my_voice", "freeze": value}}))
        for value in ("all", "none")
    }
    assert chosen["all"].recipes == {"speech": {"epochs": 9}}
    assert chosen["none"].recipes["speech"]["epochs"] == 7


@pytest.mark.parametrize(
    ("keys", "overrides", "expected"),
    [
        ({}, [], 3e-3),
        ({"training": {"lr": 0.1}}, [], 0.1),
        ({"training": {"lr": 1e-3}}, [], 1e-3),  # written, although it is the default
        ({"training": {"lr": 0.1}, "per_stage": {"speech": {"lr": 0.2}}}, ["recipes={}"], 0.2),
        ({"per_stage": {"speech": {"lr": 0.2}}}, [], 0.2),
        ({}, ["training.lr=0.3"], 0.3),
        ({}, ["per_stage.speech.lr=0.4"], 0.4),
        ({}, ["recipes={}"], 1e-3),
    ],
)  # fmt: skip
def test_what_is_written_comes_before_the_recipe(tmp_path, keys, overrides, expected):
    values = with_keys(VOICES, encoders=VOICES["encoders"] | {"text": {"name": "text_transformer"}}, **keys)
    values["stages"] = ["text", "speech", "fuse"]  # text needs the keys of training that per_stage.speech replaces
    settings = load_config(write(tmp_path, values), overrides).training_of("speech")
    assert settings.lr == pytest.approx(expected)
    assert settings.epochs == (20 if overrides == ["recipes={}"] else 7)


def test_values_per_modality_are_set_one_by_one(tmp_path):
    both = with_keys(
        VOICES,
        encoders={"speech": {"name": "my_voice"}, "text": {"name": "text_pretrained", "model": "m"}},
        stages=["text", "speech", "fuse"],
        training={"branch_lr": {"text": 1e-6}},
    )
    config = load_config(write(tmp_path, both))
    assert config.training_of("text").branch_lr == {"text": 1e-6}
    assert config.training_of("speech").branch_lr["speech"] == 4e-4
    assert config.training_of("fuse").branch_lr == {"text": 1e-6}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"training": {"objective": "masked"}}, {}),
        ({"per_stage": {"speech": {"objective": "masked"}}}, {}),
        ({"task": "dimensions", "label_set": ""}, {"epochs", "lr", "branch_lr", "mixup"}),
        ({"training": {"freeze": ["speech"]}}, {"epochs", "lr", "class_weights", "mixup"}),
        ({"per_stage": {"speech": {"freeze": ["speech"]}}}, {"epochs", "lr", "class_weights", "mixup"}),
    ],
)
def test_nothing_is_recommended_that_a_stage_does_not_read(keys, expected):
    assert set(parse_config(with_keys(VOICES, **keys)).recipes.get("speech", {})) == set(expected)


def test_only_stages_that_are_trained_have_recipes():
    words = {"speech": {"name": "my_voice"}, "text": {"name": "my_words"}}
    both = with_keys(VOICES, encoders=words, stages=["text", "speech", "fuse"])
    assert set(parse_config(both).recipes) == {"text", "speech"}
    assert set(parse_config(both | {"branches": {"text": "runs/a"}}).recipes) == {"speech"}
    assert parse_config(both | {"stages": ["fuse"]}).recipes == {}


def test_a_resolved_config_keeps_its_recipe_whatever_the_encoder_recommends_later(tmp_path):
    config = parse_config(VOICES)
    save_config(config, tmp_path / "config.yaml")
    encoders.recommend("my_voice", [TrainingRecipe({"epochs": 99, "focal": 2.0})])
    assert load_config(tmp_path / "config.yaml") == config
    assert load_stored(tmp_path / "config.yaml") == config
    assert parse_config(config.model_dump(mode="json")) == config
    assert Config(**config.model_dump()) == config
    assert yaml.safe_load((tmp_path / "config.yaml").read_text("utf-8"))["recipes"]["speech"]["epochs"] == 7


def test_an_override_of_training_replaces_the_recipe_of_a_resolved_config(tmp_path):
    save_config(parse_config(VOICES), tmp_path / "config.yaml")
    again = load_config(tmp_path / "config.yaml", ["training.lr=0.01", "training.branch_lr.speech=0.02"])
    settings = again.training_of("speech")
    assert (settings.lr, settings.branch_lr, settings.mixup) == (0.01, {"speech": 0.02}, 0.3)
    other = load_config(tmp_path / "config.yaml", ["training={epochs: 2, warmup: 0.3}"]).training_of("speech")
    assert (other.epochs, other.warmup, other.lr) == (2, 0.3, 3e-3)


def test_a_config_of_a_version_without_recipes_keeps_its_meaning(tmp_path):
    complete = stored_config(VOICES).model_dump(mode="json")
    del complete["recipes"]
    path = write(tmp_path, complete)
    assert load_config(path).training_of("speech") == TrainingConfig()
    assert load_stored(path).training_of("speech") == TrainingConfig()
    assert stored_config(VOICES).training_of("speech") == TrainingConfig()


def test_settings_are_the_same_experiment_wherever_they_come_from():
    """A run that was started with the settings in its file is resumed with a file that leaves them to the recipe."""
    written = with_keys(VOICES, per_stage={"speech": parse_config(VOICES).recipes["speech"]})
    assert identity(parse_config(written)) == identity(parse_config(VOICES))
    changed = with_keys(VOICES, per_stage={"speech": {"mixup": 0.4}})
    assert differing_keys(parse_config(changed), parse_config(VOICES)) == ["per_stage.speech.mixup"]


@pytest.mark.parametrize("given", [{"speech": {"lr": 0.1}}, {"speech": 3}])
def test_recipes_are_not_written_by_hand(tmp_path, given):
    with pytest.raises(
        ConfigError, match=r"^recipes: .*set the keys of a stage under per_stage, or set recipes to \{\}"
    ):
        load_config(write(tmp_path, with_keys(VOICES, recipes=given)))


def test_a_wrong_recipe_names_its_encoder():
    encoders.recommend("my_voice", [TrainingRecipe({"epochs": 0})])
    with pytest.raises(ConfigError, match=r"^recipe of 'my_voice': epochs: .*greater than or equal to 1, got 0"):
        parse_config(VOICES)


def test_an_edited_recipe_of_a_resolved_config_is_checked(tmp_path):
    complete = parse_config(VOICES).model_dump(mode="json")
    with pytest.raises(ConfigError, match=r"^recipes\.speech\.lrate: unknown config key"):
        load_config(write(tmp_path, with_keys(complete, recipes={"speech": {"lrate": 1}})))
    with pytest.raises(ConfigError, match=r"^recipes\.face: cannot take effect: there is no encoders\.face"):
        load_config(write(tmp_path, with_keys(complete, recipes={"face": {"lr": 1}})))


@pytest.mark.parametrize("value", [5, None, "speech"])
def test_a_wrong_setting_is_named_before_recipes_are_looked_up(value):
    with pytest.raises(ConfigError, match=r"^per_stage\.speech\.freeze: "):
        parse_config(with_keys(VOICES, per_stage={"speech": {"freeze": value}}))
