"""Encoders through ``torch.compile``, or as they are where that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch._functorch.config as lowering
from torch import nn

from multiemo.errors import first_line


def compile_encoder(encoder: nn.Module, failed: Callable[[str], None]) -> None:
    """Run a module through ``torch.compile`` from now on; after a failure, run it as it is.

    The backward pass is compiled together with the forward pass, so a failure of either shows in the first call. An
    error of the module itself is raised as without compilation.

    Args:
        encoder: any module; undone by :func:`run_plainly`.
        failed: receives the first line of the compiler's error, once.
    """
    plain: Callable[..., Any] = encoder._call_impl
    compiled: Callable[..., Any] | None = torch.compile(plain, dynamic=True)

    def call(*arguments: Any, **options: Any) -> Any:
        nonlocal compiled
        if compiled is None:
            return plain(*arguments, **options)
        try:
            with lowering.patch(force_non_lazy_backward_lowering=True):
                return compiled(*arguments, **options)
        except Exception as error:
            result = plain(*arguments, **options)
            compiled = None
            failed(first_line(error))
            return result

    encoder._compiled_call_impl = call


def run_plainly(encoder: nn.Module) -> None:
    """Run a module as it is again."""
    encoder._compiled_call_impl = None
