"""Faces by rules: action units compared with prototypes of expressions, without training."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from multiemo.encoders.common.tensor_rules import TensorRules
from multiemo.errors import ConfigError
from multiemo.registry import Size, encoders
from multiemo.rules.face import UnitBaseline, column_largest, read_units, unit_columns
from multiemo.rules.findings import Findings
from multiemo.types import FeatureSpec

#: Quantile over time that stands for the strength of a unit in a sequence: near its strongest moment.
APEX = 0.9


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
    mean: Tensor
    sd: Tensor

    def __init__(self, *, dim: int, max_steps: Size = 256, columns: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.input_spec = FeatureSpec(dim=dim, max_steps=max_steps, columns=columns)
        self.units = unit_columns(columns)
        if not self.units:
            named = f"they are named {', '.join(columns[:3])} ..." if columns else "they have no names"
            raise ConfigError(
                f"encoders.face.name: 'face_rules' reads action units, but no column of features.face is one: {named}; "
                "give features with columns such as AU12_r (OpenFace) or AU12 (py-feat) in a CSV file, or use "
                "'face_rules_landmarks' for pictures"
            )
        self.largest = {unit: column_largest(columns[index]) for unit, index in self.units.items()}
        self.register_buffer("mean", torch.full((len(self.units),), math.nan))
        self.register_buffer("sd", torch.full((len(self.units),), math.nan))

    def fit_statistics(self, inputs: Iterable[Tensor]) -> None:
        """Measure the baseline on the features ``[T, dim]`` of the training clips."""
        clips = [self._values(x) for x in inputs]
        if len(clips) < 2:
            return
        values = torch.stack(clips).double()
        self.mean.copy_(values.mean(0))
        self.sd.copy_(values.std(0, unbiased=False))

    def find(self, x: Tensor) -> Findings:
        """As :meth:`TensorRules.find`, of features ``[T, dim]``."""
        values = dict(zip(self.units, self._values(x).tolist(), strict=True))
        return read_units(values, self.largest, self._baseline())

    def _values(self, x: Tensor) -> Tensor:
        """The strength of each unit over a clip, in the order of ``units``."""
        return x.detach().cpu().float()[:, list(self.units.values())].quantile(APEX, dim=0)

    def _baseline(self) -> dict[int, UnitBaseline] | None:
        if bool(self.mean.isnan().any()):
            return None
        pairs = zip(self.units, self.mean.tolist(), self.sd.tolist(), strict=True)
        return {unit: UnitBaseline(mean, sd) for unit, mean, sd in pairs}
