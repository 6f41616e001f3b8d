"""Optimiser, learning-rate schedule and weight averaging."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from multiemo.config import TrainingConfig
from multiemo.encoders.base import Encoder
from multiemo.errors import ConfigError
from multiemo.types import Modality

if TYPE_CHECKING:
    from multiemo.model import EmotionModel
    from multiemo.training.objectives import Objective


def build_optimizer(objective: Objective, settings: TrainingConfig) -> AdamW:
    """AdamW with a learning rate per branch and layer; biases, norms and other vectors get no weight decay.

    ``settings.layer_decay`` multiplies the learning rate of an encoder by that factor from each layer to the one below
    (layer-wise decay; Clark et al. 2020). New parameters of a pretrained encoder, such as its pooling, learn at
    ``settings.lr``. Parameters without ``requires_grad`` are left out.

    Args:
        objective: objective whose parameters are trained.
        settings: training settings of the stage.

    Raises:
        ConfigError: no trainable parameter is left.
    """
    model = objective.model
    rates: dict[int, float] = {}
    for m in model.modalities:
        rate, decay = settings.branch_lr.get(m, settings.lr), settings.layer_decay.get(m, 1.0)
        groups = layer_groups(model, m)
        for below, parameters in enumerate(reversed(groups)):
            rates.update((id(p), rate * decay**below) for p in parameters)
        rates.update((id(p), settings.lr) for p in _encoder(model, m).fresh_parameters())
    grouped: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in objective.parameters():
        if parameter.requires_grad:
            key = (rates.get(id(parameter), settings.lr), parameter.ndim > 1)
            grouped.setdefault(key, []).append(parameter)
    if not grouped:
        raise ConfigError("training.freeze: nothing is left to train; remove a modality from it, or remove the stage")
    return AdamW(
        [
            {"params": parameters, "lr": rate, "weight_decay": settings.weight_decay if decayed else 0.0}
            for (rate, decayed), parameters in grouped.items()
        ],
        lr=settings.lr,
        fused=True,  # one kernel for all parameters; several times faster than the default, on CPUs too
    )


def layer_groups(model: EmotionModel, m: Modality) -> list[list[nn.Parameter]]:
    """Parameters of the encoder of modality ``m``, grouped by depth from the input side."""
    return [group for group in _encoder(model, m).layer_groups() if group]


def note_trained(model: EmotionModel, trained: EmotionModel, optimizer: AdamW) -> None:
    """Record in a model's encoders which of their parameters an optimiser has updated.

    Args:
        model: model whose encoders are updated.
        trained: the same model, or the copy of it that holds the optimiser's parameters.
        optimizer: optimiser after its last step.
    """
    for m in model.modalities:
        moved = [n for n, p in trained.encoders[m].named_parameters() if optimizer.state.get(p)]
        _encoder(model, m).note_trained(moved)


def _encoder(model: EmotionModel, m: Modality) -> Encoder:
    encoder = model.encoders[m]
    assert isinstance(encoder, Encoder)
    return encoder


class Thaw:
    """Gradual unfreezing (Howard & Ruder 2018): an encoder trains its last layers first, then one more at a time.

    Args:
        model: model whose parameters that are trainable now will all train in the end.
        every: {modality: epochs (may be fractional) from one layer to the next below it}.
    """

    def __init__(self, model: EmotionModel, every: Mapping[Modality, float]) -> None:
        self.every = {m: epochs for m, epochs in every.items() if m in model.modalities}
        self.groups = {m: [[p for p in g if p.requires_grad] for g in layer_groups(model, m)] for m in self.every}

    def at(self, epochs: float) -> None:
        """Unfreeze the layers that train after the given number of epochs, and freeze the others."""
        for m, groups in self.groups.items():
            unfrozen = 1 + int(epochs / self.every[m])
            for depth, parameters in enumerate(reversed(groups)):
                for parameter in parameters:
                    parameter.requires_grad_(depth < unfrozen)


def build_schedule(optimizer: AdamW, steps: int, warmup: float) -> LambdaLR:
    """Linear warmup over ``warmup * steps`` steps, then a cosine to zero (Loshchilov & Hutter 2017).

    Args:
        optimizer: optimiser with its peak learning rates.
        steps: total number of optimiser steps.
        warmup: share of the steps used for warmup, 0..1.
    """
    rise = max(1, round(warmup * steps))

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))

    return LambdaLR(optimizer, factor)


class MovingAverage:
    """Exponential moving average of a model's trainable weights and of its floating-point buffers.

    The decay rises with the step count t as ``min(decay, (1 + t) / (10 + t))``, so that early averages do not stay
    close to the initial weights.

    Args:
        model: model to average; its tensors must be updated in place.
        decay: decay per step, 0..1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
        state = {k: v for k, v in model.state_dict().items() if k not in frozen}
        self.average = {k: v.detach().clone() for k, v in state.items()}
        smooth = [k for k, v in state.items() if v.is_floating_point()]
        plain = [k for k in smooth if not isinstance(state[k], DTensor)]
        self._plain = [self.average[k] for k in plain], [state[k] for k in plain]
        self._sharded = [(self.average[k], state[k]) for k in smooth if isinstance(state[k], DTensor)]
        self._counts = [(self.average[k], state[k]) for k in state if k not in smooth]
        self._live = state

    @torch.no_grad()
    def update(self) -> None:
        """Move the average one step towards the model's present state."""
        self.steps += 1
        weight = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(*self._plain, weight)
        for average, live in self._sharded:
            average.lerp_(live, weight)
        for average, live in self._counts:
            average.copy_(live)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Context in which the model has the averaged weights."""
        kept = {k: v.detach().clone() for k, v in self._live.items()}
        self._put(self.average)
        try:
            yield
        finally:
            self._put(kept)

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for key, live in self._live.items():
            live.copy_(values[key])

    def state_dict(self) -> dict[str, Tensor]:
        """The averages, with the names of the model's state."""
        return self.average

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Restore a saved average.

        Args:
            state: result of :meth:`state_dict`.
            steps: number of updates it has received.
        """
        for key, value in state.items():
            self.average[key].copy_(value)
        self.steps = steps


def learning_rates(optimizer: Any) -> float:
    """The largest current learning rate, for the log."""
    return float(max(group["lr"] for group in optimizer.param_groups))
