"""Encoders of a loaded model that are built on first use."""

from __future__ import annotations

import threading
from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView
from typing import Any

import torch
from torch import Tensor, nn

from multiemo.encoders.base import Encoder

#: Several threads may use one model at the same time.
_BUILD_LOCK = threading.RLock()


class Deferred(Encoder):
    """Placeholder for an encoder that has not been built yet. It stores the weights and any device or dtype changes.

    Args:
        out_dim: D of the encoder.
        build: builds the encoder from the stored weights.
    """

    def __init__(self, out_dim: int, build: Callable[[Mapping[str, Tensor]], Encoder]) -> None:
        super().__init__()
        self.out_dim = out_dim
        self._build = build
        self._weights: dict[str, Tensor] = {}
        self._moves: list[Callable[[Tensor], Tensor]] = []

    def built(self) -> Encoder:
        """Build the encoder, on the current device and in the current mode of the model.

        Raises:
            MultiemoError: ``build`` failed.
        """
        with torch.inference_mode(False):  # the weights must be ordinary tensors
            encoder = self._build(self._weights)
            for move in self._moves:
                encoder._apply(move)  # type: ignore[no-untyped-call]
        return encoder.train(self.training)

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
        self._weights = {k.removeprefix(prefix): v for k, v in state_dict.items() if k.startswith(prefix)}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Deferred:
        self._moves.append(fn)
        return self


class Encoders(nn.ModuleDict):
    """{modality: encoder} of a model. Accessing a :class:`Deferred` encoder or its weights builds it."""

    def __getitem__(self, key: str) -> nn.Module:
        if isinstance(self._modules[key], Deferred):
            with _BUILD_LOCK:
                if isinstance(waiting := self._modules[key], Deferred):
                    self[key] = waiting.built()
        return super().__getitem__(key)

    def items(self) -> ItemsView[str, nn.Module]:
        """As ``ModuleDict.items``, with every encoder built."""
        return self._all_built().items()

    def values(self) -> ValuesView[nn.Module]:
        """As ``ModuleDict.values``, with every encoder built."""
        return self._all_built().values()

    def named_modules(self, *args: Any, **options: Any) -> Iterator[tuple[str, nn.Module]]:
        """As ``Module.named_modules``, with every encoder built. Torch also finds parameters and buffers through it."""
        self._all_built()
        return super().named_modules(*args, **options)  # type: ignore[no-any-return]

    def state_dict(self, *args: Any, **options: Any) -> Any:
        """As ``Module.state_dict``, with every encoder built."""
        self._all_built()
        return super().state_dict(*args, **options)

    def _all_built(self) -> dict[str, nn.Module]:
        return {key: self[key] for key in self}
