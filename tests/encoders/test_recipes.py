"""The recipes that come with the encoders."""

from __future__ import annotations

import inspect

import pytest

from multiemo.config import parse_config
from multiemo.encoders.recipes import RECIPES
from multiemo.recipe import RecipeSettings, TrainingRecipe
from multiemo.registry import encoders

CASES = [(name, recipe) for name, recipes in RECIPES.items() for recipe in recipes]
#: An option that is switched on by a mapping or a path, in a form that a config can have.
ON = {"lora": {"rank": 8}, "checkpoint": "w.safetensors", "pretrained": True, "freeze": True}


@pytest.mark.parametrize(("name", "recipe"), CASES, ids=[f"{n}-{list(r.when)}" for n, r in CASES])
def test_a_recipe_fits_its_encoder_and_resolves(name: str, recipe: TrainingRecipe) -> None:
    options = {key: ON[key] if value is True else value for key, value in recipe.when.items()}
    known = inspect.signature(encoders.get(name, where="test")).parameters
    assert set(options) <= set(known)
    m = encoders.facts(name)["modality"] or "face"
    config = parse_config(
        {"name": "x", "label_set": "ekman7", "data": {"manifest": "m.jsonl"}, "stages": [m],
         "encoders": {m: {"name": name, **options}}}
    )  # fmt: skip
    own = {"budget", "branch_lr", "layer_decay", "unfreeze"}
    expected = {key: {m: value} if key in own else value for key, value in recipe.settings.items()}
    assert config.recipes == ({m: expected} if expected else {})
    assert set(recipe.settings) <= set(RecipeSettings.__annotations__)
    merged = config.training_of(m).model_dump()
    assert {key: merged[key] for key in expected} == expected
