"""Half-precision copies of an encoder's weights, made together instead of one kernel for each.

Autocast casts each weight before its first use, and each gradient afterwards: two small kernels for every weight in
every step. On a fast GPU the host cannot queue them as quickly as they run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from multiemo.errors import first_line

#: Layers whose weights autocast casts, whatever the device. Their subclasses may read their weights differently.
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


class _Cast(torch.autograd.Function):
    """Copies of several tensors in another dtype; their gradients return in the dtype of the originals."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.dtypes = [weight.dtype for weight in weights]
        ctx.set_materialize_grads(False)  # a weight that was not used has no gradient, instead of zeros
        made = [torch.empty_like(weight, dtype=dtype) for weight in weights]
        torch._foreach_copy_(made, list(weights))
        return tuple(made)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        given = [(g, dtype) for g, dtype in zip(gradients, ctx.dtypes, strict=True) if g is not None]
        made = [torch.empty_like(g, dtype=dtype) for g, dtype in given]
        torch._foreach_copy_(made, [g for g, _ in given])
        full = iter(made)
        return None, *(None if g is None else next(full) for g in gradients)


def cast_together(encoder: nn.Module, failed: Callable[[str], None]) -> None:
    """Cast the weights of an encoder's linear and convolutional layers together in each training pass under autocast.

    Results and gradients are those of autocast, bit by bit. If an encoder cannot run with weights that are cast
    already, it goes on without. Adapters are left to autocast, since their library casts inputs to the dtype of their
    weights. Recomputed activations would not find the copies again.

    Args:
        encoder: any module; undone by :func:`~multiemo.training.compiled.run_plainly`.
        failed: receives the first line of the error, once.
    """
    plain: Callable[..., Any] = encoder._call_impl
    layers = [module for name, module in encoder.named_modules() if "lora_" not in name and _is_cast(module)]
    if not layers:  # rules have no weights at all
        return
    usable = True

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal usable
        device = next(encoder.parameters()).device.type
        if not (usable and torch.is_grad_enabled() and torch.is_autocast_enabled(device)):
            return plain(*arguments, **options)
        try:
            with _copies(layers, torch.get_autocast_dtype(device)):
                return plain(*arguments, **options)
        except Exception as error:
            result = plain(*arguments, **options)
            usable = False
            failed(first_line(error))
            return result

    encoder._compiled_call_impl = call


def _is_cast(module: nn.Module) -> bool:
    """Whether autocast casts the weights of a layer; a convolution in groups may be computed in full precision."""
    return type(module) in _LAYERS and not (isinstance(module, nn.Conv1d) and module.groups > 1)


@contextmanager
def _copies(layers: list[nn.Module], dtype: torch.dtype) -> Iterator[None]:
    """Within it, the trainable weights of the layers are copies in another dtype."""
    originals: dict[Tensor, list[tuple[dict[str, Any], str]]] = {}
    for layer in layers:
        for name, weight in layer._parameters.items():
            if weight is not None and weight.requires_grad:
                originals.setdefault(weight, []).append((layer._parameters, name))
    copies = _Cast.apply(dtype, *originals) if originals else ()  # type: ignore[no-untyped-call]
    try:
        for copy, places in zip(copies, originals.values(), strict=True):
            for parameters, name in places:
                parameters[name] = copy
        yield
    finally:
        for original, places in originals.items():
            for parameters, name in places:
                parameters[name] = original
