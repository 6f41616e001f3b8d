"""Operators that the host queues on a GPU in one training step: counted on a fake GPU, so on any machine."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from multiemo.encoders.base import encode_rows
from multiemo.training.casts import cast_together
from multiemo.types import MODALITIES

from . import fake_gpu, fused
from .trainer import refuse

#: {way to compute the step: (our layers, masks left away, weights cast together)}, each with what is before it.
WAYS = {
    "the libraries' layers": (False, False, False),
    "our layers": (True, False, False),
    "no masks": (True, True, False),
    "weights cast together": (True, True, True),
}


def queued(size: fused.Size, way: str) -> dict[str, Any]:
    """Count a training step in bf16: each branch forward and backward, the whole step, and its optimiser.

    Args:
        size: size of the clips and of the models.
        way: key of :data:`WAYS`.

    Returns:
        {branch, ``optimiser`` or ``all``: ``kernels``, ``moved`` (bytes) and ``operations``}.
    """
    ours, unmasked, together = WAYS[way]
    with nullcontext() if ours else fused.unchanged_layers():
        work = fused.FusedWork(size, [])
        objective = work.objective()
    mode = FakeTensorMode()
    fake_gpu.move(objective, mode).train()
    model = objective.model
    if together:
        for m in model.modalities:
            cast_together(model.encoders[m], refuse)
    found: dict[str, Any] = {}
    batch = fused.one_batch(size)
    with mode:
        batch = batch._each(lambda x: torch.empty(x.shape, dtype=x.dtype, device="cuda"))
        if not unmasked:
            batch.unpadded = frozenset()
        for m in MODALITIES:
            with fake_gpu.queued() as counted:
                with fake_gpu.autocast(torch.bfloat16):
                    embedding = encode_rows(model.encoders[m], m, batch)
                fake_gpu.backward(embedding.float().sum())
            found[m] = _figures(counted)
        objective.zero_grad()
        parameters = [p for p in objective.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
        with fake_gpu.queued() as counted:
            with fake_gpu.autocast(torch.bfloat16):
                loss = objective(batch)
            fake_gpu.backward(loss)
        optimizer.step()  # creates the optimiser's state
        with fake_gpu.queued() as updating:
            nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)  # as for real tensors on a GPU
            optimizer.step()
    found["optimiser"] = _figures(updating)
    found["all"] = {key: value + found["optimiser"][key] for key, value in _figures(counted).items()}
    return found


def _figures(counted: fake_gpu.Queued) -> dict[str, int]:
    return {"kernels": counted.kernels, "moved": counted.moved, "operations": counted.operations}
