"""Parameters of an encoder by their names."""

from __future__ import annotations

import torch


def gradients(encoder) -> dict[str, torch.Tensor]:
    return {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}


def names(encoder) -> list[set[str]]:
    by_parameter = {id(p): n for n, p in encoder.named_parameters()}
    return [{by_parameter[id(p)] for p in group} for group in encoder.layer_groups()]


def trained(encoder: torch.nn.Module) -> set[str]:
    return {n for n, p in encoder.named_parameters() if p.requires_grad}
