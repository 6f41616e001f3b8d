"""The lower layers of a pretrained backbone, frozen, so that only the layers above them are trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from multiemo.encoders.common.depth import depth_groups, layer_stack
from multiemo.errors import ConfigError


class LowerLayers:
    """A backbone's first layers and all that precedes them: they are not trained, and their output can be cached.

    The output is the input of the layer that follows. The layers above run on it in the backbone's own forward pass, in
    which the lower ones are replaced by layers that do nothing. That is right for backbones in which a layer needs
    nothing of those before it but their output, which is measured on an example.

    Args:
        backbone: a transformers model. Its lower parameters, and all others that their output depends on, no longer
            require gradients.
        count: number of layers that are frozen.
        where: config path of the encoder, for messages.
        example: runs the backbone on an example and returns its output; ``None`` measures nothing.

    Attributes:
        separable: whether the layers above need nothing of the lower ones but their output. False without an example.

    Raises:
        ConfigError: the backbone has no more than ``count`` layers.
    """

    def __init__(
        self, backbone: nn.Module, count: int, where: str, example: Callable[[], Tensor] | None = None
    ) -> None:
        self.backbone, self.count = backbone, count
        self.stack = layer_stack(backbone)
        if count >= len(self.stack):
            raise ConfigError(
                f"{where}.frozen_layers is {count}, but the model has {len(self.stack)} layers; give fewer, or freeze "
                f"all of the model with {where}.freeze"
            )
        self._width = 0  # values that a layer returns in a tuple; 0 if it returns none
        lower = {parameter for group in depth_groups(backbone, backbone)[: count + 1] for parameter in group}
        training = backbone.training
        backbone.eval()
        if example is not None:
            lower |= self._read_by(example)
        for parameter in lower:
            parameter.requires_grad_(False)
        self.names = frozenset(name for name, parameter in backbone.named_parameters() if parameter in lower)
        self.separable = example is not None and self._measure(example)
        backbone.train(training)

    @property
    def modules(self) -> list[nn.Module]:
        """The layers that are frozen."""
        return list(self.stack[: self.count])

    def train(self, mode: bool) -> None:
        """Put the layers above into training or evaluation mode, and everything else into evaluation mode."""
        self.backbone.eval()
        for layer in self.stack[self.count :]:
            layer.train(mode)

    def weights(self) -> dict[str, Tensor]:
        """The frozen weights, by name."""
        return {name: value for name, value in self.backbone.state_dict().items() if name in self.names}

    def states(self, run: Callable[[], Any]) -> Tensor:
        """The input of the first layer above.

        Args:
            run: runs the backbone. It is stopped once that input is known.
        """
        found: list[Tensor] = []

        def note(layer: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
            found.append(args[0] if args else options["hidden_states"])
            raise _ReachedError

        handle = self.stack[self.count].register_forward_pre_hook(note, with_kwargs=True)
        try:
            run()
        except _ReachedError:
            pass
        finally:
            handle.remove()
        return found[0]

    def above(self, run: Callable[[], Any], states: Tensor) -> Any:
        """Run only the layers above.

        Args:
            run: runs the backbone on an input of the same length as the one that the states were computed from.
            states: result of :meth:`states`.

        Returns:
            What ``run`` returns.
        """

        def replace(layer: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
            if args:
                return (states, *args[1:]), options
            return args, {**options, "hidden_states": states}

        with self._nothing_below():
            handle = self.stack[self.count].register_forward_pre_hook(replace, with_kwargs=True)
            try:
                return run()
            finally:
                handle.remove()

    def _read_by(self, run: Callable[[], Tensor]) -> set[nn.Parameter]:
        """The parameters that the input of the first layer above depends on, such as norms that all layers share."""
        every = [parameter for parameter in self.backbone.parameters() if parameter.requires_grad]
        with torch.enable_grad():
            states = self.states(run)
        if not states.requires_grad:
            return set()
        found = torch.autograd.grad(states.sum(), every, allow_unused=True)
        return {parameter for parameter, gradient in zip(every, found, strict=True) if gradient is not None}

    def _measure(self, run: Callable[[], Tensor]) -> bool:
        """Whether the layers above compute from the states alone what the whole backbone computes."""
        handle = self.stack[self.count - 1].register_forward_hook(self._note_width)
        with torch.no_grad():
            whole = run()
            handle.remove()
            try:
                parted = self.above(run, self.states(run))
            except (TypeError, ValueError, AttributeError, LookupError, RuntimeError):  # what a missing layer leads to
                return False
        return bool(torch.allclose(whole, parted, rtol=1e-4, atol=1e-5))

    def _note_width(self, layer: nn.Module, args: Any, output: Any) -> None:
        self._width = len(output) if isinstance(output, tuple) else 0

    @contextmanager
    def _nothing_below(self) -> Iterator[None]:
        """Replace the lower layers by layers that do nothing."""
        lower = self.modules
        for i, layer in enumerate(lower):
            self.stack[i] = _Nothing(layer, self._width)
        try:
            yield
        finally:
            for i, layer in enumerate(lower):
                self.stack[i] = layer


class _Nothing(nn.Module):
    """Takes the place of a layer, and returns the states that it is given.

    Args:
        layer: the layer. Attributes that the backbone reads are its own.
        width: return them in a tuple of this length, filled with ``None``; 0 for no tuple.
    """

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self._replaced, self.width = (layer,), width

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_replaced"][0], name)

    def forward(self, hidden_states: Tensor, *args: Any, **options: Any) -> Any:
        """Return the states."""
        return (hidden_states, *[None] * (self.width - 1)) if self.width else hidden_states


class _ReachedError(Exception):
    """Stops a forward pass at the first layer above."""
