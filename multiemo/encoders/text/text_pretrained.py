"""Text encoder over any pretrained text model of the transformers library."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multiemo.encoders.base import Encoder, FrozenPart, masked_mean
from multiemo.encoders.common.attention import keep_on_device, recompute_layers, takes_no_mask
from multiemo.encoders.common.depth import depth_groups
from multiemo.encoders.common.half_precision import suit_half_precision
from multiemo.encoders.common.lora import Lora, add_lora, check_adapters
from multiemo.encoders.common.lower_layers import LowerLayers
from multiemo.encoders.common.pretrained import load_weights, resolve_model
from multiemo.encoders.text.decoders import is_causal, last_state, last_utterance_mask, reads_padding, text_part
from multiemo.encoders.text.masked_tokens import MaskedTokens
from multiemo.encoders.text.text_transformer import AttentionPool, utterance_mask
from multiemo.errors import ConfigError, first_line
from multiemo.preprocess.sequences import UtterancePlace
from multiemo.preprocess.text import TextPreprocessor
from multiemo.preprocess.vocabulary import check_vocabulary
from multiemo.registry import Count, Size, encoders
from multiemo.types import TextSpec

_WHERE = "encoders.text"
#: Types of models that run in float32 whatever the precision. DeBERTa (not its version 2) masks its attention with the
#: lowest number of float32, which overflows where autocast has made the scores half precision.
_FLOAT32_ONLY = frozenset({"deberta"})
#: Layers of text models that are never read, so that a checkpoint may lack them.
_UNREAD = ("pooler.",)


@encoders.register("text_pretrained", modality="text")
class TextPretrained(Encoder):
    """Applies any text model of the transformers library, with its own tokenizer.

    Encoders (BERT, RoBERTa, the encoder of T5 ...) read the utterance first, then earlier turns. In decoder language
    models (Qwen, Llama, Gemma, Mistral, GPT-2 ...) a token sees only those before it, so they read earlier turns first
    and end with the utterance. If the tokenizer has a chat template, they read earlier turns as chat turns: the speaker
    of the utterance is the user, everyone else the assistant. Which kind a model is, is measured when it is loaded.
    Models of text and pictures or sound are used without the other parts.

    Args:
        model: a model folder, ``package:NAME`` for one inside an installed package, or the name of a hub model.
        pooling: ``mean`` or learnt ``attention`` over the utterance's tokens; ``cls``, the first token (encoders only);
            or ``last``, the last token, which in a decoder has seen everything. ``auto`` is ``last`` for decoders and
            ``mean`` for encoders. Models are stored with the pooling that ``auto`` chose.
        freeze: train nothing of the pretrained model.
        frozen_layers: number of layers, from the input on, that are not trained either, nor what precedes them.
            What they compute is cached, unless the layers above read more of them than their output (T5).
        lora: train low-rank adapters in the pretrained model instead of its own weights, above ``frozen_layers``.
        max_tokens: longest input; longer ones lose their oldest context first. Encoders then lose the end of the
            utterance, decoders its beginning.
        context: number of earlier utterances of the same dialogue to read.
        prefix: text put directly before the utterance, if the model was trained with one: ``"query: "`` for E5, or an
            instruction. It is never cut off, and it is not pooled by ``mean`` and ``attention``.
        assets: folder written by :meth:`save_assets`; the architecture is then built from it without weights.

    Raises:
        ConfigError: ``model`` is not a usable text model, or accepts fewer than ``max_tokens`` tokens; both ``freeze``
            and ``lora`` are given; ``pooling: cls`` of a decoder; or a chat template that cannot show earlier turns.
    """

    modality = "text"
    leaves_masks = True

    def __init__(
        self,
        *,
        model: str,
        pooling: Literal["auto", "cls", "mean", "attention", "last"] = "auto",
        freeze: bool = False,
        frozen_layers: Count = 0,
        lora: Lora | None = None,
        max_tokens: Size = 128,
        context: int = 0,
        prefix: str = "",
        assets: Path | None = None,
    ) -> None:
        super().__init__()
        if freeze and lora is not None:
            raise ConfigError(
                f"{_WHERE}.freeze and {_WHERE}.lora exclude each other, because adapters train inside the backbone; "
                "remove one"
            )
        if freeze and frozen_layers:
            raise ConfigError(f"{_WHERE}.frozen_layers is {frozen_layers}, but {_WHERE}.freeze freezes all; remove one")
        wanted = TextSpec(max_tokens=max_tokens, context=context, prefix=prefix)
        self.backbone, self.input_spec, self.place, stored = _build(model, assets, wanted)
        keep_on_device(self.backbone)
        suit_half_precision(self.backbone)
        config = self.backbone.config
        _check_length(self.backbone, model, max_tokens)
        self.causal = self.input_spec.layout != "utterance_first"
        self.pooling = stored if pooling == "auto" else pooling
        if self.causal and pooling == "cls":
            raise ConfigError(
                f"{_WHERE}.pooling: the first token of {model!r}, a decoder, sees none of the others; "
                "use last, mean or attention"
            )
        config.multiemo_pooling = self.pooling
        self.separator: int = config.sep_token_id
        self.segments = context > 0 and getattr(config, "type_vocab_size", 0) > 1
        padding = getattr(config, "pad_token_id", None)
        rows = self.backbone.get_input_embeddings().num_embeddings
        self.padding: int = padding if padding is not None and 0 <= padding < rows else 0
        if assets is None:
            config.multiemo_one_by_one = reads_padding(self.backbone, self.padding)
        self.clip_by_clip = getattr(config, "multiemo_one_by_one", False)
        if self.clip_by_clip and frozen_layers:
            raise ConfigError(
                f"{_WHERE}.frozen_layers: {model!r} reads the padding behind a text, so each text runs alone, and its "
                f"layers cannot be run apart; leave it out, or freeze all of the model with {_WHERE}.freeze"
            )
        self.freeze = freeze
        self.lower = LowerLayers(self.backbone, frozen_layers, _WHERE, self._example) if frozen_layers else None
        if lora is not None:
            add_lora(self.backbone, lora, _WHERE, () if self.lower is None else self.lower.modules)
        pooler = getattr(self.backbone, "pooler", None)
        if isinstance(pooler, nn.Module):
            pooler.requires_grad_(False)  # its output is never read
        if freeze:
            self.backbone.requires_grad_(False)
        if lora is not None and assets is None:
            check_adapters(self.backbone, self._example, _WHERE)
        self.out_dim = int(config.hidden_size)
        self.pool = AttentionPool(self.out_dim) if self.pooling == "attention" else None
        self.note_pretrained("backbone")

    def train(self, mode: bool = True) -> TextPretrained:
        """As ``nn.Module.train``, but frozen layers stay in evaluation mode (no dropout)."""
        super().train(mode)
        if self.freeze:
            self.backbone.eval()
        elif self.lower is not None:
            self.lower.train(mode)
        return self

    def forward(
        self, x: Tensor, mask: Tensor, states: tuple[Tensor, Tensor] | None = None, *, padded: bool = True
    ) -> Tensor:
        """Embed a padded batch.

        Args:
            x: ``[B, L]`` token ids; anything with the ``states`` of a model that is frozen as a whole.
            mask: ``[B, L]`` bool, true for real tokens.
            states: result of :meth:`frozen_states`, if it is known.
            padded: false if all tokens are real.

        Returns:
            ``[B, D]``.
        """
        if states is not None:
            values, own = states[0].to(self.token_table().weight.dtype), states[1]
            if self.lower is None:
                return values[:, 0] if self.pool is None else self.pool(values, own)
            hidden = self.lower.above(lambda: self.token_states(x, mask), values)
        else:
            hidden = self.token_states(x, mask, padded=padded)
        return self._fixed_pool(hidden, x, mask) if self.pool is None else self.pool(hidden, self.utterance(x, mask))

    def frozen_part(self) -> FrozenPart | None:
        """As :meth:`Encoder.frozen_part`: the whole pretrained model with ``freeze``, or its ``frozen_layers``."""
        if self.lower is not None:
            if not self.lower.separable:
                return None
            return FrozenPart(self.lower.weights(), {"layers": self.lower.count}, beside=0)
        return FrozenPart(self.backbone.state_dict(), {"pooling": self.pooling}) if self.freeze else None

    def frozen_states(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`Encoder.frozen_states`: those of all tokens below the trained layers, if there are any.

        Of a model that is frozen as a whole, the states of the utterance for pooling ``attention``, else the pooled
        one.

        Args:
            x: ``[B, L]`` token ids.
            mask: ``[B, L]`` bool, true for real tokens.
        """
        if self.lower is not None:
            return self.lower.states(lambda: self.token_states(x, mask)), mask
        hidden = self.token_states(x, mask)
        if self.pool is None:
            pooled = self._fixed_pool(hidden, x, mask).unsqueeze(1)
            return pooled, torch.ones_like(mask[:, :1])
        own = self.utterance(x, mask)
        first = (~own).long().argsort(dim=1, stable=True)
        return hidden.gather(1, first.unsqueeze(-1).expand_as(hidden)), own.gather(1, first)

    def _example(self) -> Tensor:
        """The states of two short inputs, one of them padded."""
        ids = torch.arange(8, device=self.token_table().weight.device).view(2, 4) % self.token_table().num_embeddings
        mask = ids != 7 % self.token_table().num_embeddings
        return self.token_states(ids, mask)

    def _fixed_pool(self, hidden: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        """Pool token states ``[B, L, D]`` to ``[B, D]`` without learnt weights."""
        if self.pooling == "cls":
            return hidden[:, 0]
        if self.pooling == "last":
            return last_state(hidden, mask if self.causal else self.utterance(x, mask))
        return masked_mean(hidden, self.utterance(x, mask))

    def utterance(self, x: Tensor, mask: Tensor) -> Tensor:
        """Mask ``[B, L]`` of the tokens that ``mean`` and ``attention`` pool: the utterance without its prefix.

        In an encoder the marks around the utterance belong to it.

        Args:
            x: ``[B, L]`` token ids.
            mask: ``[B, L]`` bool, true for real tokens.
        """
        if self.causal:
            return last_utterance_mask(x, mask, self.place)
        own = utterance_mask(x, mask, self.separator)
        if self.place.prefix:
            at = torch.arange(x.shape[1], device=x.device)
            own = own & ((at < self.place.start) | (at >= self.place.start + self.place.prefix))
        return own

    def token_states(self, x: Tensor, mask: Tensor, *, padded: bool = True) -> Tensor:
        """Encode tokens to the backbone's last hidden states.

        Args:
            x: ``[B, L]`` token ids.
            mask: ``[B, L]`` bool, true for real tokens.
            padded: false if all tokens are real. A decoder gets the mask even then: without one, the library would
                look for several texts in each row.

        Returns:
            ``[B, L, D]``.
        """
        if padded and self.clip_by_clip:
            return torch.cat([self._alone(x[i : i + 1], mask[i : i + 1]) for i in range(len(x))])
        if padded or self.causal or not takes_no_mask(self.backbone):
            inputs = {"input_ids": x.masked_fill(~mask, self.padding), "attention_mask": mask.long()}
        else:
            inputs = {"input_ids": x}
        if self.segments:
            inputs["token_type_ids"] = (mask & ~utterance_mask(x, mask, self.separator)).long()
        whole = self.backbone.config.model_type in _FLOAT32_ONLY
        with torch.autocast(x.device.type, enabled=False) if whole else nullcontext():
            states: Tensor = self.backbone(**inputs).last_hidden_state
        return states

    def _alone(self, x: Tensor, mask: Tensor) -> Tensor:
        """The states of one text without its padding, ``[1, L, D]``."""
        real = int(mask.sum())
        states = self.token_states(x[:, :real], mask[:, :real], padded=False)
        return F.pad(states, (0, 0, 0, x.shape[1] - real))

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
            ConfigError: the tokenizer has neither, the backbone is frozen, or it is a decoder.
        """
        if self.causal:
            raise ConfigError(
                f"{_WHERE}.model: a decoder sees only the tokens before a hidden one, which objective 'masked' is not "
                "made for; choose an encoder, or train on labels"
            )
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


def _build(model: str, assets: Path | None, wanted: TextSpec) -> tuple[Any, TextSpec, UtterancePlace, str]:
    """Build the transformers model.

    Args:
        model: as in :class:`TextPretrained`.
        assets: as in :class:`TextPretrained`.
        wanted: the input, whose tokenizer and layout are found here.

    Returns:
        The model, its input, where the utterance lies in the input, and the pooling that ``auto`` stands for.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    where = f"{_WHERE}.model"
    if assets is not None and (assets / "config.json").is_file():
        config = AutoConfig.from_pretrained(str(assets), local_files_only=True, trust_remote_code=False)
        built = AutoModel.from_config(config, trust_remote_code=False, dtype=torch.float32)
        # Models of earlier versions have none of these notes: they read the utterance first and pool its mean.
        spec = replace(wanted, tokenizer=model, layout=getattr(config, "multiemo_layout", wanted.layout))
        place = UtterancePlace.from_json(getattr(config, "multiemo_place", UtterancePlace().to_json()))
        return _text_encoder(built, model, where), spec, place, getattr(config, "multiemo_pooling", "mean")
    folder = resolve_model(model, where)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        used = partial(_text_encoder, model=model, where=where)
        built = load_weights(AutoModel, folder, config, f"{where}: {model!r}", used=used, unread=_UNREAD)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        reason = first_line(error)
        raise ConfigError(f"{where}: {model!r} does not load as a text model with its tokenizer: {reason}") from None
    built = _text_encoder(built, model, where)
    size = built.get_input_embeddings().num_embeddings
    check_vocabulary(tokenizer, size, f"{where}: {folder}", ConfigError)
    spec = replace(wanted, tokenizer=folder)
    pooling = "mean"
    if is_causal(built):
        chat = spec.context > 0 and bool(getattr(tokenizer, "chat_template", None))
        spec, pooling = replace(spec, layout="chat" if chat else "utterance_last"), "last"
        built.config.use_cache = False  # it serves generation only
    place = TextPreprocessor(spec, tokenizer).place
    _note_tokens(built.config, tokenizer, size)
    built.config.multiemo_layout, built.config.multiemo_place = spec.layout, place.to_json()
    return built, spec, place, pooling


def _note_tokens(config: Any, tokenizer: Any, size: int) -> None:
    """Store the token ids that the encoder needs in the config, which checkpoints include."""
    ends = [tokenizer.sep_token_id, tokenizer.eos_token_id]
    config.sep_token_id = next((i for i in ends if i is not None), -1)
    config.special_token_ids = sorted(i for i in set(tokenizer.all_special_ids) if i < size)
    hiding = [tokenizer.mask_token_id, tokenizer.unk_token_id]
    config.hiding_token_id = next((i for i in hiding if i is not None and i < size), None)


def _text_encoder(built: Any, model: str, where: str) -> Any:
    kind = getattr(built.config, "model_type", "unknown")
    if hasattr(built.config, "text_config"):
        part = text_part(built)
        if part is None:
            raise ConfigError(
                f"{where}: {model!r} is a {kind!r} model, whose text part cannot be used by itself; name a text model"
            )
        return part
    if hasattr(built, "encoder") and hasattr(built, "decoder"):
        built = built.get_encoder()
    if not isinstance(built.get_input_embeddings(), nn.Embedding) or not hasattr(built.config, "hidden_size"):
        raise ConfigError(f"{where}: {model!r} is a {kind!r} model, which does not read text; name a text model")
    return built


def _check_length(backbone: Any, model: str, max_tokens: int) -> None:
    limit = getattr(backbone.config, "max_position_embeddings", None)
    table = next((m for n, m in backbone.named_modules() if n.endswith("position_embeddings")), None)
    if limit and isinstance(table, nn.Embedding) and table.padding_idx is not None:
        limit -= table.padding_idx + 1  # RoBERTa numbers positions from there
    if limit and 0 < limit < max_tokens:  # XLNet has -1, for none
        raise ConfigError(f"encoders.text.max_tokens: {max_tokens} exceeds the {limit} tokens that {model!r} can read")
