"""Fails where a step copies from the host to the device: a graph of kernels cannot contain such a copy.

The step runs on a fake GPU (``benchmarks/measure/fake_gpu.py``). Whatever lies on the CPU beside it is found.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def _works() -> bool:
    try:
        with FakeTensorMode():
            torch.zeros(1, device="cuda").clone().copy_(torch.zeros(1))
    except RuntimeError:
        return False
    return True


#: For tests of fake GPUs, which torch 2.9 makes only where there is a real one.
needs_fake_gpu = pytest.mark.skipif(not _works(), reason=f"torch {torch.__version__} fakes a GPU only beside a driver")


class HostCopy(AssertionError):
    """Something was copied to the device."""


class _Copies(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        name = func.name().partition(".")[0]
        places = {x.device.type for x in tree_leaves((args, kwargs, made)) if isinstance(x, Tensor)}
        # Elementwise operators pass a number on the CPU to their kernel; setting values at given places copies it.
        copies = name in ("aten::_to_copy", "aten::copy_") or ("index_put" in name and not _is_masked_fill(args))
        if copies and len(places) > 1:
            raise HostCopy(name)
        return made


def _is_masked_fill(args: Any) -> bool:
    kinds = {i.dtype for i in args[1] if i is not None}
    return kinds <= {torch.bool, torch.uint8} and args[2].numel() == 1


@contextlib.contextmanager
def no_copies() -> Iterator[None]:
    """Within it, copying from the CPU to the fake GPU raises :class:`HostCopy` that names the operator.

    Reading a value of a fake tensor raises an error of torch.
    """
    with _Copies():
        yield
