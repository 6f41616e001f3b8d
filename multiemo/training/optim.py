"""Optimiser, learning-rate schedule and weight averaging."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from multiemo.config import TrainingConfig

if TYPE_CHECKING:
    from multiemo.model import EmotionModel


def build_optimizer(model: EmotionModel, settings: TrainingConfig, beside: nn.Module | None = None) -> AdamW:
    """AdamW with one learning rate a branch; biases, norms and other vectors are not decayed.

    Frozen encoders (``settings.freeze``) lose ``requires_grad`` here. ``beside`` is trained along, as a head is.
    """
    for m in settings.freeze:
        if m in model.modalities:
            model.encoders[m].requires_grad_(False)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        part, _, rest = name.partition(".")
        owner = rest.partition(".")[0] if part == "encoders" else ""
        rate = settings.branch_lr.get(owner, settings.lr)  # type: ignore[call-overload]
        groups.setdefault((rate, parameter.ndim > 1), []).append(parameter)
    for parameter in beside.parameters() if beside is not None else ():
        groups.setdefault((settings.lr, parameter.ndim > 1), []).append(parameter)
    if not groups:
        raise ValueError("nothing to train: every parameter is frozen")
    return AdamW(
        [
            {"params": parameters, "lr": rate, "weight_decay": settings.weight_decay if decayed else 0.0}
            for (rate, decayed), parameters in groups.items()
        ],
        lr=settings.lr,
        fused=True,  # one kernel for all parameters; several times faster than the default, on CPUs too
    )


def build_schedule(optimizer: AdamW, steps: int, warmup: float) -> LambdaLR:
    """Linear rise over ``warmup * steps``, then a cosine to zero (Loshchilov & Hutter 2017)."""
    rise = max(1, round(warmup * steps))

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))

    return LambdaLR(optimizer, factor)


class MovingAverage:
    """Exponential moving average of all floating-point weights and buffers.

    The decay rises with the step count as ``min(decay, (1 + t) / (10 + t))``, so that early averages are not stuck to
    the initial weights.

    Args:
        model: whose state is followed.
        decay: 0..1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take one step towards the model's present state."""
        self.steps += 1
        weight = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        mine: list[Tensor] = []
        theirs: list[Tensor] = []
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                mine.append(self.average[key])
                theirs.append(value)
            else:
                self.average[key].copy_(value)
        torch._foreach_lerp_(mine, theirs, weight)

    def state_dict(self) -> dict[str, Tensor]:
        """The averaged state, loadable into the model."""
        return self.average

    def load_state_dict(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Go on from a saved average."""
        self.average = {k: v.clone() for k, v in state.items()}
        self.steps = steps


def learning_rates(optimizer: Any) -> float:
    """The largest present learning rate, for the log."""
    return float(max(group["lr"] for group in optimizer.param_groups))
