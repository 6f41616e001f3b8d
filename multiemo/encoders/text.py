"""Text encoders: a small Transformer from scratch, and any pretrained transformers text model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multiemo.encoders.base import Encoder, masked_mean
from multiemo.encoders.pretrained import resolve_model
from multiemo.errors import ConfigError
from multiemo.registry import encoders
from multiemo.types import TEXT_SPECIALS, TextSpec

_SEP, _MASK = TEXT_SPECIALS.index("[SEP]"), TEXT_SPECIALS.index("[MASK]")


def utterance_mask(tokens: Tensor, mask: Tensor, separator: int) -> Tensor:
    """Which tokens are the utterance itself, not its dialogue context: all up to the first separator, included.

    Args:
        tokens: ``[B, L]`` token ids.
        mask: ``[B, L]`` bool, true where real.
        separator: id of the token that ends an utterance.

    Returns:
        ``[B, L]`` bool.

    Example:
        >>> utterance_mask(torch.tensor([[2, 9, 3, 6, 8, 3]]), torch.ones(1, 6, dtype=torch.bool), 3).tolist()
        [[True, True, True, False, False, False]]
    """
    ends = (tokens == separator) & mask
    return mask & (ends.cumsum(1) - ends.long() == 0)


class AttentionPool(nn.Module):
    """A mean over time, weighted by a learnt query.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.score = nn.Linear(dim, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``[B, T, D]`` and ``[B, T]`` to ``[B, D]``."""
        scores: Tensor = self.score(x).squeeze(-1).masked_fill(~mask, float("-inf"))
        return (scores.softmax(1).unsqueeze(-1) * x).sum(1)


class Block(nn.Module):
    """A pre-norm Transformer layer (Xiong et al. 2020) on scaled dot-product attention.

    Args:
        dim: D.
        heads: attention heads.
        dropout: on attention weights, hidden units and both residual branches.
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``[B, T, D]`` and ``[B, T]`` to ``[B, T, D]``."""
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :], dropout_p=dropout)
        x = x + self.drop(self.out(mixed.transpose(1, 2).reshape(b, t, d)))
        fed: Tensor = self.drop(self.feed(self.norm2(x)))
        return x + fed


class HashedNgrams(nn.Module):
    """A bag of tokens and short runs of tokens, hashed into one table (fastText: Joulin et al. 2017).

    Formula: ``sum(rows) / sqrt(count)``, so that an utterance in which more is recognised has a longer vector.

    Args:
        dim: D.
        buckets: rows of the table.
        orders: longest run.
        dropout: share of the rows left out in training.
    """

    def __init__(self, dim: int, buckets: int, orders: int, dropout: float) -> None:
        super().__init__()
        self.buckets, self.orders, self.dropout = buckets, orders, dropout
        self.table = nn.Embedding(buckets, dim)
        nn.init.normal_(self.table.weight, std=0.01)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """``[B, L]`` ids and bool to ``[B, D]``; zeros where ``mask`` has nothing."""
        key, whole = tokens, mask
        rows, real = [], []
        for order in range(self.orders):
            if order:
                key = key[:, :-1] * 1_000_003 + tokens[:, order:]
                whole = whole[:, :-1] & mask[:, order:]
            mixed = key * 7919 + order
            rows.append((mixed ^ (mixed >> 15)) % self.buckets)
            real.append(whole)
        kept = torch.cat(real, dim=1)
        if self.training and self.dropout:
            kept = kept & (torch.rand(kept.shape, device=kept.device) >= self.dropout)
        weights = kept.to(self.table.weight.dtype).unsqueeze(-1)
        total: Tensor = (self.table(torch.cat(rows, dim=1)) * weights).sum(1)
        return total / weights.sum(1).clamp_min(1.0).sqrt()


@encoders.register("text_transformer", modality="text")
class TextTransformer(Encoder):
    """A small Transformer trained from scratch, beside bags of n-grams.

    The bags (fastText), one of the utterance and one of its context, hold what a linear bag-of-words model would
    learn; the Transformer reads order. Below some tens of thousands of utterances the bags alone (``layers: 0``) and a
    small ``vocab_size``, at which tokens are little more than characters, generalise best. In training, tokens are
    hidden from the Transformer at random ("word dropout", Iyyer et al. 2015).

    Args:
        dim: width of the Transformer.
        layers: Transformer layers; 0 leaves the bags alone.
        heads: attention heads; must divide ``dim``.
        dropout: within the Transformer, on its embeddings, and on the bags.
        token_dropout: share of tokens hidden from the Transformer in training.
        ngram_dim: width of a bag; 0 leaves them out.
        ngram_orders: longest run of tokens in the utterance's bag (the context's has at most 2).
        ngram_buckets: rows that all runs share, by their hash (the context's bag has a quarter).
        ngram_dropout: share of the runs left out in training.
        vocab_size: most entries of the tokenizer, which is learnt from the training text.
        max_tokens: longer inputs lose their oldest context first, then their end.
        context: earlier utterances of the same dialogue that are read as well.

    Raises:
        ConfigError: ``heads`` does not divide ``dim``, or nothing is left to read with.
    """

    modality = "text"
    scale: Tensor

    def __init__(
        self,
        *,
        dim: int = 64,
        layers: int = 1,
        heads: int = 4,
        dropout: float = 0.3,
        token_dropout: float = 0.15,
        ngram_dim: int = 32,
        ngram_orders: int = 3,
        ngram_buckets: int = 131072,
        ngram_dropout: float = 0.3,
        vocab_size: int = 2000,
        max_tokens: int = 128,
        context: int = 0,
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(f"encoders.text.heads: {heads} must divide dim, which is {dim}")
        if layers < 1 and ngram_dim < 1:
            raise ConfigError("text_transformer: layers and ngram_dim are both 0; one of them must read the text")
        self.input_spec = TextSpec(vocab_size=vocab_size, max_tokens=max_tokens, context=context)
        self.transformer = _Transformer(self.input_spec, dim, layers, heads, dropout, token_dropout) if layers else None
        self.ngrams: HashedNgrams | None = None
        self.context_ngrams: HashedNgrams | None = None
        if ngram_dim:
            self.ngrams = HashedNgrams(ngram_dim, ngram_buckets, ngram_orders, ngram_dropout)
            if context:
                rows = max(1, ngram_buckets // 4)
                self.context_ngrams = HashedNgrams(ngram_dim, rows, min(2, ngram_orders), ngram_dropout)
        self.drop = nn.Dropout(dropout)
        # Heads normalise the embedding. Constants beside the bags keep their length, which says how much of the text
        # was recognised, visible after that.
        self.register_buffer("scale", torch.tensor([1.0, -1.0]).repeat(ngram_dim)[:ngram_dim], persistent=False)
        bags = 2 if self.context_ngrams is not None else 1
        self.out_dim = (2 * dim if layers else 0) + (bags + 1) * ngram_dim

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``[B, L]`` ids and bool to ``[B, D]``."""
        own = utterance_mask(x, mask, _SEP)
        parts = []
        if self.transformer is not None:
            parts.append(self.transformer(x, mask, own))
        if self.ngrams is not None:
            parts += [self.scale.expand(len(x), -1), self.drop(self.ngrams(x, own))]
        if self.context_ngrams is not None:
            parts.append(self.drop(self.context_ngrams(x, mask & ~own)))
        return torch.cat(parts, dim=1)


class _Transformer(nn.Module):
    """The Transformer stream of :class:`TextTransformer`: ``[B, L]`` to ``[B, 2 dim]``."""

    def __init__(self, spec: TextSpec, dim: int, layers: int, heads: int, dropout: float, token_dropout: float) -> None:
        super().__init__()
        self.token_dropout = token_dropout
        self.tokens = nn.Embedding(spec.vocab_size, dim)
        self.positions = nn.Embedding(spec.max_tokens, dim)
        self.part = nn.Embedding(2, dim) if spec.context else None
        for table in (self.tokens, self.positions, self.part):
            if table is not None:
                nn.init.normal_(table.weight, std=0.1)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.pool = AttentionPool(dim)

    def forward(self, x: Tensor, mask: Tensor, own: Tensor) -> Tensor:
        """Ids, which are real, and which are the utterance's: pooled by attention and by maximum over the latter."""
        if self.training and self.token_dropout:
            hidden = torch.rand(x.shape, device=x.device) < self.token_dropout
            x = torch.where(hidden & (x >= len(TEXT_SPECIALS)), _MASK, x)
        h = self.tokens(x) + self.positions.weight[: x.shape[1]]
        if self.part is not None:
            h = h + self.part(own.long())
        h = self.drop(h)
        for block in self.blocks:
            h = block(h, mask)
        h = self.norm(h)
        return torch.cat([self.pool(h, own), h.masked_fill(~own.unsqueeze(-1), float("-inf")).amax(1)], dim=1)


@encoders.register("text_pretrained", modality="text")
class TextPretrained(Encoder):
    """Any text model of the transformers library, with its own tokenizer.

    Args:
        model: a model folder, ``package:NAME`` for one inside an installed package, or the name of a hub model.
        pooling: ``mean`` or learnt ``attention`` over the utterance's tokens, or ``cls``, the first token.
        freeze: train nothing of the pretrained model.
        max_tokens: longer inputs lose their oldest context first, then their end.
        context: earlier utterances of the same dialogue that are read as well.
        assets: the folder :meth:`save_assets` wrote; the architecture is then built from it without weights.

    Raises:
        ConfigError: ``model`` is not a usable text model, or takes fewer than ``max_tokens`` tokens.
    """

    modality = "text"

    def __init__(
        self,
        *,
        model: str,
        pooling: Literal["cls", "mean", "attention"] = "mean",
        freeze: bool = False,
        max_tokens: int = 128,
        context: int = 0,
        assets: Path | None = None,
    ) -> None:
        super().__init__()
        self.backbone, tokenizer = _build(model, assets)
        config = self.backbone.config
        _check_length(self.backbone, model, max_tokens)
        self.separator: int = config.sep_token_id
        self.segments = context > 0 and getattr(config, "type_vocab_size", 0) > 1
        self.padding: int = config.pad_token_id if config.pad_token_id is not None else 0
        self.freeze = freeze
        pooler = getattr(self.backbone, "pooler", None)
        if isinstance(pooler, nn.Module):
            pooler.requires_grad_(False)  # its output is never read
        if freeze:
            self.backbone.requires_grad_(False)
        self.out_dim = int(config.hidden_size)
        self.pooling = pooling
        self.pool = AttentionPool(self.out_dim) if pooling == "attention" else None
        self.input_spec = TextSpec(tokenizer=tokenizer, max_tokens=max_tokens, context=context)

    def train(self, mode: bool = True) -> TextPretrained:
        """As in torch, but a frozen backbone stays in evaluation mode (no dropout)."""
        super().train(mode)
        if self.freeze:
            self.backbone.eval()
        return self

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``[B, L]`` ids and bool to ``[B, D]``."""
        own = utterance_mask(x, mask, self.separator)
        inputs = {"input_ids": x.masked_fill(~mask, self.padding), "attention_mask": mask.long()}
        if self.segments:
            inputs["token_type_ids"] = (mask & ~own).long()
        hidden: Tensor = self.backbone(**inputs).last_hidden_state
        if self.pooling == "cls":
            return hidden[:, 0]
        return masked_mean(hidden, own) if self.pool is None else self.pool(hidden, own)

    def save_assets(self, folder: Path) -> None:
        """Write the architecture as ``config.json``."""
        self.backbone.config.save_pretrained(str(folder))


def _build(model: str, assets: Path | None) -> tuple[Any, str]:
    """The transformers model, and where its tokenizer is."""
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    where = "encoders.text.model"
    if assets is not None and (assets / "config.json").is_file():
        config = AutoConfig.from_pretrained(str(assets), local_files_only=True, trust_remote_code=False)
        return _text_encoder(AutoModel.from_config(config, trust_remote_code=False), model, where), model
    folder = resolve_model(model, where)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        built = AutoModel.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{where}: {model!r} does not load as a text model with its tokenizer: {reason}") from None
    built = _text_encoder(built, model, where)
    ends = [tokenizer.sep_token_id, tokenizer.eos_token_id]
    built.config.sep_token_id = next((i for i in ends if i is not None), -1)
    return built, folder


def _text_encoder(built: Any, model: str, where: str) -> Any:
    if hasattr(built, "encoder") and hasattr(built, "decoder"):
        built = built.get_encoder()
    if not isinstance(built.get_input_embeddings(), nn.Embedding) or not hasattr(built.config, "hidden_size"):
        kind = getattr(built.config, "model_type", "unknown")
        raise ConfigError(f"{where}: {model!r} is a {kind!r} model, which does not read text; name a text model")
    return built


def _check_length(backbone: Any, model: str, max_tokens: int) -> None:
    limit = getattr(backbone.config, "max_position_embeddings", None)
    table = next((m for n, m in backbone.named_modules() if n.endswith("position_embeddings")), None)
    if limit and isinstance(table, nn.Embedding) and table.padding_idx is not None:
        limit -= table.padding_idx + 1  # RoBERTa counts positions from there
    if limit and max_tokens > limit:
        raise ConfigError(f"encoders.text.max_tokens: {max_tokens} is more than the {limit} that {model!r} can read")
