"""Bounds the networks that a model folder describes by the weights that it holds."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn.modules.module import register_module_parameter_registration_hook

from multiemo.errors import CheckpointError

#: A network may have this many times the parameters that are stored, and ``SPARE`` more: some layers are replaced or
#: dropped while it is built, such as the classifier of a backbone.
TIMES = 4
SPARE = 10_000_000


@contextmanager
def sized_by(stored: Iterable[Tensor], folder: Path) -> Iterator[None]:
    """Refuse to build more parameters in this context than stored weights can fill.

    A config of a few bytes can describe a network of any size. Its parameters are counted as they are made, before
    their values are drawn, so that the memory of a network that is too large is never touched.

    Args:
        stored: the weights; without any, there is no limit, since the network reads its weights from elsewhere.
        folder: the model folder, for the message.

    Raises:
        CheckpointError: the network is larger.
    """
    count = sum(tensor.numel() for tensor in stored)
    limit = TIMES * count + SPARE
    made, thread = 0, threading.get_ident()

    def add(_module: Any, _name: str, parameter: Any) -> None:
        nonlocal made
        if parameter is None or threading.get_ident() != thread:
            return
        made += parameter.numel()
        if made > limit:
            raise CheckpointError(
                f"{folder / 'config.json'}: describes a network of more than {limit:,} parameters, but "
                f"model.safetensors holds {count:,}; it was changed or damaged: copy the model folder again"
            )

    if not count:
        yield
        return
    handle = register_module_parameter_registration_hook(add)
    try:
        yield
    finally:
        handle.remove()
