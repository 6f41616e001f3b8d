"""The training settings that an encoder recommends, declared with its name in the registry; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict


class RecipeSettings(TypedDict, total=False):
    """Keys of ``training`` that an encoder can recommend for the stage that trains it.

    A key that holds a value per modality in ``training`` (``branch_lr``, ``layer_decay``, ``budget``, ``unfreeze``)
    holds the value of the encoder's own modality here.
    """

    epochs: int
    batch_size: int
    accumulate: int
    budget: float
    lr: float
    branch_lr: float
    layer_decay: float
    unfreeze: float
    gradient_checkpointing: bool
    weight_decay: float
    warmup: float
    clip_norm: float
    label_smoothing: float
    focal: float
    class_weights: float
    balanced_sampling: float
    mixup: float
    ema: float
    auxiliary_loss: float
    dimension_loss: float
    select: Literal["best", "last"]
    patience: int


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """Training settings that an encoder recommends for its own stage, where that learns labels or dimensions.

    Args:
        settings: the settings; a key that is left out keeps its default.
        when: {option of the encoder: value} for which the recipe is meant; ``True`` stands for any value that switches
            the option on. Empty: always.

    Example:
        >>> frozen = TrainingRecipe({"epochs": 30}, when={"freeze": "all"})
        >>> frozen.fits({"freeze": "all"}), frozen.fits({})
        (True, False)
    """

    settings: RecipeSettings
    when: Mapping[str, object] = field(default_factory=dict)

    def fits(self, options: Mapping[str, Any]) -> bool:
        """Whether the recipe is meant for an encoder with these options of the config."""
        return all(
            bool(options.get(key)) if value is True else key in options and options[key] == value
            for key, value in self.when.items()
        )
