"""Encoders as CUDA graphs: the host launches a whole pass at once instead of its kernels one by one.

A graph computes one shape, from fixed memory to fixed memory. Shapes that recur are captured. Others, and everything
after a failed capture, run as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multiemo.encoders.common.fused_layers import captured_pass
from multiemo.encoders.common.side_streams import on_stream
from multiemo.errors import first_line

T = TypeVar("T")

#: A shape is captured when it comes up for this time.
OCCURRENCES = 3
#: Shapes that are captured for one encoder; each takes the memory of its activations.
MOST_GRAPHS = 8
#: Passes before a capture, in which libraries choose their kernels.
_WARM_UPS = 3
#: Runs a function and returns how to repeat it: with the same memory, and therefore with results in the same place.
Record: TypeAlias = Callable[[Callable[[], T]], tuple[Callable[[], None], T]]


def graph_encoder(encoder: Any, failed: Callable[[str], None], record: Record[Any] | None = None) -> None:
    """Replay the training passes of an encoder, forward and backward, from now on.

    Sequences are padded to one of eight lengths per octave, so that fewer shapes occur. Batch normalisation would see
    the padding, so encoders that have it are captured in the exact shapes only. Random numbers (dropout, augmentation)
    continue their stream in every replay. Gradients are copied out of the graph, so they can be accumulated. The graphs
    of an encoder run on a stream of its own, beside those of other encoders
    (:func:`~multiemo.encoders.common.side_streams.side_by_side`).

    If the memory of the GPU does not suffice for a capture, or for a pass in a shape that is not captured, the graphs
    are given up.

    Args:
        encoder: an ``Encoder`` on its device, whose weights may be cast together; undone by
            :func:`~multiemo.training.compiled.run_plainly`.
        failed: receives the first line of the error of a failed capture, once.
        record: how to capture; by default as a CUDA graph.
    """
    plain: Callable[..., Tensor] = encoder._compiled_call_impl or encoder._call_impl
    stream = torch.cuda.Stream(next(encoder.parameters()).device) if record is None else None  # type: ignore[no-untyped-call]
    capture = record or _recorder(stream)
    pads = not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in encoder.modules())
    longest = _longest(encoder.input_spec)
    graphs: dict[Any, PassGraph] = {}
    seen: Counter[Any] = Counter()
    usable = True

    def give_up(error: Exception) -> None:
        nonlocal usable
        usable = False
        graphs.clear()
        failed(first_line(error))

    def run(x: Tensor, mask: Tensor, *states: Any, **options: Any) -> Tensor:
        try:
            return plain(x, mask, *states, **options)
        except torch.OutOfMemoryError as error:
            if not graphs:
                raise
            give_up(error)
        torch.cuda.empty_cache()
        return plain(x, mask, *states, **options)

    def call(x: Tensor, mask: Tensor, *states: Any, **options: Any) -> Tensor:
        weights = [p for p in encoder.parameters() if p.requires_grad]
        # A graph would repeat the values that other tensors had when it was captured.
        given = bool(states) or any(isinstance(value, Tensor) for value in options.values())
        if not usable or given or not weights or not (encoder.training and torch.is_grad_enabled()):
            return run(x, mask, *states, **options)
        length = padded_length(x.shape[1], longest) if pads else x.shape[1]
        filled = {**options, "padded": True} if length > x.shape[1] and "padded" in options else options
        cast = torch.is_autocast_enabled(x.device.type), torch.get_autocast_dtype(x.device.type)
        key = (x.shape[0], length, *x.shape[2:], x.dtype, *filled.items(), cast, *map(id, weights))
        seen[key] += 1
        if key not in graphs and (seen[key] < OCCURRENCES or len(graphs) == MOST_GRAPHS):
            return run(x, mask, **options)
        inputs = _extended(x, length), _extended(mask, length)
        if key not in graphs:
            try:
                graphs[key] = PassGraph(partial(plain, **filled), inputs, encoder, capture, stream)
            except Exception as error:
                give_up(error)
                return plain(x, mask, **options)
        graph = graphs[key]
        graph.read(inputs)
        with on_stream(stream):  # the backward pass too, since autograd runs it where it recorded the forward pass
            made: Tensor = _Replay.apply(graph, *weights)  # type: ignore[no-untyped-call]
        if stream is not None:
            made.record_stream(torch.cuda.current_stream(stream.device))
        return made

    encoder._compiled_call_impl = call


class PassGraph:
    """One pass of an encoder in one shape, forward and backward.

    The pass reads the weights under other names. Autograd ties a weight to the stream in which it was used first, and
    orders every backward pass that reaches it by that stream, which a capture does not allow.

    Args:
        function: computes embeddings ``[B, D]`` from an input and its mask.
        inputs: input and mask of the first batch.
        encoder: module with the weights; its buffers stay as they are.
        record: how to capture.
        stream: stream of the capture, which libraries are made ready for; ``None`` without a GPU.
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        inputs: Sequence[Tensor],
        encoder: nn.Module,
        record: Record[Any],
        stream: torch.cuda.Stream | None,
    ) -> None:
        self._aliases = {p: p.detach().requires_grad_() for p in encoder.parameters() if p.requires_grad}
        self._inputs = [x.clone() for x in inputs]
        self._function, self._encoder = function, encoder
        with _kept(encoder.buffers()):
            with on_stream(stream):
                for _ in range(_WARM_UPS):
                    self._given = torch.zeros_like(self._forward())
                    self._backward()
            self._replay_forward, made = record(self._forward)
            self._made: Tensor = made.detach()
            self._replay_backward, self._gradients = record(self._backward)
        self._live: Tensor | None = None

    def read(self, inputs: Sequence[Tensor]) -> None:
        """Copy an input and its mask to where the next forward pass finds them."""
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)

    def forward(self) -> Tensor:
        """Embeddings ``[B, D]`` of the input and mask that were read last."""
        self._replay_forward()
        return self._made.clone()

    def backward(self, given: Tensor) -> list[Tensor | None]:
        """Gradients of the weights in the latest forward pass; ``None`` for weights that it does not use.

        Args:
            given: gradient of the embeddings, ``[B, D]``.
        """
        self._given.copy_(given)
        self._replay_backward()
        used = [g for g in self._gradients if g is not None]
        copies = [torch.empty_like(g) for g in used]
        torch._foreach_copy_(copies, used)
        each = iter(copies)
        return [None if g is None else next(each) for g in self._gradients]

    def _forward(self) -> Tensor:
        device = self._inputs[0].device.type
        cast: AbstractContextManager[Any] = nullcontext()
        if torch.is_autocast_enabled(device):  # autocast's cache would hold memory of the graph, or the other way round
            cast = torch.autocast(device, torch.get_autocast_dtype(device), cache_enabled=False)
        with torch.enable_grad(), cast, captured_pass(), _replaced(self._encoder, self._aliases):
            made: Tensor = self._function(*self._inputs)
        self._live = made
        return made

    def _backward(self) -> Sequence[Tensor | None]:
        assert self._live is not None
        return torch.autograd.grad(self._live, list(self._aliases.values()), self._given, allow_unused=True)


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, graph: PassGraph, *_: Tensor) -> Tensor:
        ctx.graph = graph
        return graph.forward()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return None, *ctx.graph.backward(gradients[0])


def padded_length(steps: int, longest: int | None) -> int:
    """The length to which a sequence is padded: eight lengths per octave, at most an eighth longer.

    Args:
        steps: length of the sequence.
        longest: most steps that the encoder reads; ``None`` if there is no limit.

    Example:
        >>> [padded_length(n, None) for n in (7, 16, 17, 33, 1000)]
        [7, 16, 18, 36, 1024]
        >>> padded_length(97, 100)
        100
    """
    unit = 1 << max(steps.bit_length() - 4, 0)
    length = -(-steps // unit) * unit
    return length if longest is None else max(min(length, longest), steps)


def _longest(spec: Any) -> int | None:
    for name in ("max_tokens", "most_rows", "max_steps"):
        if hasattr(spec, name):
            return int(getattr(spec, name))
    return None


def _extended(x: Tensor, length: int) -> Tensor:
    """Zeros after ``[B, T, ...]`` up to a length."""
    return F.pad(x, (*[0] * (2 * (x.ndim - 2)), 0, length - x.shape[1])) if length > x.shape[1] else x


@contextmanager
def _replaced(encoder: nn.Module, values: dict[nn.Parameter, Tensor]) -> Iterator[None]:
    """Within it, modules have other tensors in place of their parameters."""
    places = [(m._parameters, name, p) for m in encoder.modules() for name, p in m._parameters.items() if p in values]
    try:
        for parameters, name, p in places:
            parameters[name] = values[p]  # type: ignore[assignment, index]
        yield
    finally:
        for parameters, name, p in places:
            parameters[name] = p


@contextmanager
def _kept(buffers: Iterator[Tensor]) -> Iterator[None]:
    """Restore running statistics afterwards."""
    before = [(buffer, buffer.clone()) for buffer in buffers]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)


def _recorder(stream: torch.cuda.Stream | None) -> Record[Any]:
    """Captures CUDA graphs on a stream. They share their memory, since an encoder runs one pass at a time."""
    pool: Any = None

    def record(run: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        nonlocal pool
        pool = pool or torch.cuda.graph_pool_handle()  # type: ignore[no-untyped-call]
        graph = torch.cuda.CUDAGraph()
        # Other threads pin memory for the next batches meanwhile.
        captured = torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local")
        with _undone_if_it_fails(pool), captured:
            result = run()
        return graph.replay, result

    return record


@contextmanager
def _undone_if_it_fails(pool: Any) -> Iterator[None]:
    """Leave a failed capture completely. Torch leaves its stream, random numbers and memory in the capture's state."""
    device, stream = torch.cuda.current_device(), torch.cuda.current_stream()
    numbers = torch.cuda.default_generators[device]
    before = numbers.clone_state()
    try:
        yield
    except BaseException:
        torch.cuda.set_stream(stream)
        numbers.graphsafe_set_state(before)
        with suppress(RuntimeError):  # if it has been left
            torch._C._cuda_endAllocateToPool(device, pool)
        raise
