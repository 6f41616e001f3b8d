"""Fills in the training settings that encoders recommend, where a config does not set them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from pydantic import ValidationError

from multiemo.config.explain import explain
from multiemo.config.sections import PartConfig, TrainingConfig
from multiemo.registry import encoders
from multiemo.types import Modality

#: {key of ``training``: value}; checked by :class:`TrainingConfig`.
TrainingKeys: TypeAlias = dict[str, Any]

#: Keys of ``training`` that hold a value per modality.
BY_MODALITY = ("budget", "branch_lr", "layer_decay", "freeze", "unfreeze")
#: Keys of ``training`` that ``task: dimensions`` does not read.
CATEGORY_KEYS = (
    "label_smoothing", "focal", "class_weights", "balanced_sampling", "modulation", "auxiliary_loss",
    "speaker_adversary",
)  # fmt: skip
#: Keys of ``training`` that a stage does not read for an encoder that it keeps frozen.
_TRAINED_ONLY = ("branch_lr", "layer_decay", "unfreeze")


def recommended_settings(
    m: Modality, part: PartConfig, training: TrainingConfig, own: Mapping[str, Any], *, labels: bool
) -> TrainingKeys:
    """The settings that an encoder recommends for its own stage and that the config leaves open.

    Args:
        m: modality, whose stage trains the encoder.
        part: the encoder.
        training: ``training``; the keys that were set in it are kept.
        own: keys under ``per_stage`` for the stage, which are kept too.
        labels: whether the task has labels.

    Returns:
        {key of ``training``: value}, empty for an objective without labels, for which nothing is recommended.

    Raises:
        ConfigError: a recipe has a wrong key or value; the message names the encoder.
    """
    recipe: Mapping[str, Any] = encoders.recipe(part.name, part.options)
    if own.get("objective", training.objective) != "labels":
        return {}
    unread: Collection[str] = () if labels else CATEGORY_KEYS
    if m in own.get("freeze", training.freeze):
        unread = (*unread, *_TRAINED_ONLY)
    found = {
        key: {m: value} if key in BY_MODALITY else value
        for key, value in recipe.items()
        if key not in unread and key not in own and not _is_set(training, key, m)
    }
    check_settings(found, f"recipe of {part.name!r}: ")
    return found


def check_settings(settings: Mapping[str, Any], prefix: str) -> None:
    """Check keys of ``training``.

    Raises:
        ConfigError: a key or value is wrong; the message begins with ``prefix``.
    """
    try:
        TrainingConfig(**settings)
    except ValidationError as error:
        raise explain(error, TrainingConfig, prefix=prefix) from None


def _is_set(training: TrainingConfig, key: str, m: Modality) -> bool:
    """Whether the config sets a key of ``training``, for this modality if it holds a value per modality."""
    if key in BY_MODALITY:
        return m in getattr(training, key)
    return key in training.model_fields_set
