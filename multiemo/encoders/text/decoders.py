"""Decoder language models as text encoders: recognising them, their text part, and the utterance at the end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from multiemo.preprocess.sequences import UtterancePlace

#: Modules that hold the language model inside models of text and pictures or sound, by their names in the library.
_TEXT_PARTS = ("language_model", "text_model")


def is_causal(backbone: Any) -> bool:
    """Whether each token of a model sees only those before it.

    Measured on two tokens: in a causal model the state of the first does not change with the second.

    Args:
        backbone: a transformers model in evaluation mode.
    """
    rows = backbone.get_input_embeddings().num_embeddings
    states = []
    with torch.no_grad():
        for second in (6, 7):
            ids = torch.tensor([[5 % rows, second % rows]])
            found = backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            states.append(found[:, 0])
    return torch.equal(*states)


def reads_padding(backbone: Any, padding: int) -> bool:
    """Whether the states of a text's tokens change with the padding behind them, although it is masked.

    So it is in models with convolutions over tokens (ConvBERT, MobileBERT). Measured on three tokens.

    Args:
        backbone: a transformers model in evaluation mode.
        padding: id of the padding.
    """
    rows = backbone.get_input_embeddings().num_embeddings
    alone = torch.tensor([[5 % rows, 6 % rows, 7 % rows]])
    padded = torch.nn.functional.pad(alone, (0, 5), value=padding)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0, 0]])
    with torch.no_grad():
        own = backbone(input_ids=alone, attention_mask=torch.ones_like(alone)).last_hidden_state
        beside = backbone(input_ids=padded, attention_mask=mask).last_hidden_state[:, :3]
    return not torch.allclose(own, beside, rtol=1e-3, atol=1e-3 * float(own.abs().mean()))


def text_part(built: Any) -> Any | None:
    """The language model inside a model of several modalities; ``None`` if the library cannot rebuild it by itself.

    Args:
        built: a transformers model whose config nests a ``text_config``.
    """
    from transformers import MODEL_MAPPING

    part = next((m for m in (getattr(built, name, None) for name in _TEXT_PARTS) if isinstance(m, nn.Module)), None)
    config = type(getattr(part, "config", None))
    if part is None or config not in MODEL_MAPPING or MODEL_MAPPING[config] is not type(part):
        return None
    return part


def last_utterance_mask(tokens: Tensor, mask: Tensor, place: UtterancePlace) -> Tensor:
    """Mask of the utterance's tokens in sequences that end with the utterance.

    Marks and prefix are not part of it. If all tokens of the utterance are masked, the last real token stands for it.

    Args:
        tokens: ``[B, L]`` token ids.
        mask: ``[B, L]`` bool, true for real tokens; padding is on the right.
        place: where the utterance lies.

    Returns:
        ``[B, L]`` bool.

    Example:
        >>> tokens, mask = torch.tensor([[1, 9, 3, 6, 8, 3, 0]]), torch.tensor([[True] * 6 + [False]])
        >>> last_utterance_mask(tokens, mask, UtterancePlace(start=1, before=(3,), after=1)).long().tolist()
        [[0, 0, 0, 1, 1, 0, 0]]
    """
    at = torch.arange(tokens.shape[1], device=tokens.device)
    last = (at * mask).amax(1, keepdim=True)
    stop = last + 1 - place.after
    begin = torch.full_like(stop, place.start)
    width = len(place.before)
    if 0 < width <= tokens.shape[1]:
        count = tokens.shape[1] - width + 1
        found = torch.ones_like(mask[:, :count])
        for offset, token in enumerate(
            place.before
        ):  # integers, because a tensor would have to be copied to the device
            found = found & (tokens[:, offset : offset + count] == token)
        ends = at[:count] + width
        found = found & (ends >= place.start + width) & (ends <= stop)
        begin = torch.maximum(begin, (found * ends).amax(1, keepdim=True))
    own = mask & (at >= begin + place.prefix) & (at < stop)
    return own | (~own.any(1, keepdim=True) & (at == last))


def last_state(hidden: Tensor, mask: Tensor) -> Tensor:
    """The state of the last real token: ``[B, L, D]`` and ``[B, L]`` to ``[B, D]``."""
    last = (torch.arange(mask.shape[1], device=mask.device) * mask).argmax(1)
    return hidden.gather(1, last[:, None, None].expand(-1, 1, hidden.shape[-1])).squeeze(1)
