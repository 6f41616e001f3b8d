"""The config section ``privacy``, and the settings that differential privacy excludes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from pydantic import Field

from multiemo.config.recommended import TrainingKeys
from multiemo.config.sections import Frozen, TrainingConfig
from multiemo.errors import ConfigError

#: {key of ``training`` that private training excludes: why}.
EXCLUDED = {
    "mixup": "mixes clips, so a gradient would depend on two of them",
    "balanced_sampling": "draws some clips more often, but the accountant needs one rate for all",
    "budget": "makes batches by length, but private batches are drawn at random",
    "accumulate": "makes a step of several batches, but a private step already goes through its clips one by one",
    "modulation": "scales gradients by the accuracy on other clips",
    "unfreeze": "changes what is trained during the stage",
}
#: Keys of ``training`` that a private stage does not read.
UNREAD = {"clip_norm": "privacy.max_grad_norm limits the gradient of each clip instead"}


class PrivacyConfig(Frozen):
    """Differential privacy of the trained weights, for the clips of train; needs ``pip install "multiemo[dp]"``.

    Args:
        epsilon: privacy budget of the whole run, over all its stages; smaller is more private.
        delta: probability that the bound ``epsilon`` may fail. It must be below one divided by the number of training
            clips (or speakers).
        max_grad_norm: the gradient of each clip (or speaker) is scaled down to at most this norm.
        unit: who is protected: ``clip``, each single clip; or ``speaker``, all clips of a person together.
            ``training.batch_size`` counts these units.
    """

    epsilon: float = Field(gt=0)
    delta: float = Field(1e-5, gt=0, lt=1)
    max_grad_norm: float = Field(1.0, gt=0)
    unit: Literal["clip", "speaker"] = "clip"


def private_recipe(settings: TrainingKeys) -> TrainingKeys:
    """The recommended settings without those that private training excludes.

    Example:
        >>> private_recipe({"epochs": 40, "mixup": 0.8})
        {'epochs': 40}
    """
    return {key: value for key, value in settings.items() if key not in EXCLUDED and key not in UNREAD}


def check_private_stage(stage: str, settings: TrainingConfig, own: Collection[str]) -> None:
    """Reject settings of a stage with which the guarantee of ``privacy`` would not hold.

    Args:
        stage: name of the stage.
        settings: its settings.
        own: keys under ``per_stage`` for the stage, for the message.

    Raises:
        ConfigError: a setting excludes private training; the message names its key.
    """
    if settings.objective == "contrastive":
        raise ConfigError(f"per_stage.{stage}.objective: 'contrastive' compares clips, so privacy excludes it")
    defaults = TrainingConfig()
    for key, why in EXCLUDED.items():
        value = getattr(settings, key)
        if value != getattr(defaults, key):
            where = f"per_stage.{stage}.{key}" if key in own else f"training.{key}"
            raise ConfigError(f"{where}: {value!r} {why}; remove it, or remove privacy")
