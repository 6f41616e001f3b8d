"""Decision-level fusion: learnt weights per class over the evidence of each branch."""

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
    """A weighted sum of the branches' evidence, with one weight per modality and class.

    ``evidence_c = sum_m w_mc * (log p_m(c) - log prior_m(c))`` over the present modalities. The model adds the
    log-prior once (``EmotionModel.fuse``). Weights start at one, which is Bayes' rule for modalities that are
    independent given the label (Bordley 1982, "A multiplicative formula for aggregating probability assessments"). It
    has few parameters, so it suits small corpora, and the weights show the influence of each branch. A bias per class
    would follow what branches answer on the clips they were trained on, and is left out (docs/experiments/fusion.md).

    Args:
        dims: {modality: C}, the same C for all.
    """

    level: Literal["embedding", "decision"] = "decision"

    def __init__(self, *, dims: Mapping[Modality, int]) -> None:
        super().__init__()
        self.order: list[Modality] = list(dims)
        self.out_dim = next(iter(dims.values()))
        # Weights are stored as logarithms, so that they may approach zero but never become negative.
        self.log_weight = nn.Parameter(torch.zeros(len(dims), self.out_dim))

    def forward(self, embeddings: Mapping[Modality, Tensor], presence: Mapping[Modality, Tensor]) -> Tensor:
        """Combine the evidence of the branches.

        Args:
            embeddings: {modality: ``[B, C]``} evidence of each branch.
            presence: {modality: ``[B]`` bool}.

        Returns:
            ``[B, C]`` evidence.
        """
        present = stack_presence(presence, self.order).unsqueeze(-1)
        votes = torch.stack([embeddings[m] for m in self.order], dim=1).masked_fill(~present, 0.0)
        return (votes * self.log_weight.exp()).sum(dim=1)
