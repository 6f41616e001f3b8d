"""Fails where a step makes the host wait for the device: on a GPU every such read stalls the queue of kernels."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import transformers
from packaging.version import Version
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

#: Operators that hand a value, or a size that depends on values, to the host.
_OPERATORS = {
    "aten::_local_scalar_dense",
    "aten::bincount",
    "aten::equal",
    "aten::is_nonzero",
    "aten::masked_select",
    "aten::nonzero",
    "aten::repeat_interleave.Tensor",
    "aten::_unique2",
    "aten::unique_consecutive",
    "aten::unique_dim",
}
_INDEX = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}
#: Methods that copy to the host without an operator when the tensor is on the CPU already.
_METHODS = {"tolist", "numpy", "cpu", "__array__"}


class HostSync(AssertionError):
    """A value was read back to the host."""


class _Operators(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name()
        base = name.partition(".")[0]
        if name in _OPERATORS or base in _OPERATORS or (base in _INDEX and _by_bool(args)):
            raise HostSync(name)
        return func(*args, **(kwargs or {}))


class _Methods(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in _METHODS and args and isinstance(args[0], torch.Tensor):
            raise HostSync(f"Tensor.{name}")
        if name == "rand" and args == ([],):
            return random.random()  # older libraries draw on the CPU, in any case, whether a layer is dropped
        return func(*args, **(kwargs or {}))


def _by_bool(args: Any) -> bool:
    """Whether a tensor is indexed by a mask; setting one number there is ``masked_fill`` to torch, without a wait."""
    masked = any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])
    return masked and not (len(args) > 2 and args[2].numel() == 1)


@contextlib.contextmanager
def no_sync() -> Iterator[None]:
    """Within it, reading a value back to the host raises :class:`HostSync` that names the operator.

    Forward and backward of a training step belong inside; build the inputs and look at results outside.
    """
    with _Methods(), _Operators():
        yield


def skip_what_waits(name: str) -> None:
    """Skip architectures in which older versions of transformers wait for the device; slower, and no defect."""
    if name in ("t5", "modernbert") and Version(transformers.__version__) < Version("5.24"):
        pytest.skip(f"transformers {transformers.__version__} reads back in {name}")
