"""Convolutional networks of ONNX files as torch modules, without the ``onnx`` package.

Only what CenterFace needs is supported: convolutions, transposed convolutions, batch normalisation, ReLU, sigmoid,
sums, concatenations and clipping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multiemo.errors import ConfigError

# Numbers of fields in onnx.proto3.
_MODEL_GRAPH, _GRAPH_NODE, _GRAPH_WEIGHT = 7, 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_KIND, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_FLOAT, _ATTRIBUTE_INT, _ATTRIBUTE_INTS = 1, 2, 3, 8
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 4, 8, 9
_FLOAT = 1


@dataclass(frozen=True, slots=True)
class _Node:
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: dict[str, Any]


class OnnxNetwork(nn.Module):
    """A network of an ONNX file; its weights are buffers.

    Args:
        path: the ONNX file.
        outputs: names of the values to return.

    Raises:
        ConfigError: the file cannot be read, or has operators that are not supported.
    """

    def __init__(self, path: Path, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.outputs = outputs
        try:
            (graph,) = _fields(path.read_bytes(), _MODEL_GRAPH)
            weights = dict(map(_tensor, _fields(graph, _GRAPH_WEIGHT)))
            self._nodes = [_node(data) for data in _fields(graph, _GRAPH_NODE)]
        except (OSError, ValueError, IndexError) as error:
            raise ConfigError(f"{path} is not a readable ONNX network ({error}); install it again") from None
        unknown = sorted({node.kind for node in self._nodes} - _OPERATORS.keys())
        if unknown:
            raise ConfigError(f"{path}: the operator {unknown[0]!r} is not supported; use the network through OpenCV")
        for name, values in weights.items():
            self.register_buffer(f"weight_{name.replace('.', '_')}", values)
        self._weights = {name: f"weight_{name.replace('.', '_')}" for name in weights}

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Run the network.

        Args:
            x: ``[B, C, H, W]``, the network's only input.

        Returns:
            The values named in ``outputs``.
        """
        values: dict[str, Tensor] = {name: getattr(self, own) for name, own in self._weights.items()}
        for node in self._nodes:
            arguments = [values.get(name, x) for name in node.inputs]
            values[node.outputs[0]] = _OPERATORS[node.kind](arguments, node.options)
        return tuple(values[name] for name in self.outputs)


def _padding(options: dict[str, Any]) -> tuple[int, int]:
    top, left, bottom, right = options.get("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right):
        raise ValueError(f"padding {top, left, bottom, right} differs between sides")
    return top, left


def _convolve(x: list[Tensor], options: dict[str, Any]) -> Tensor:
    bias = x[2] if len(x) > 2 else None
    stride, dilation = options.get("strides", (1, 1)), options.get("dilations", (1, 1))
    return F.conv2d(x[0], x[1], bias, stride, _padding(options), dilation, options.get("group", 1))


def _transposed(x: list[Tensor], options: dict[str, Any]) -> Tensor:
    bias = x[2] if len(x) > 2 else None
    stride, more = options.get("strides", (1, 1)), options.get("output_padding", (0, 0))
    return F.conv_transpose2d(x[0], x[1], bias, stride, _padding(options), more, options.get("group", 1))


def _normalise(x: list[Tensor], options: dict[str, Any]) -> Tensor:
    values, scale, bias, mean, variance = x
    return F.batch_norm(values, mean, variance, scale, bias, eps=options.get("epsilon", 1e-5))


_OPERATORS: dict[str, Callable[[list[Tensor], dict[str, Any]], Tensor]] = {
    "Conv": _convolve,
    "ConvTranspose": _transposed,
    "BatchNormalization": _normalise,
    "Relu": lambda x, _: F.relu(x[0]),
    "Sigmoid": lambda x, _: x[0].sigmoid(),
    "Add": lambda x, _: x[0] + x[1],
    "Concat": lambda x, options: torch.cat(x, options["axis"]),
    "Clip": lambda x, options: x[0].clamp(options.get("min"), options.get("max")),
}


def _messages(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field of a protocol buffer: integers, or bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        value: Any
        if wire == 0:
            value, place = _varint(data, place)
        else:
            size, place = _varint(data, place) if wire == 2 else ({1: 8, 5: 4}[wire], place)
            value, place = data[place : place + size], place + size
        if place > len(data):
            raise ValueError("it is cut off")
        yield number, value


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return (value - (1 << 64) if value >= 1 << 63 else value), place


def _fields(data: bytes, number: int) -> list[Any]:
    return [value for found, value in _messages(data) if found == number]


def _integers(data: bytes, number: int) -> list[int]:
    """A repeated field of integers, packed or not."""
    found: list[int] = []
    for value in _fields(data, number):
        place = 0
        while isinstance(value, bytes) and place < len(value):
            one, place = _varint(value, place)
            found.append(one)
        if isinstance(value, int):
            found.append(value)
    return found


def _node(data: bytes) -> _Node:
    inputs, outputs = (tuple(value.decode() for value in _fields(data, n)) for n in (_NODE_INPUT, _NODE_OUTPUT))
    (kind,) = _fields(data, _NODE_KIND)
    return _Node(kind.decode(), inputs, outputs, dict(map(_attribute, _fields(data, _NODE_ATTRIBUTE))))


def _attribute(data: bytes) -> tuple[str, Any]:
    (name,) = _fields(data, _ATTRIBUTE_NAME)
    integers = tuple(_integers(data, _ATTRIBUTE_INTS))
    if integers:
        return name.decode(), integers
    numbers = _fields(data, _ATTRIBUTE_FLOAT)
    if numbers:
        return name.decode(), float(np.frombuffer(numbers[0], "<f4")[0])
    return name.decode(), next(iter(_fields(data, _ATTRIBUTE_INT)), None)


def _tensor(data: bytes) -> tuple[str, Tensor]:
    (name,) = _fields(data, _TENSOR_NAME)
    if _integers(data, _TENSOR_TYPE) != [_FLOAT]:
        return name.decode(), torch.zeros(0)  # shapes and counts, which no supported operator reads
    raw = b"".join(_fields(data, _TENSOR_RAW) or _fields(data, _TENSOR_FLOATS))
    values = np.frombuffer(raw, "<f4").reshape(_integers(data, _TENSOR_DIMS)).copy()
    return name.decode(), torch.from_numpy(values)
