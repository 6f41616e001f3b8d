"""Bags of hashed n-grams: what a linear bag-of-words model would learn, as a part of a network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn


class HashedNgrams(nn.Module):
    """A bag of tokens and short runs of tokens, hashed into one table (fastText: Joulin et al. 2017).

    The bag is a weighted sum of rows. ``count`` weighs every run alike, ``1 / sqrt(runs)``, so that an utterance in
    which more is recognised has a longer vector. ``tfidf`` is the vector of unit length whose weights are
    ``(1 + ln tf) * idf`` with ``idf = 1 + ln((1 + texts) / (1 + df))`` (Salton & Buckley 1988), in which runs that
    fewer than two training texts hold weigh nothing: rare runs can then not be learnt by heart.

    Args:
        dim: D.
        buckets: rows of the table.
        orders: longest run.
        dropout: share of the runs left out in training.
        weighting: ``count`` or ``tfidf``; the latter is even until :meth:`fit` has seen the training texts.
    """

    idf: Tensor

    def __init__(
        self, dim: int, buckets: int, orders: int, dropout: float, weighting: Literal["count", "tfidf"] = "count"
    ) -> None:
        super().__init__()
        self.buckets, self.orders, self.dropout, self.weighting = buckets, orders, dropout, weighting
        self.table = nn.Embedding(buckets, dim)
        nn.init.normal_(self.table.weight, std=0.01)
        if weighting == "tfidf":
            self.register_buffer("idf", torch.ones(buckets))

    def fit(self, texts: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set ``idf`` from training texts, each ``[1, L]`` ids and bool."""
        count = 0
        holding = torch.zeros_like(self.idf)
        for tokens, mask in texts:
            rows, real = self._runs(tokens, mask)
            holding[torch.unique(rows[real])] += 1
            count += 1
        rarity = 1 + torch.log((1 + count) / (1 + holding))
        self.idf.copy_(torch.where(holding >= 2, rarity, torch.zeros_like(rarity)))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """``[B, L]`` ids and bool to ``[B, D]``; zeros where ``mask`` has nothing."""
        rows, kept = self._runs(tokens, mask)
        if self.training and self.dropout:
            kept = kept & (torch.rand(kept.shape, device=kept.device) >= self.dropout)
        if self.weighting == "tfidf":
            weights = self._tfidf(rows, kept)
        else:
            even = kept.to(self.table.weight.dtype)
            weights = even / even.sum(1, keepdim=True).clamp_min(1.0).sqrt()
        total: Tensor = (self.table(rows) * weights.unsqueeze(-1)).sum(1)
        return total

    def _runs(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, R]`` rows of the table, one a run, and which runs are real."""
        key, whole = tokens, mask
        rows, real = [], []
        for order in range(self.orders):
            if order:
                key = key[:, :-1] * 1_000_003 + tokens[:, order:]
                whole = whole[:, :-1] & mask[:, order:]
            mixed = key * 7919 + order
            rows.append((mixed ^ (mixed >> 15)) % self.buckets)
            real.append(whole)
        return torch.cat(rows, dim=1), torch.cat(real, dim=1)

    def _tfidf(self, rows: Tensor, kept: Tensor) -> Tensor:
        """``[B, R]`` weights; a run that stands several times has its weight spread over them."""
        keys = torch.where(kept, rows, -1)
        ordered = keys.sort(dim=1).values
        times = torch.searchsorted(ordered, keys, right=True) - torch.searchsorted(ordered, keys)
        weights = (1 + times.log()) * self.idf[rows] * kept
        length = (weights.square() / times).sum(1, keepdim=True).sqrt()
        return weights / times / length.clamp_min(1e-6)
