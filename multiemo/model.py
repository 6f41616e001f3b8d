"""EmotionModel: encoders -> fusion -> heads, one checkpoint for all seven subsets of modalities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import factorial

import torch
from torch import Tensor, nn

from multiemo.encoders.base import Encoder
from multiemo.encoders.deferred import Encoders
from multiemo.fusion.base import Fusion
from multiemo.types import MODALITIES, SUBSETS, Batch, Modality, Output, subset_key


class Head(nn.Module):
    """Dropout and one linear layer over a normalised embedding."""

    def __init__(self, dim: int, out: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(dim), nn.Dropout(dropout), nn.Linear(dim, out))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, dim]`` to ``[B, out]``."""
        return self.layers(x)  # type: ignore[no-any-return]


class EmotionModel(nn.Module):
    """One encoder and head a modality (a branch), a late fusion over the branches, and the fused heads.

    A branch being pretrained is the same class with one encoder and no fusion.

    Args:
        encoders: {modality: encoder}.
        classes: C.
        fusion: ``None`` only for a single branch.
        task: ``single``, ``soft`` or ``multi``; says how logits become probabilities.
        dimensions: whether there is a head for valence, arousal and dominance.
        prior: ``[C]`` label frequencies of train: what the model says with no modality at all.
    """

    prior: Tensor

    def __init__(
        self,
        encoders: Mapping[Modality, Encoder],
        classes: int,
        *,
        fusion: Fusion | None = None,
        task: str = "single",
        dimensions: bool = False,
        prior: Tensor | None = None,
    ) -> None:
        super().__init__()
        if fusion is None and len(encoders) != 1:
            raise ValueError("several encoders need a fusion")
        self.modalities: tuple[Modality, ...] = tuple(m for m in MODALITIES if m in encoders)
        self.task = task
        self._widths = {m: encoders[m].out_dim for m in self.modalities}
        self.encoders = Encoders({m: encoders[m] for m in self.modalities})
        self.branch_heads = nn.ModuleDict({m: Head(encoders[m].out_dim, classes) for m in self.modalities})
        self.fusion = fusion
        width = fusion.out_dim if fusion is not None else encoders[self.modalities[0]].out_dim
        self.head = Head(width, classes) if fusion is not None and fusion.level == "embedding" else None
        if fusion is not None and fusion.level == "decision":
            width = sum(encoders[m].out_dim for m in self.modalities)
        self.dimension_head = Head(width, 3) if dimensions else None
        self.register_buffer("prior", torch.full((classes,), 1.0 / classes) if prior is None else prior.float())

    def encode(self, batch: Batch) -> dict[Modality, Tensor]:
        """{modality: ``[B, D]``}. Only rows that have the modality reach the encoder; the others stay zero, unread.

        Embeddings that the batch brings along (of frozen encoders) are taken as they are.
        """
        embeddings: dict[Modality, Tensor] = {}
        for m in self.modalities:
            if m in batch.embeddings:
                embeddings[m] = batch.embeddings[m]
                continue
            rows = batch.rows[m] if m in batch.rows else batch.presence[m].nonzero().squeeze(1)
            if rows is None:
                embeddings[m] = self.encoders[m](batch.inputs[m], batch.masks[m])
            elif rows.numel():
                encoded = self.encoders[m](batch.inputs[m][rows], batch.masks[m][rows])
                empty = encoded.new_zeros(len(batch), encoded.shape[1])
                embeddings[m] = empty.index_copy(0, rows, encoded)
            else:
                embeddings[m] = torch.zeros(len(batch), self._widths[m], device=self.prior.device)
        return embeddings

    def fuse(self, embeddings: Mapping[Modality, Tensor], presence: Mapping[Modality, Tensor]) -> Tensor:
        """Logits ``[B, C]`` from the embeddings that ``presence`` admits; rows with none get the prior."""
        if self.fusion is None or self.fusion.level == "decision":
            votes = {m: self.branch_heads[m](embeddings[m]) for m in self.modalities}
            if self.fusion is None:
                logits = votes[self.modalities[0]]
            else:
                logits = self.fusion({m: self.log_probabilities(v) for m, v in votes.items()}, presence)
        else:
            nothing = ~torch.stack([presence[m] for m in self.modalities]).any(dim=0)
            first = self.modalities[0]  # rows with nothing at all are overwritten below; the mask must not be empty
            safe = {**presence, first: presence[first] | nothing}
            fused = self.fusion({m: embeddings[m] for m in self.modalities}, safe)
            logits = self.head(fused)  # type: ignore[misc]
        some = torch.stack([presence[m] for m in self.modalities]).any(dim=0).unsqueeze(1)
        return torch.where(some, logits, self.prior_logits().to(logits.dtype))

    def forward(
        self,
        batch: Batch,
        subsets: Sequence[str] = (),
        modality_dropout: float = 0.0,
        mix: tuple[Tensor, Tensor] | None = None,
        modulation: Callable[[Mapping[Modality, Tensor], Mapping[Modality, Tensor], Batch], dict[Modality, Tensor]]
        | None = None,
    ) -> Output:
        """Encode once, fuse for the modalities present and for each wished subset.

        Args:
            batch: on the model's device.
            subsets: keys of ``types.SUBSETS`` to fuse as well; those with a modality the model lacks are left out.
            modality_dropout: chance that a clip shows only a random subset of what it has (training).
            mix: shares ``[B]`` and partner rows ``[B]``; embeddings become ``share * own + (1 - share) * partner's``
                (training; Verma et al. 2019). A row whose partner has other modalities needs a share of one.
            modulation: called with embeddings, branch logits and batch; the fusion gets the embeddings it returns
                (training; see :mod:`multiemo.training.modulation`).
        """
        presence = {m: batch.presence[m] for m in self.modalities}
        embeddings = self.encode(batch)
        if mix is not None:
            share, partner = mix[0].unsqueeze(1), mix[1]
            embeddings = {m: share * e + (1 - share) * e[partner] for m, e in embeddings.items()}
        shown = drop_modalities(presence, modality_dropout) if modality_dropout > 0 else presence
        branch_logits = {m: self.branch_heads[m](embeddings[m]) for m in self.modalities}
        into_fusion = embeddings if modulation is None else modulation(embeddings, branch_logits, batch)
        output = Output(logits=self.fuse(into_fusion, shown), branch_logits=branch_logits, embeddings=embeddings)
        if self.dimension_head is not None:
            output.dimensions = torch.tanh(self.dimension_head(self._dimension_input(embeddings, shown)))
        for key in subsets:
            members = [m for m in SUBSETS[key] if m in self.modalities]
            if members and subset_key(members) == key:
                part = {m: presence[m] if m in members else torch.zeros_like(presence[m]) for m in self.modalities}
                output.by_subset[key] = self.fuse(embeddings, part)
                output.usable[key] = torch.stack([presence[m] for m in members]).any(dim=0)
        return output

    def _dimension_input(self, embeddings: Mapping[Modality, Tensor], presence: Mapping[Modality, Tensor]) -> Tensor:
        if self.fusion is None:
            return embeddings[self.modalities[0]]
        if self.fusion.level == "decision":
            shown = [embeddings[m] * presence[m].unsqueeze(1) for m in self.modalities]
            return torch.cat(shown, dim=1)
        return self.fusion({m: embeddings[m] for m in self.modalities}, presence)  # type: ignore[no-any-return]

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """``[B, C]`` logits to log-probabilities, as the task has them."""
        if self.task == "multi":
            return nn.functional.logsigmoid(logits)
        return logits.log_softmax(dim=-1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """``[B, C]`` logits to probabilities; they sum to one except for ``multi``."""
        return self.log_probabilities(logits.float()).exp()

    def prior_logits(self) -> Tensor:
        """``[C]`` logits whose probabilities are the prior."""
        prior = self.prior.clamp(1e-6, 1 - 1e-6)
        return torch.logit(prior) if self.task == "multi" else prior.log()


def drop_modalities(presence: Mapping[Modality, Tensor], rate: float) -> dict[Modality, Tensor]:
    """With chance ``rate`` a clip keeps only a random non-empty subset of its modalities.

    Each modality of a chosen clip is kept by a fair coin; where that leaves none, one that is present is kept instead.

    Args:
        presence: {modality: ``[B]`` bool}.
        rate: 0..1.

    Returns:
        The same shapes; never more than ``presence``, and empty only where that was empty.
    """
    order = list(presence)
    here = torch.stack([presence[m] for m in order], dim=1)
    kept = here & (torch.rand(here.shape, device=here.device) < 0.5)
    one = torch.rand(here.shape, device=here.device).masked_fill(~here, -1.0).argmax(dim=1)
    only = torch.zeros_like(here).scatter(1, one.unsqueeze(1), True) & here
    kept = torch.where(kept.any(dim=1, keepdim=True), kept, only)
    chosen = torch.rand(here.shape[0], 1, device=here.device) < rate
    shown = torch.where(chosen, kept, here)
    return {m: shown[:, i] for i, m in enumerate(order)}


def contributions(
    by_subset: Mapping[str, Tensor], prior: Tensor, present: Sequence[Modality], label: int
) -> dict[Modality, float]:
    """Exact Shapley values of the modalities for one clip's probability of one label.

    The value of a set of modalities is the model's own probability of the label when it sees just that set; the empty
    set has the prior. The values sum to ``p(label | all) - prior(label)`` (Shapley 1953); with three modalities all
    eight sets are evaluated, so nothing is sampled.

    Args:
        by_subset: {subset key: ``[C]`` probabilities}.
        prior: ``[C]``.
        present: modalities of the clip.
        label: column.
    """

    def value(members: Sequence[Modality]) -> float:
        return float(by_subset[subset_key(members)][label] if members else prior[label])

    shares: dict[Modality, float] = {}
    total = len(present)
    for m in present:
        others = [o for o in present if o != m]
        shares[m] = sum(
            factorial(size) * factorial(total - size - 1) / factorial(total) * (value([*set_, m]) - value(set_))
            for size in range(total)
            for set_ in map(list, combinations(others, size))
        )
    return shares
