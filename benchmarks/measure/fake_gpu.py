"""A CUDA device without a card: shapes, dtypes and operators of a step, but no values and no time.

Torch's fake tensors claim to lie on a GPU, so autocast, fused attention and the package's own layers for GPUs take the
code path of a real one. What the host would queue can then be counted on any machine.
"""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

#: Operators that only describe memory in another way, or reserve it.
_NO_KERNEL = {
    "alias", "as_strided", "detach", "expand", "permute", "select", "slice", "split", "split_with_sizes", "squeeze",
    "t", "transpose", "unbind", "unfold", "unsqueeze", "view", "_unsafe_view", "_reshape_alias", "diagonal", "real",
    "view_as_real", "view_as_complex", "_conj", "empty", "empty_like", "empty_strided", "new_empty",
    "new_empty_strided", "lift_fresh", "device", "is_same_size", "_has_compatible_shallow_copy_type", "set_",
    "_fused_sdp_choice", "sym_size", "sym_stride", "sym_numel", "resize_",
}  # fmt: skip


@dataclass(slots=True)
class Queued:
    """What a block of code queues on the device.

    Args:
        operators: {operator: times}, each at least one kernel.
        moved: bytes that these operators read and write.
        operations: multiplications and additions of matrix products, convolutions and attention.
    """

    operators: Counter[str] = field(default_factory=Counter)
    moved: int = 0
    operations: int = 0

    @property
    def kernels(self) -> int:
        """Number of operators queued."""
        return self.operators.total()


class _Count(TorchDispatchMode):
    def __init__(self, found: Queued) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        name = func.name().partition("::")[2].partition(".")[0]
        tensors = [x for x in tree_leaves((args, kwargs, made)) if isinstance(x, Tensor) and x.is_cuda]
        if tensors and name not in _NO_KERNEL:
            self.found.operators[name] += 1
            self.found.moved += sum(_stored(x) for x in tensors)
        return made


def _stored(x: Tensor) -> int:
    """Bytes of the elements of a tensor, each once even if it is expanded."""
    count = 1
    for size, stride in zip(x.shape, x.stride(), strict=True):
        count *= size if stride else 1
    return count * x.element_size()


@contextlib.contextmanager
def queued() -> Iterator[Queued]:
    """Count what the block queues; complete when the block ends."""
    found = Queued()
    with FlopCounterMode(display=False) as flops, _FusedAttention(), _Count(found):
        yield found
    found.operations = flops.get_total_flops()


def move(module: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """Replace all weights by fake ones on the fake GPU; they stay shared where they are shared.

    Args:
        module: any module; modified in place.
        mode: the mode in which it will run.

    Returns:
        The module.
    """
    made: dict[int, Tensor] = {}
    with mode:
        for part in module.modules():
            for name, weight in part._parameters.items():
                if weight is not None:
                    fake = made.setdefault(id(weight), nn.Parameter(_empty(weight), weight.requires_grad))
                    part._parameters[name] = fake  # type: ignore[assignment]
            for name, buffer in part._buffers.items():
                if buffer is not None:
                    part._buffers[name] = made.setdefault(id(buffer), _empty(buffer))
    return module


def _empty(x: Tensor) -> Tensor:
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device="cuda")


class _FusedAttention(TorchFunctionMode):
    """Attention by the kernels that a GPU uses in half precision; without a card, torch takes it apart."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.nn.functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        return _attend(*args, **(kwargs or {}))


def _attend(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else query.dtype
    query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    if attn_mask is None:
        flash = torch.ops.aten._scaled_dot_product_flash_attention
        return flash(query, key, value, dropout_p, is_causal, scale=scale)[0]  # type: ignore[no-any-return]
    if attn_mask.dtype == torch.bool:
        attn_mask = torch.where(attn_mask, 0.0, float("-inf"))
    bias = attn_mask.to(dtype).expand(*query.shape[:3], key.shape[2])
    efficient = torch.ops.aten._scaled_dot_product_efficient_attention
    needed = query.requires_grad
    made: Tensor = efficient(query, key, value, bias, needed, dropout_p, is_causal, scale=scale)[0]
    return made


@contextlib.contextmanager
def autocast(dtype: torch.dtype) -> Iterator[None]:
    """``torch.autocast("cuda", dtype)``, which itself refuses without a card."""
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", dtype)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", before[0])
        torch.set_autocast_dtype("cuda", before[1])


def backward(loss: Tensor) -> None:
    """``loss.backward()`` node by node: torch's own engine needs a card even for fake tensors.

    Args:
        loss: a scalar.
    """
    root: Any = loss.grad_fn
    waiting: Counter[Any] = Counter()
    stack, seen = [root], {root}
    while stack:
        for node, _ in stack.pop().next_functions:
            if node is not None:
                waiting[node] += 1
                if node not in seen:
                    seen.add(node)
                    stack.append(node)
    arrived: defaultdict[Any, dict[int, Tensor]] = defaultdict(dict)
    arrived[root][0] = torch.ones_like(loss)
    ready = [root]
    while ready:
        node = ready.pop()
        given = arrived.pop(node, {})
        made: Any = [None] * len(node.next_functions)
        if given and hasattr(node, "variable"):
            weight, gradient = node.variable, given[0]
            weight.grad = gradient if weight.grad is None else weight.grad + gradient
        elif given:
            arguments = [given.get(i) for i in range(max(len(node._input_metadata), 1))]
            with torch.no_grad():
                # A function in Python also returns something for the options that precede its tensors.
                made = node(*arguments) if callable(node) else node.apply(*arguments)[-len(node.next_functions) :]
        made = made if isinstance(made, tuple | list) else (made,)
        for (following, place), gradient in zip(node.next_functions, made, strict=True):
            if following is None:
                continue
            if gradient is not None:
                gradient = _fitted(gradient, following._input_metadata[place])
                held = arrived[following]
                held[place] = held[place] + gradient if place in held else gradient
            waiting[following] -= 1
            if waiting[following] == 0:
                ready.append(following)


def _fitted(gradient: Tensor, wanted: Any) -> Tensor:
    """A gradient in the shape and dtype of what it belongs to, as torch's engine makes it."""
    if gradient.shape != wanted.shape:
        gradient = gradient.sum_to_size(wanted.shape)
    return gradient.to(wanted.dtype)
