"""Text encoder over any pretrained text model of the transformers library."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from multiemo.encoders.base import Encoder, masked_mean
from multiemo.encoders.common.attention import keep_on_device, recompute_layers
from multiemo.encoders.common.depth import depth_groups
from multiemo.encoders.common.half_precision import suit_half_precision
from multiemo.encoders.common.lora import Lora, add_lora
from multiemo.encoders.common.pretrained import resolve_model
from multiemo.encoders.text.masked_tokens import MaskedTokens
from multiemo.encoders.text.text_transformer import AttentionPool, utterance_mask
from multiemo.errors import ConfigError, first_line
from multiemo.preprocess.vocabulary import check_vocabulary
from multiemo.registry import Size, encoders
from multiemo.types import TextSpec

_WHERE = "encoders.text"


@encoders.register("text_pretrained", modality="text")
class TextPretrained(Encoder):
    """Applies any text model of the transformers library, with its own tokenizer.

    Args:
        model: a model folder, ``package:NAME`` for one inside an installed package, or the name of a hub model.
        pooling: ``mean`` or learnt ``attention`` over the utterance's tokens, or ``cls``, the first token.
        freeze: train nothing of the pretrained model.
        lora: train low-rank adapters in the pretrained model instead of its own weights.
        max_tokens: longest input; longer ones lose their oldest context first, then their end.
        context: number of earlier utterances of the same dialogue to read.
        assets: folder written by :meth:`save_assets`; the architecture is then built from it without weights.

    Raises:
        ConfigError: ``model`` is not a usable text model, or accepts fewer than ``max_tokens`` tokens; or both
            ``freeze`` and ``lora`` are given.
    """

    modality = "text"

    def __init__(
        self,
        *,
        model: str,
        pooling: Literal["cls", "mean", "attention"] = "mean",
        freeze: bool = False,
        lora: Lora | None = None,
        max_tokens: Size = 128,
        context: int = 0,
        assets: Path | None = None,
    ) -> None:
        super().__init__()
        if freeze and lora is not None:
            raise ConfigError(
                f"{_WHERE}.freeze and {_WHERE}.lora exclude each other, because adapters train inside the backbone; "
                "remove one"
            )
        self.backbone, tokenizer = _build(model, assets)
        keep_on_device(self.backbone)
        suit_half_precision(self.backbone)
        config = self.backbone.config
        _check_length(self.backbone, model, max_tokens)
        self.separator: int = config.sep_token_id
        self.segments = context > 0 and getattr(config, "type_vocab_size", 0) > 1
        self.padding: int = config.pad_token_id if config.pad_token_id is not None else 0
        self.freeze = freeze
        if lora is not None:
            add_lora(self.backbone, lora, _WHERE)
        pooler = getattr(self.backbone, "pooler", None)
        if isinstance(pooler, nn.Module):
            pooler.requires_grad_(False)  # its output is never read
        if freeze:
            self.backbone.requires_grad_(False)
        self.out_dim = int(config.hidden_size)
        self.pooling = pooling
        self.pool = AttentionPool(self.out_dim) if pooling == "attention" else None
        self.input_spec = TextSpec(tokenizer=tokenizer, max_tokens=max_tokens, context=context)
        self.note_pretrained("backbone")

    def train(self, mode: bool = True) -> TextPretrained:
        """As ``nn.Module.train``, but a frozen backbone stays in evaluation mode (no dropout)."""
        super().train(mode)
        if self.freeze:
            self.backbone.eval()
        return self

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Embed token ids ``[B, L]`` with their mask to ``[B, D]``."""
        hidden = self.token_states(x, mask)
        if self.pooling == "cls":
            return hidden[:, 0]
        own = utterance_mask(x, mask, self.separator)
        return masked_mean(hidden, own) if self.pool is None else self.pool(hidden, own)

    def token_states(self, x: Tensor, mask: Tensor) -> Tensor:
        """Encode token ids ``[B, L]`` with their mask to ``[B, L, D]``, the backbone's last hidden states."""
        inputs = {"input_ids": x.masked_fill(~mask, self.padding), "attention_mask": mask.long()}
        if self.segments:
            inputs["token_type_ids"] = (mask & ~utterance_mask(x, mask, self.separator)).long()
        states: Tensor = self.backbone(**inputs).last_hidden_state
        return states

    def token_table(self) -> nn.Embedding:
        """The backbone's input embeddings."""
        table: nn.Embedding = self.backbone.get_input_embeddings()
        return table

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """As :meth:`Encoder.layer_groups`: embeddings, each layer of the backbone, pooling."""
        return depth_groups(self, self.backbone)

    def recompute_activations(self) -> None:
        """As :meth:`Encoder.recompute_activations`. A frozen backbone stores none.

        Raises:
            ConfigError: the architecture does not support it.
        """
        if not self.freeze:
            recompute_layers(self.backbone, _WHERE)

    def masked_task(self) -> MaskedTokens:
        """A task that hides tokens. A tokenizer without a mask token uses its unknown token instead.

        Raises:
            ConfigError: the tokenizer has neither, or the backbone is frozen.
        """
        if self.freeze:
            raise ConfigError(
                f"{_WHERE}.freeze: a frozen backbone learns nothing with objective 'masked'; set it to false"
            )
        config = self.backbone.config
        if getattr(config, "hiding_token_id", None) is None:
            raise ConfigError(
                f"{_WHERE}.model: its tokenizer has neither a mask nor an unknown token, which objective 'masked' "
                "requires; choose another model"
            )
        return MaskedTokens(self.token_table(), self.out_dim, config.special_token_ids, config.hiding_token_id)

    def save_assets(self, folder: Path) -> None:
        """Write the architecture as ``config.json``."""
        self.backbone.config.save_pretrained(str(folder))


def _build(model: str, assets: Path | None) -> tuple[Any, str]:
    """Build the transformers model, and find its tokenizer."""
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    where = f"{_WHERE}.model"
    if assets is not None and (assets / "config.json").is_file():
        config = AutoConfig.from_pretrained(str(assets), local_files_only=True, trust_remote_code=False)
        built = AutoModel.from_config(config, trust_remote_code=False, dtype=torch.float32)
        return _text_encoder(built, model, where), model
    folder = resolve_model(model, where)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        built = AutoModel.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = first_line(error)
        raise ConfigError(f"{where}: {model!r} does not load as a text model with its tokenizer: {reason}") from None
    built = _text_encoder(built, model, where)
    size = built.get_input_embeddings().num_embeddings
    check_vocabulary(tokenizer, size, f"{where}: {folder}", ConfigError)
    _note_tokens(built.config, tokenizer, size)
    return built, folder


def _note_tokens(config: Any, tokenizer: Any, size: int) -> None:
    """Store the token ids that the encoder needs in the config, which checkpoints include."""
    ends = [tokenizer.sep_token_id, tokenizer.eos_token_id]
    config.sep_token_id = next((i for i in ends if i is not None), -1)
    config.special_token_ids = sorted(i for i in set(tokenizer.all_special_ids) if i < size)
    hiding = [tokenizer.mask_token_id, tokenizer.unk_token_id]
    config.hiding_token_id = next((i for i in hiding if i is not None and i < size), None)


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
        limit -= table.padding_idx + 1  # RoBERTa numbers positions from there
    if limit and max_tokens > limit:
        raise ConfigError(f"encoders.text.max_tokens: {max_tokens} exceeds the {limit} tokens that {model!r} can read")
