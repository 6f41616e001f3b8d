"""What an explanation needs of a loaded model; :class:`multiemo.predict.Predictor` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from multiemo.arrays import Array
from multiemo.calibration import Calibration
from multiemo.model import EmotionModel
from multiemo.predict.answers import Watch
from multiemo.predict.prediction import InputPrediction, ModelDescription
from multiemo.predict.segmentation.stream import Segment
from multiemo.predict.sources import Item
from multiemo.runs.device import Compute
from multiemo.runs.model_folder import Bundle
from multiemo.types import Sample


class ExplainableModel(Protocol):
    """A model whose predictions can be explained.

    Attributes:
        bundle: model, inputs and origin.
        model: the network, on the device of ``compute``.
        labels: names of its columns.
        calibration: its calibration.
        compute: device and precision.
    """

    bundle: Bundle
    model: EmotionModel
    labels: Sequence[str]
    calibration: Calibration
    compute: Compute

    def predict_item(self, item: Item, watch: Watch | None = None) -> InputPrediction:
        """Predict one item."""
        ...

    def sample(self, segment: Segment) -> Sample:
        """The sample of a segment."""
        ...

    def coalitions(self, segment: Segment) -> Mapping[str, Array]:
        """{subset key: ``[C]`` calibrated probabilities} of every set of the modalities of a segment."""
        ...

    def describe(self) -> ModelDescription:
        """The description of the model."""
        ...
