"""What the other segments of an input tell about its speakers."""

from __future__ import annotations

from collections.abc import Mapping

from multiemo.inputs import Input
from multiemo.predict.segmentation.stream import Segment
from multiemo.types import Modality


class Companions:
    """Collects the voice cues of every segment, so that a voice can be compared with the rest of the same input.

    Args:
        inputs: {modality: input} of the model.
    """

    def __init__(self, inputs: Mapping[Modality, Input]) -> None:
        self._inputs = inputs

    def add(self, segment: Segment) -> None:
        """Add a segment of the input."""
