"""Encoders of a loaded model that are built when they are first wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView
from typing import Any

import torch
from torch import Tensor, nn

from multiemo.encoders.base import Encoder

#: Several threads may ask one model at once.
_BUILDING = threading.RLock()


class Deferred(Encoder):
    """In the place of an encoder until that is wanted; keeps its weights, and what happens to the model meanwhile.

    Args:
        out_dim: D of the encoder.
        build: makes it with these weights.
    """

    def __init__(self, out_dim: int, build: Callable[[Mapping[str, Tensor]], Encoder]) -> None:
        super().__init__()
        self.out_dim = out_dim
        self._build = build
        self._weights: dict[str, Tensor] = {}
        self._moves: list[Callable[[Tensor], Tensor]] = []

    def built(self) -> Encoder:
        """The encoder, on the device and in the mode that the model has now.

        Raises:
            MultiemoError: of ``build``.
        """
        with torch.inference_mode(False):  # its weights are as those of any other encoder
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
    """{modality: encoder} of a model; a :class:`Deferred` one is built by whoever takes it, or its weights, out."""

    def __getitem__(self, key: str) -> nn.Module:
        if isinstance(self._modules[key], Deferred):
            with _BUILDING:
                if isinstance(waiting := self._modules[key], Deferred):
                    self[key] = waiting.built()
        return super().__getitem__(key)

    def items(self) -> ItemsView[str, nn.Module]:
        """As those of a ``ModuleDict``."""
        return self._whole().items()

    def values(self) -> ValuesView[nn.Module]:
        """As those of a ``ModuleDict``."""
        return self._whole().values()

    def named_modules(self, *args: Any, **options: Any) -> Iterator[tuple[str, nn.Module]]:
        """As those of any module; parameters and buffers are found by them too."""
        self._whole()
        return super().named_modules(*args, **options)  # type: ignore[no-any-return]

    def state_dict(self, *args: Any, **options: Any) -> Any:
        """As that of any module."""
        self._whole()
        return super().state_dict(*args, **options)

    def _whole(self) -> dict[str, nn.Module]:
        return {key: self[key] for key in self}
