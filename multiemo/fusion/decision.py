"""Decision-level fusion: learnt per-class weights over what each branch has learnt of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from multiemo.fusion.base import Fusion, stack_presence
from multiemo.registry import fusions
from multiemo.types import Modality


@fusions.register("decision")
class DecisionFusion(Fusion):
    """A weighted sum of the branches' evidence, with a weight a modality and class.

    ``evidence_c = bias_c + sum_m w_mc * (log p_m(c) - log prior_m(c))`` over the present modalities; the model adds the
    log-prior to it, once (``EmotionModel.fuse``). Weights start at one and biases at zero, which is Bayes' rule for
    modalities that are independent given the label (Bordley 1982, "A multiplicative formula for aggregating probability
    assessments"). Few parameters, so it suits small corpora, and each branch's share can be read off.

    Args:
        dims: {modality: C}, the same C for all.
    """

    level: Literal["embedding", "decision"] = "decision"

    def __init__(self, *, dims: Mapping[Modality, int]) -> None:
        super().__init__()
        self.order: list[Modality] = list(dims)
        self.out_dim = next(iter(dims.values()))
        # log-weights, so that a branch can be silenced but never turned against itself
        self.log_weight = nn.Parameter(torch.zeros(len(dims), self.out_dim))
        self.bias = nn.Parameter(torch.zeros(self.out_dim))

    def forward(self, embeddings: Mapping[Modality, Tensor], presence: Mapping[Modality, Tensor]) -> Tensor:
        """``{modality: [B, C]}`` evidence to evidence ``[B, C]``."""
        here = stack_presence(presence, self.order).unsqueeze(-1)
        votes = torch.stack([embeddings[m] for m in self.order], dim=1).masked_fill(~here, 0.0)
        return (votes * self.log_weight.exp()).sum(dim=1) + self.bias
