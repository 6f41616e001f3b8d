"""What ``export.json`` holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multiemo.calibration import Calibration
from multiemo.records import Record, record
from multiemo.types import Modality


@record
class Graph(Record):
    """One ONNX file.

    Args:
        file: its name.
        inputs: {name: shape and dtype}.
        outputs: names of its outputs, in order.
        difference: largest absolute difference of an output from that of the model, on the inputs tried.
    """

    file: str
    inputs: Mapping[str, str]
    outputs: Sequence[str]
    difference: float


@record
class Exported(Record):
    """A model as ONNX files.

    Args:
        name: name of the model.
        label_set: name of its label set; ``None`` for labels of its own.
        labels: the columns of the probabilities, in order.
        task: ``single``, ``soft``, ``multi`` or ``dimensions``.
        encoders: {modality: its encoder}.
        fusion: fusion, heads and calibration.
        specs: {modality: the input that the encoder requires}, see :mod:`multiemo.types`.
        calibration: costs and thresholds by which labels are decided; temperatures and biases are in the fusion graph.
        versions: {package: version}.
    """

    name: str
    label_set: str | None
    labels: Sequence[str]
    task: str
    encoders: Mapping[Modality, Graph]
    fusion: Graph
    specs: Mapping[Modality, Mapping[str, Any]]
    calibration: Calibration
    versions: Mapping[str, str]
