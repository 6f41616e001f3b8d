"""EmotionModel: encoders -> fusion -> heads, one checkpoint for all seven subsets of modalities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from math import factorial, prod
from types import MappingProxyType

import torch
from torch import Tensor, nn

from multiemo.arrays import Array
from multiemo.encoders.base import Encoder, EvidenceHead, encode_rows
from multiemo.encoders.common.deferred import Encoders
from multiemo.encoders.common.reliability import InputReliability
from multiemo.encoders.common.side_streams import side_by_side
from multiemo.fusion.base import Fusion
from multiemo.types import MODALITIES, SMALLEST_PRIOR, SUBSETS, Batch, Modality, Output, subset_key


class Head(nn.Module):
    """Dropout and one linear layer over a normalised embedding.

    Args:
        dim: width of the embedding.
        out: number of outputs.
        dropout: share of embedding values dropped in training.
    """

    def __init__(self, dim: int, out: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(dim), nn.Dropout(dropout), nn.Linear(dim, out))

    def forward(self, x: Tensor) -> Tensor:
        """Compute ``[B, out]`` from ``[B, dim]``."""
        return self.layers(x)  # type: ignore[no-any-return]


class EmotionModel(nn.Module):
    """One encoder and head per modality (a branch), a late fusion over the branches, and the fused heads.

    For pretraining a branch, the model has one encoder and no fusion.

    Args:
        encoders: {modality: encoder}.
        classes: C, the number of labels.
        fusion: ``None`` only for a single branch.
        task: ``single``, ``soft`` or ``multi``; determines how logits become probabilities. With ``dimensions`` the C
            columns are valence, arousal and dominance, and their values are the hyperbolic tangent of the logits.
        dimensions: whether there is a head for valence, arousal and dominance.
        prior: ``[C]`` label frequencies of the train split. For dimensions: their means, NaN if no clip has a value.
        effective_prior: ``[C]`` label frequencies for which the fused output (or the output of a single branch) is a
            posterior. They differ from ``prior`` if training weighted labels
            (:func:`multiemo.training.losses.effective_prior`). They are the output for clips without any modality.
        branch_priors: {modality: ``[C]``}, the same for each branch's own head; ``effective_prior`` by default.
        dimension_means: ``[3]`` means of the train split, NaN for a dimension without values. The head has not learnt
            such a dimension, so its output is NaN. Zeros by default.
        heads: {modality: head of its branch}, for encoders that bring their own; the others get a new :class:`Head`.
        dimension_head: the head for valence, arousal and dominance, if the only encoder brings one.
        reliability: {modality: reliability of its inputs}, by which the fusion weighs it outside training.
    """

    prior: Tensor
    effective_prior: Tensor
    branch_priors: Tensor
    dimension_means: Tensor

    def __init__(
        self,
        encoders: Mapping[Modality, Encoder],
        classes: int,
        *,
        fusion: Fusion | None = None,
        task: str = "single",
        dimensions: bool = False,
        prior: Tensor | None = None,
        effective_prior: Tensor | None = None,
        branch_priors: Mapping[Modality, Tensor] | None = None,
        dimension_means: Tensor | None = None,
        heads: Mapping[Modality, EvidenceHead] = MappingProxyType({}),
        dimension_head: EvidenceHead | None = None,
        reliability: Mapping[Modality, InputReliability] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        if fusion is None and len(encoders) != 1:
            raise ValueError("several encoders need a fusion")
        self.modalities: tuple[Modality, ...] = tuple(m for m in MODALITIES if m in encoders)
        self.task = task
        self._widths = {m: encoders[m].out_dim for m in self.modalities}
        self.encoders = Encoders({m: encoders[m] for m in self.modalities})
        self.branch_heads = nn.ModuleDict(
            {m: heads.get(m) or Head(encoders[m].out_dim, classes) for m in self.modalities}
        )
        self.fusion = fusion
        width = fusion.out_dim if fusion is not None else encoders[self.modalities[0]].out_dim
        self.head = Head(width, classes) if fusion is not None and fusion.level == "embedding" else None
        if fusion is not None and fusion.level == "decision":
            width = sum(encoders[m].out_dim for m in self.modalities)
        self.dimension_head = (dimension_head or Head(width, 3)) if dimensions else None
        self.reliability = nn.ModuleDict({m: reliability[m] for m in self.modalities if m in reliability})
        prior = torch.full((classes,), 1.0 / classes) if prior is None else prior.float()
        effective = prior.clone() if effective_prior is None else effective_prior.float()
        priors = [(branch_priors or {}).get(m, effective).float() for m in self.modalities]
        self.register_buffer("prior", prior)
        self.register_buffer("effective_prior", effective)
        self.register_buffer("branch_priors", torch.stack(priors))
        if dimensions:
            means = torch.zeros(3) if dimension_means is None else dimension_means.float()
            self.register_buffer("dimension_means", means)

    def encode(self, batch: Batch) -> dict[Modality, Tensor]:
        """Compute embeddings {modality: ``[B, D]``}. Encoders process only rows with the modality; others are zero.

        Embeddings in the batch (from frozen encoders) are used directly, and hidden states (from frozen backbones)
        instead of inputs. If this process's share of a distributed step lacks a modality that another share has, one
        clip is encoded and its result discarded. All processes then exchange the same weights and gradients, and the
        gradients of this clip are zero.
        """
        embeddings = {m: batch.embeddings[m] for m in self.modalities if m in batch.embeddings}
        encoded: dict[Modality, tuple[Tensor, Tensor | None]] = {}
        with side_by_side():
            for m in self.modalities:
                if m in embeddings:
                    continue
                rows = batch.rows[m] if m in batch.rows else batch.presence[m].nonzero().squeeze(1)
                if rows is None or rows.numel():
                    encoded[m] = encode_rows(self.encoders[m], m, batch, rows), rows
                elif batch.together.get(m):
                    # ``forward`` instead of a call, which may be compiled for other norms (``Replica.step``).
                    encoded[m] = self.encoders[m].forward(batch.inputs[m], batch.masks[m])[:0], rows
                else:
                    embeddings[m] = self.prior.new_zeros(len(batch), self._widths[m])
        for m, (own, rows) in encoded.items():
            if rows is not None:
                own = own.new_zeros(len(batch), self._widths[m]).index_copy(0, rows, own)
            embeddings[m] = own
        return {m: embeddings[m] for m in self.modalities}

    def input_reliability(self, batch: Batch) -> dict[Modality, Tensor]:
        """Reliability ``[B]`` within 0..1 of the inputs of each modality, see :class:`InputReliability`.

        Only modalities with a fitted reliability and inputs in the batch are listed. In training there are none: the
        fusion learns from inputs that are reliable by definition.
        """
        found: dict[Modality, Tensor] = {}
        for m in self.modalities if not self.training else ():
            if m not in self.reliability or not self._has_inputs(m, batch):
                continue
            found[m] = torch.ones(len(batch), device=batch.presence[m].device)
            rows = batch.presence[m].nonzero().squeeze(1)
            if rows.numel():
                found[m][rows] = self.reliability[m](batch.inputs[m][rows], batch.masks[m][rows])
        return found

    def _has_inputs(self, m: Modality, batch: Batch) -> bool:
        """Whether a batch has the whole inputs of a modality, not only embeddings or hidden states of them."""
        if m in batch.embeddings or m not in batch.states:
            return m not in batch.embeddings
        frozen = self.encoders[m].frozen_part()  # type: ignore[operator]
        return batch.inputs[m].ndim > 2 and (frozen is None or not frozen.beside)

    def fuse(
        self,
        embeddings: Mapping[Modality, Tensor],
        presence: Mapping[Modality, Tensor],
        reliability: Mapping[Modality, Tensor] = MappingProxyType({}),
    ) -> Tensor:
        """Compute logits ``[B, C]`` from the embeddings selected by ``presence``.

        Rows without any modality get the effective prior. Dimensions that were never learnt are NaN. With reliabilities
        the result is the expected logits if each modality were present with a probability of its reliability
        relative to that of the most reliable modality of the clip (:func:`expected_over_presence`). For every fusion,
        one of 0 is the same as an absent modality, and one of 1 changes nothing. A decision fusion multiplies the
        evidence of a modality by it.

        Args:
            embeddings: {modality: ``[B, D]``}.
            presence: {modality: ``[B]`` bool}.
            reliability: {modality: ``[B]`` within 0..1}; 1 for the others.
        """
        return expected_over_presence(lambda shown: self._logits(embeddings, shown), presence, reliability)

    def fuse_dimensions(
        self,
        embeddings: Mapping[Modality, Tensor],
        presence: Mapping[Modality, Tensor],
        reliability: Mapping[Modality, Tensor] = MappingProxyType({}),
    ) -> Tensor:
        """Compute valence, arousal and dominance ``[B, 3]`` of a model with a head for them.

        Rows without any modality get the means of train. Dimensions that were never learnt are NaN.

        Args:
            embeddings, presence, reliability: as for :meth:`fuse`.
        """
        return expected_over_presence(lambda shown: self._dimensions(embeddings, shown), presence, reliability)

    def branch_logits(self, m: Modality, embedding: Tensor) -> Tensor:
        """Logits ``[B, C]`` of one branch's own head.

        Args:
            m: modality of the branch.
            embedding: ``[B, D]``.
        """
        return self._mask_unlearnt(self._branch(m, embedding))

    def _logits(self, embeddings: Mapping[Modality, Tensor], presence: Mapping[Modality, Tensor]) -> Tensor:
        """Logits ``[B, C]`` of modalities that are either present or absent."""
        any_present = self._any_present(presence)
        if self.fusion is None:
            first = self.modalities[0]
            logits = self._branch(first, embeddings[first])
        elif self.fusion.level == "decision":
            votes = {m: self._branch(m, embeddings[m]) for m in self.modalities}
            evidence = {
                m: torch.where(self._known(prior), self._posterior(v) - self._logits_of(prior), 0.0)
                for (m, v), prior in zip(votes.items(), self.branch_priors, strict=True)
            }
            logits = self.fusion(evidence, presence) + self._logits_of(self.effective_prior)
        else:
            logits = self.head(self._fused(embeddings, presence, any_present))  # type: ignore[misc]
        return self._mask_unlearnt(torch.where(any_present, logits, self.prior_logits().to(logits.dtype)))

    def _branch(self, m: Modality, embedding: Tensor) -> Tensor:
        """Logits ``[B, C]`` of one branch's own head."""
        head = self.branch_heads[m]
        output: Tensor = head(embedding)
        if not isinstance(head, EvidenceHead):
            return output
        return output + self._logits_of(self.branch_priors[self.modalities.index(m)]).to(output.dtype)

    def _any_present(self, presence: Mapping[Modality, Tensor]) -> Tensor:
        """Whether each row has any modality, ``[B, 1]``."""
        return torch.stack([presence[m] for m in self.modalities]).any(dim=0).unsqueeze(1)

    def _fused(
        self, embeddings: Mapping[Modality, Tensor], presence: Mapping[Modality, Tensor], any_present: Tensor
    ) -> Tensor:
        """Apply an embedding-level fusion: ``[B, D]``, arbitrary but finite for rows without any modality."""
        first = self.modalities[0]  # fusions need at least one modality in each row
        safe = {**presence, first: presence[first] | ~any_present.squeeze(1)}
        return self.fusion({m: embeddings[m] for m in self.modalities}, safe)  # type: ignore[misc,no-any-return]

    def forward(
        self,
        batch: Batch,
        subsets: Sequence[str] = (),
        modality_dropout: float = 0.0,
        mix: tuple[Tensor, Tensor] | None = None,
    ) -> Output:
        """Encode a batch once, then fuse it for the present modalities and for each requested subset.

        Args:
            batch: a batch on the model's device.
            subsets: keys of ``types.SUBSETS`` to fuse as well. Those with a modality that the model lacks are skipped.
            modality_dropout: probability that a clip is reduced to a random subset of its modalities (training).
            mix: shares ``[B]`` and partner rows ``[B]``; embeddings become ``share * own + (1 - share) * partner's``
                (training; Verma et al. 2019). A row whose partner has other modalities needs a share of one.
        """
        presence = {m: batch.presence[m] for m in self.modalities}
        embeddings = self.encode(batch)
        if mix is not None:
            share, partner = mix[0].unsqueeze(1), mix[1]
            embeddings = {m: share * e + (1 - share) * e[partner] for m, e in embeddings.items()}
        shown = drop_modalities(presence, modality_dropout) if modality_dropout > 0 else presence
        reliability = self.input_reliability(batch)
        branch_logits = {m: self.branch_logits(m, embeddings[m]) for m in self.modalities}
        logits = self.fuse(embeddings, shown, reliability)
        output = Output(logits, branch_logits, embeddings=embeddings, reliability=reliability)
        if self.task == "dimensions":
            output.dimensions = output.logits.tanh()
        elif self.dimension_head is not None:
            output.dimensions = self.fuse_dimensions(embeddings, shown, reliability)
        for key in subsets:
            members = [m for m in SUBSETS[key] if m in self.modalities]
            if members and subset_key(members) == key:
                part = {m: presence[m] if m in members else torch.zeros_like(presence[m]) for m in self.modalities}
                output.by_subset[key] = self.fuse(embeddings, part, reliability)
                output.usable[key] = torch.stack([presence[m] for m in members]).any(dim=0)
        return output

    def _dimensions(self, embeddings: Mapping[Modality, Tensor], presence: Mapping[Modality, Tensor]) -> Tensor:
        """Valence, arousal, dominance ``[B, 3]``: the train means for empty rows, NaN for dimensions never learnt."""
        any_present = self._any_present(presence)
        if self.fusion is None:
            features = embeddings[self.modalities[0]]
        elif self.fusion.level == "decision":
            features = torch.cat([embeddings[m] * presence[m].unsqueeze(1) for m in self.modalities], dim=1)
        else:
            features = self._fused(embeddings, presence, any_present)
        means = self.dimension_means.to(features.dtype)
        logits = self.dimension_head(features)  # type: ignore[misc]
        if isinstance(self.dimension_head, EvidenceHead):
            logits = logits + _dimension_logits(means)
        values = torch.tanh(logits)
        return torch.where(any_present & ~means.isnan(), values, means)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Convert logits ``[B, C]`` to uncalibrated probabilities, which sum to one except for ``multi``.

        With ``dimensions``, returns their values in -1..1.
        """
        if self.task == "dimensions":
            return logits.float().tanh()
        return logits.float().sigmoid() if self.task == "multi" else logits.float().softmax(dim=-1)

    @property
    def learnt_dimensions(self) -> list[int]:
        """Columns of the dimensions that have values in the train split; empty if the model predicts none."""
        if self.task == "dimensions":
            return self._known(self.prior).nonzero().flatten().tolist()
        return [] if self.dimension_head is None else (~self.dimension_means.isnan()).nonzero().flatten().tolist()

    def prior_logits(self) -> Tensor:
        """Logits ``[C]`` whose probabilities (values of dimensions) are the effective prior."""
        return self._logits_of(self.effective_prior)

    def _logits_of(self, prior: Tensor) -> Tensor:
        if self.task == "dimensions":
            return _dimension_logits(prior)
        bounded = prior.clamp(SMALLEST_PRIOR, 1 - SMALLEST_PRIOR)
        return torch.logit(bounded) if self.task == "multi" else bounded.log()

    def _posterior(self, logits: Tensor) -> Tensor:
        """Log-probabilities ``[B, C]``; the unchanged logits if columns do not exclude each other."""
        return logits if self.task in ("multi", "dimensions") else logits.log_softmax(dim=-1)

    def _mask_unlearnt(self, logits: Tensor) -> Tensor:
        """Set dimensions without values in the train split to NaN, with a gradient of zero."""
        return logits if self.task != "dimensions" else logits.where(self._known(self.prior), torch.nan)

    def _known(self, prior: Tensor) -> Tensor:
        """Which columns ``[C]`` occur in the train split."""
        return ~prior.isnan() if self.task == "dimensions" else prior > SMALLEST_PRIOR


def _dimension_logits(values: Tensor) -> Tensor:
    """Logits whose hyperbolic tangent is a value in -1..1; 0 for NaN."""
    return torch.atanh(values.nan_to_num(0.0).clamp(SMALLEST_PRIOR - 1, 1 - SMALLEST_PRIOR))


def drop_modalities(presence: Mapping[Modality, Tensor], rate: float) -> dict[Modality, Tensor]:
    """Reduce random clips to a random non-empty subset of their modalities.

    Each modality of a chosen clip is kept with probability one half. If none remains, one present modality is kept.

    Args:
        presence: {modality: ``[B]`` bool}.
        rate: probability of choosing a clip, 0..1.

    Returns:
        Masks of the same shapes. They never add a modality, and a row is empty only if it was empty before.
    """
    order = list(presence)
    present = torch.stack([presence[m] for m in order], dim=1)
    kept = present & (torch.rand(present.shape, device=present.device) < 0.5)
    one = torch.rand(present.shape, device=present.device).masked_fill(~present, -1.0).argmax(dim=1)
    only = torch.zeros_like(present).scatter(1, one.unsqueeze(1), True) & present
    kept = torch.where(kept.any(dim=1, keepdim=True), kept, only)
    chosen = torch.rand(present.shape[0], 1, device=present.device) < rate
    shown = torch.where(chosen, kept, present)
    return {m: shown[:, i] for i, m in enumerate(order)}


def expected_over_presence(
    compute: Callable[[Mapping[Modality, Tensor]], Tensor],
    presence: Mapping[Modality, Tensor],
    reliability: Mapping[Modality, Tensor],
) -> Tensor:
    """The expected value of a function of presence masks if modalities were present only with some probability.

    ``sum over S of prod_{m in S} r_m * prod_{m not in S} (1 - r_m) * f(presence without the modalities not in S)``, the
    multilinear extension of ``f`` (Owen 1972). All subsets are evaluated. The probabilities r of a clip are its
    reliabilities divided by the largest one among its modalities, so that one of them is certain: there is nothing to
    prefer to a modality that is alone.

    Args:
        compute: maps {modality: ``[B]`` bool} to ``[B, C]``.
        presence: {modality: ``[B]`` bool}.
        reliability: {modality: ``[B]`` within 0..1}; modalities that it does not list are certain.

    Returns:
        ``[B, C]``.
    """
    doubtful = [m for m in reliability if m in presence]
    if not doubtful:
        return compute(presence)
    known = {m: reliability[m] if m in reliability else shown.float() for m, shown in presence.items()}
    largest = torch.stack([known[m] * shown for m, shown in presence.items()]).amax(0)
    certainty = {m: torch.where(presence[m] & (largest > 0), known[m] / largest, 1.0).unsqueeze(1) for m in doubtful}
    total: Tensor | None = None
    for kept in product((True, False), repeat=len(doubtful)):
        given = {**presence, **{m: presence[m] & keep for m, keep in zip(doubtful, kept, strict=True)}}
        weight = prod(certainty[m] if keep else 1 - certainty[m] for m, keep in zip(doubtful, kept, strict=True))
        part = weight * compute(given)
        total = part if total is None else total + part
    return total  # type: ignore[return-value]


def contributions(
    by_subset: Mapping[str, Sequence[float] | Tensor | Array],
    prior: Sequence[float] | Tensor | Array,
    present: Sequence[Modality],
    label: int,
) -> dict[Modality, float]:
    """Exact Shapley values of the modalities for one clip's probability of one label.

    The value of a set of modalities is the model's probability of the label given only that set. The value of the empty
    set is the prior. The contributions sum to ``p(label | all) - prior(label)`` (Shapley 1953). All subsets are
    evaluated (eight for three modalities), so nothing is sampled.

    Args:
        by_subset: {subset key: ``[C]`` probabilities}.
        prior: ``[C]`` probabilities without any modality.
        present: modalities of the clip.
        label: column of the label.

    Returns:
        {modality: contribution}, a difference of probabilities.
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
