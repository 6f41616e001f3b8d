"""A small text encoder trained from scratch: bags of n-grams and a Transformer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multiemo.encoders.base import Encoder
from multiemo.encoders.common.depth import depth_groups
from multiemo.encoders.text.masked_tokens import MaskedTokens
from multiemo.encoders.text.ngrams import HashedNgrams
from multiemo.errors import ConfigError
from multiemo.registry import Share, Size, encoders
from multiemo.types import TEXT_SPECIALS, TextSpec

_SEP, _MASK = TEXT_SPECIALS.index("[SEP]"), TEXT_SPECIALS.index("[MASK]")


def utterance_mask(tokens: Tensor, mask: Tensor, separator: int) -> Tensor:
    """Mask of the utterance's tokens without its dialogue context, up to and including the first separator.

    The first token never counts as a separator, because some tokenizers use the same token at both ends of a text.

    Args:
        tokens: ``[B, L]`` token ids.
        mask: ``[B, L]`` bool, true for real tokens.
        separator: id of the token that ends an utterance.

    Returns:
        ``[B, L]`` bool.

    Example:
        >>> utterance_mask(torch.tensor([[2, 9, 3, 6, 8, 3]]), torch.ones(1, 6, dtype=torch.bool), 3).tolist()
        [[True, True, True, False, False, False]]
    """
    ends = (tokens == separator) & mask
    ends[:, 0] = False
    return mask & (ends.cumsum(1) - ends.long() == 0)


class AttentionPool(nn.Module):
    """Mean over time, weighted by a learnt query.

    Args:
        dim: D, the width of the input.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.score = nn.Linear(dim, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Pool ``[B, T, D]`` with the mask ``[B, T]`` to ``[B, D]``."""
        scores: Tensor = self.score(x).squeeze(-1).masked_fill(~mask, float("-inf"))
        return (scores.softmax(1).unsqueeze(-1) * x).sum(1)


class TransformerBlock(nn.Module):
    """A pre-norm Transformer layer (Xiong et al. 2020) with scaled dot-product attention.

    Args:
        dim: D, the width of the layer.
        heads: number of attention heads.
        dropout: share dropped from attention weights, hidden units and both residual branches.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Apply the layer to ``[B, T, D]`` with the mask ``[B, T]``."""
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :], dropout_p=dropout)
        x = x + self.drop(self.out(mixed.transpose(1, 2).reshape(b, t, d)))
        fed: Tensor = self.drop(self.feed(self.norm2(x)))
        return x + fed


@encoders.register("text_transformer", modality="text")
class TextTransformer(Encoder):
    """A small Transformer trained from scratch, combined with bags of n-grams.

    The bags (fastText), one of the utterance and one of its context, learn what a linear bag-of-words model would
    learn. The Transformer reads word order. With fewer than some tens of thousands of utterances, the bags alone
    (``layers: 0``), of ``characters`` and weighted by ``tfidf``, generalise best in Chinese. In training, random tokens
    are hidden from the Transformer ("word dropout", Iyyer et al. 2015).

    Args:
        dim: width of the Transformer.
        layers: number of Transformer layers; 0 leaves only the bags.
        heads: number of attention heads; must divide ``dim``.
        dropout: share of values dropped within the Transformer, on its embeddings, and on the bags.
        token_dropout: share of tokens hidden from the Transformer in training.
        ngram_dim: width of a bag; 0 removes the bags.
        ngram_orders: longest n-gram in the utterance's bag, tokens (at most 2 in the context's bag).
        ngram_buckets: rows of the table into which n-grams are hashed (a quarter for the context's bag).
        ngram_dropout: share of the n-grams left out in training.
        ngram_weighting: ``count`` gives all n-grams the same weight; ``tfidf`` uses TF-IDF of the training text.
        vocab_size: largest vocabulary of the tokenizer, which is trained on the training text.
        characters: tokens are single characters instead of subwords.
        max_tokens: longest input; longer ones lose their oldest context first, then their end.
        context: number of earlier utterances of the same dialogue to read.

    Raises:
        ConfigError: ``heads`` does not divide ``dim``, or both ``layers`` and ``ngram_dim`` are 0.
    """

    modality = "text"
    scale: Tensor

    def __init__(
        self,
        *,
        dim: Size = 64,
        layers: int = 1,
        heads: Size = 4,
        dropout: Share = 0.3,
        token_dropout: Share = 0.15,
        ngram_dim: int = 32,
        ngram_orders: Size = 3,
        ngram_buckets: Size = 131072,
        ngram_dropout: Share = 0.3,
        ngram_weighting: Literal["count", "tfidf"] = "count",
        vocab_size: Size = 2000,
        characters: bool = False,
        max_tokens: Size = 128,
        context: int = 0,
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(f"encoders.text.heads: {heads} must divide dim, which is {dim}")
        if layers < 1 and ngram_dim < 1:
            raise ConfigError("encoders.text: layers and ngram_dim are both 0; set one of them to at least 1")
        self.input_spec = TextSpec(vocab_size=vocab_size, characters=characters, max_tokens=max_tokens, context=context)
        self.token_dropout = token_dropout
        self.transformer = _Transformer(self.input_spec, dim, layers, heads, dropout) if layers else None
        self.ngrams: HashedNgrams | None = None
        self.context_ngrams: HashedNgrams | None = None
        if ngram_dim:
            self.ngrams = HashedNgrams(ngram_dim, ngram_buckets, ngram_orders, ngram_dropout, ngram_weighting)
            if context:
                rows = max(1, ngram_buckets // 4)
                orders = min(2, ngram_orders)
                self.context_ngrams = HashedNgrams(ngram_dim, rows, orders, ngram_dropout, ngram_weighting)
        self.drop = nn.Dropout(dropout)
        # Heads normalise the embedding. The length of the bags shows how much of the text was recognised, and constants
        # next to them preserve it through the normalisation.
        self.register_buffer("scale", torch.tensor([1.0, -1.0]).repeat(ngram_dim)[:ngram_dim], persistent=False)
        bags = 2 if self.context_ngrams is not None else 1
        self.out_dim = (2 * dim if layers else 0) + (bags + 1) * ngram_dim

    def fit_statistics(self, inputs: Iterable[Tensor]) -> None:
        """Compute the document frequencies of n-grams in training texts ``[L]``, for ``ngram_weighting: tfidf``."""
        if self.ngrams is None or self.ngrams.weighting != "tfidf":
            return
        texts = [(x[None], torch.ones(1, len(x), dtype=torch.bool)) for x in inputs]
        own = [utterance_mask(x, mask, _SEP) for x, mask in texts]
        self.ngrams.fit((x, part) for (x, _), part in zip(texts, own, strict=True))
        if self.context_ngrams is not None:
            self.context_ngrams.fit((x, mask & ~part) for (x, mask), part in zip(texts, own, strict=True))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Embed token ids ``[B, L]`` with their mask to ``[B, D]``."""
        own = utterance_mask(x, mask, _SEP)
        parts = []
        if self.transformer is not None:
            parts.append(self.transformer(self._hide(x), mask, own))
        if self.ngrams is not None:
            parts += [self.scale.expand(len(x), -1), self.drop(self.ngrams(x, own))]
        if self.context_ngrams is not None:
            parts.append(self.drop(self.context_ngrams(x, mask & ~own)))
        return torch.cat(parts, dim=1)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """As :meth:`Encoder.layer_groups`. The bags have no depth."""
        return super().layer_groups() if self.transformer is None else depth_groups(self, self.transformer)

    def token_states(self, x: Tensor, mask: Tensor) -> Tensor:
        """Encode token ids ``[B, L]`` with their mask to ``[B, L, dim]``, the Transformer's states."""
        return self._layered().states(x, mask, utterance_mask(x, mask, _SEP))

    def token_table(self) -> nn.Embedding:
        """The Transformer's input embeddings."""
        return self._layered().tokens

    def masked_task(self) -> MaskedTokens:
        """A task that hides tokens and predicts them from the Transformer's states.

        The bags are not used: a sum over the text has no positions, and a sum over the unmasked text would reveal what
        is hidden.

        Raises:
            ConfigError: there is no Transformer.
        """
        table = self.token_table()
        return MaskedTokens(table, table.embedding_dim, range(len(TEXT_SPECIALS)), _MASK)

    def _layered(self) -> _Transformer:
        if self.transformer is None:
            raise ConfigError(
                "encoders.text.layers: 0 leaves only bags of n-grams, which do not support objective 'masked'; "
                "set it to at least 1"
            )
        return self.transformer

    def _hide(self, x: Tensor) -> Tensor:
        """Apply word dropout: mask a share of the tokens in training."""
        if not (self.training and self.token_dropout):
            return x
        hidden = torch.rand(x.shape, device=x.device) < self.token_dropout
        return torch.where(hidden & (x >= len(TEXT_SPECIALS)), _MASK, x)


class _Transformer(nn.Module):
    """The Transformer stream of :class:`TextTransformer`: ``[B, L]`` to ``[B, 2 dim]``."""

    def __init__(self, spec: TextSpec, dim: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.tokens = nn.Embedding(spec.vocab_size, dim)
        self.positions = nn.Embedding(spec.max_tokens, dim)
        self.part = nn.Embedding(2, dim) if spec.context else None
        for table in (self.tokens, self.positions, self.part):
            if table is not None:
                nn.init.normal_(table.weight, std=0.1)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(TransformerBlock(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.pool = AttentionPool(dim)

    def forward(self, x: Tensor, mask: Tensor, own: Tensor) -> Tensor:
        """Pool the states of the utterance's tokens (``own``) by attention and by maximum."""
        h = self.states(x, mask, own)
        return torch.cat([self.pool(h, own), h.masked_fill(~own.unsqueeze(-1), float("-inf")).amax(1)], dim=1)

    def states(self, x: Tensor, mask: Tensor, own: Tensor) -> Tensor:
        """States ``[B, L, dim]``, one per token."""
        h: Tensor = self.tokens(x) + self.positions.weight[: x.shape[1]]
        if self.part is not None:
            h = h + self.part(own.long())
        h = self.drop(h)
        for block in self.blocks:
            h = block(h, mask)
        normed: Tensor = self.norm(h)
        return normed
