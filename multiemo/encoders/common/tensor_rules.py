"""Rules over what another kind of input measures: a prosody track, action units, face crops."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from multiemo.encoders.common.rule_branch import RuleEncoder
from multiemo.rules.deviations import CueBaseline
from multiemo.rules.findings import Findings
from multiemo.rules.vector import rule_vector


class TensorRules(RuleEncoder):
    """Applies rules to the tensor of each clip; its embedding is the rule vector.

    Its input is of a kind that trained encoders read too, so that the same files, streams and explanations serve it.
    The cues of a clip are compared with a baseline, which :meth:`fit_statistics` measures on the training clips. That
    uses no labels.

    Args:
        cues: names of the cues that :meth:`measure` returns.
    """

    mean: Tensor
    sd: Tensor
    clips: Tensor

    def __init__(self, cues: Sequence[str]) -> None:
        super().__init__()
        self.cues = tuple(cues)
        self.register_buffer("mean", torch.full((len(self.cues),), math.nan))
        self.register_buffer("sd", torch.full((len(self.cues),), math.nan))
        self.register_buffer("clips", torch.zeros(()))

    @abstractmethod
    def measure(self, x: Tensor) -> Mapping[str, float]:
        """Measure the cues of one clip.

        Args:
            x: ``[T, ...]`` as ``input_spec`` describes it, without padding.

        Returns:
            {cue: value}; NaN where it cannot be measured.
        """

    @abstractmethod
    def find(self, x: Tensor) -> Findings:
        """Apply the rules to one clip. Explanations show the result.

        Args:
            x: ``[T, ...]`` as ``input_spec`` describes it, without padding.
        """

    def fit_statistics(self, inputs: Iterable[Tensor]) -> None:
        """Measure the baseline on training inputs ``[T, ...]``."""
        measured = CueBaseline.of(self.measure(x) for x in inputs)
        for buffer, values in ((self.mean, measured.mean), (self.sd, measured.sd)):
            buffer.copy_(torch.tensor([values.get(cue, math.nan) for cue in self.cues]))
        self.clips.fill_(measured.clips)

    def baseline(self) -> CueBaseline:
        """What clips are compared with; without cues before :meth:`fit_statistics`."""
        mean, sd = (
            {cue: value for cue, value in zip(self.cues, buffer.tolist(), strict=True) if math.isfinite(value)}
            for buffer in (self.mean, self.sd)
        )
        return CueBaseline(mean, sd, int(self.clips))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Rule vectors ``[B, K]`` of a padded batch; see :meth:`Encoder.forward`."""
        pairs = zip(x.cpu(), mask.cpu(), strict=True)
        rows = [torch.from_numpy(rule_vector(self.find(clip[real]))) for clip, real in pairs]
        return torch.stack(rows).to(x.device)
