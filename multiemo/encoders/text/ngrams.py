"""Bags of hashed n-grams: a linear bag-of-words model as part of a network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn


class HashedNgrams(nn.Module):
    """A bag of tokens and n-grams of tokens, hashed into one table (fastText: Joulin et al. 2017).

    The bag is a weighted sum of rows. ``count`` gives every n-gram the weight ``1 / sqrt(n-grams)``, so an utterance
    with more recognised n-grams has a longer vector. ``tfidf`` is a vector of unit length with the weights
    ``(1 + ln tf) * idf``, where ``idf = 1 + ln((1 + texts) / (1 + df))`` (Salton & Buckley 1988). N-grams that occur in
    fewer than two training texts have weight zero, which prevents the memorisation of rare ones.

    Args:
        dim: D, the width of the bag.
        buckets: rows of the table.
        orders: length of the longest n-gram, tokens.
        dropout: share of the n-grams left out in training.
        weighting: ``count`` or ``tfidf``; all weights of ``tfidf`` are equal until :meth:`fit` has been called.
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
        """Compute ``idf`` from training texts, each token ids ``[1, L]`` and their mask."""
        count = 0
        holding = torch.zeros_like(self.idf)
        for tokens, mask in texts:
            rows, real = self._ngrams(tokens, mask)
            holding[torch.unique(rows[real])] += 1
            count += 1
        rarity = 1 + torch.log((1 + count) / (1 + holding))
        self.idf.copy_(torch.where(holding >= 2, rarity, torch.zeros_like(rarity)))

    def forward(self, tokens: Tensor, mask: Tensor, gates: Tensor | None = None) -> Tensor:
        """Bags ``[B, D]`` of token ids ``[B, L]`` with their mask; zero for texts without a real token.

        Args:
            tokens: ``[B, L]`` token ids.
            mask: ``[B, L]`` bool, true for real tokens.
            gates: ``[B, L]`` share of each token, 0..1, for explanations. An n-gram counts by the product of its
                tokens' shares; the weights and the length of the bag stay those of the whole text.
        """
        rows, kept = self._ngrams(tokens, mask)
        if self.training and self.dropout:
            kept = kept & (torch.rand(kept.shape, device=kept.device) >= self.dropout)
        if self.weighting == "tfidf":
            weights = self._tfidf(rows, kept)
        else:
            even = kept.to(self.table.weight.dtype)
            weights = even / even.sum(1, keepdim=True).clamp_min(1.0).sqrt()
        if gates is not None:
            weights = weights * self._covering(gates)
        total: Tensor = (self.table(rows) * weights.unsqueeze(-1)).sum(1)
        return total

    def _ngrams(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the table ``[B, R]``, one per n-gram, and which n-grams consist of real tokens."""
        key, complete = tokens, mask
        rows, real = [], []
        for order in range(self.orders):
            if order:
                key = key[:, :-1] * 1_000_003 + tokens[:, order:]
                complete = complete[:, :-1] & mask[:, order:]
            mixed = key * 7919 + order
            rows.append((mixed ^ (mixed >> 15)) % self.buckets)
            real.append(complete)
        return torch.cat(rows, dim=1), torch.cat(real, dim=1)

    def _covering(self, gates: Tensor) -> Tensor:
        """The product ``[B, R]`` of the gates of each n-gram's tokens, in the order of :meth:`_ngrams`."""
        products = [gates]
        for order in range(1, self.orders):
            products.append(products[-1][:, :-1] * gates[:, order:])
        return torch.cat(products, dim=1)

    def _tfidf(self, rows: Tensor, kept: Tensor) -> Tensor:
        """TF-IDF weights ``[B, R]``. The weight of a repeated n-gram is divided among its occurrences."""
        keys = torch.where(kept, rows, -1)
        ordered = keys.sort(dim=1).values
        times = torch.searchsorted(ordered, keys, right=True) - torch.searchsorted(ordered, keys)
        weights = (1 + times.log()) * self.idf[rows] * kept
        length = (weights.square() / times).sum(1, keepdim=True).sqrt()
        return weights / times / length.clamp_min(1e-6)
