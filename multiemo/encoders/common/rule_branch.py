"""Encoder and head of a branch of rules: the input already holds what the rules find, and nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from multiemo.encoders.base import Encoder, EvidenceHead
from multiemo.rules.label_sets import evidence_weights
from multiemo.rules.vector import RULE_COLUMNS


class RuleEncoder(Encoder):
    """Passes the rule vector of a clip on as its embedding. A subclass sets ``modality`` and ``input_spec``."""

    out_dim = len(RULE_COLUMNS)

    def fixed_head(self, labels: Sequence[str]) -> RuleHead:
        """As :meth:`Encoder.fixed_head`."""
        return RuleHead(labels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``[B, K]`` of ``[B, 1, K]``; see :meth:`Encoder.forward`."""
        return x[:, 0]


class RuleHead(EvidenceHead):
    """The evidence of a rule vector for labels. It has no parameters and stores nothing in a checkpoint.

    Args:
        labels: C labels, or the dimensions.
    """

    weights: Tensor

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        self.register_buffer("weights", torch.from_numpy(evidence_weights(labels)).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Compute evidence ``[B, C]`` from rule vectors ``[B, K]``; zero if no rule fired."""
        return x @ self.weights.to(x.dtype)
