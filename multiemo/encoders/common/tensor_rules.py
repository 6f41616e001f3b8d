"""Rules over what another kind of input measures: a prosody track, action units, face crops."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from multiemo.encoders.common.rule_branch import RuleEncoder
from multiemo.rules.findings import Findings
from multiemo.rules.vector import rule_vector


class TensorRules(RuleEncoder):
    """Applies rules to the tensor of each clip; its embedding is the rule vector.

    Its input is of a kind that trained encoders read too, so that the same files, streams and explanations serve it. A
    subclass compares a clip with a baseline, which :meth:`Encoder.fit_statistics` measures on training clips. That uses
    no labels.
    """

    @abstractmethod
    def find(self, x: Tensor) -> Findings:
        """Apply the rules to one clip. Explanations show the result.

        Args:
            x: ``[T, ...]`` as ``input_spec`` describes it, without padding.
        """

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Rule vectors ``[B, K]`` of a padded batch; see :meth:`Encoder.forward`."""
        rows = [torch.from_numpy(rule_vector(self.find(clip[real]))) for clip, real in zip(x, mask, strict=True)]
        return torch.stack(rows).to(x.device)
