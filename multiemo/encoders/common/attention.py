"""Attention and activation settings for backbones of the transformers library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import bidirectional_mask_function, sdpa_mask

from multiemo.errors import ConfigError

#: SDPA attention of the library with a mask whenever one is passed. The library's own version first checks, once per
#: forward pass, whether anything is padded, and that check makes the host wait for the device. Callers that know that
#: nothing is padded pass no mask, and flash attention can run.
_ALWAYS_MASKED = "sdpa_always_masked"


def _mask(*args: Any, **options: Any) -> Any:
    padding = options.get("attention_mask")
    two_way = options.get("mask_function") is bidirectional_mask_function
    if padding is None:
        # While a CUDA graph is captured, some versions of the library make a mask that hides nothing, and no fast
        # kernel takes it.
        skipped = two_way and options.get("allow_is_bidirectional_skip")
        return None if skipped else sdpa_mask(*args, **options)
    queries = options.get("q_length")  # earlier versions of the library state positions instead
    if two_way and queries is not None and _covers(padding, options):
        return padding[:, None, None, :].expand(-1, 1, queries, -1)
    return sdpa_mask(*args, **{**options, "allow_is_causal_skip": False, "allow_is_bidirectional_skip": False})


def _covers(padding: Tensor, options: Mapping[str, Any]) -> bool:
    """Whether a padding mask ``[B, T]`` has exactly the keys that are attended to."""
    return padding.shape[1] == options["kv_length"] and not options.get("kv_offset")


AttentionInterface.register(_ALWAYS_MASKED, sdpa_attention_forward)
AttentionMaskInterface.register(_ALWAYS_MASKED, _mask)


def keep_on_device(backbone: Any) -> None:
    """Make SDPA attention, where the architecture uses it, free of host synchronisation. Results stay the same."""
    if backbone.config._attn_implementation == "sdpa":
        backbone.set_attn_implementation(_ALWAYS_MASKED)


def takes_no_mask(backbone: Any) -> bool:
    """Whether a backbone prepared by :func:`keep_on_device` computes the same without a mask if nothing is padded."""
    return bool(backbone.config._attn_implementation == _ALWAYS_MASKED)


def recompute_layers(backbone: Any, where: str) -> None:
    """From now on, recompute the layers' activations in the backward pass (Chen et al. 2016).

    Args:
        backbone: a transformers model.
        where: config path of the encoder, for messages.

    Raises:
        ConfigError: the architecture does not support it.
    """
    if not backbone.supports_gradient_checkpointing:
        raise ConfigError(
            f"{where}.model: a {backbone.config.model_type!r} model cannot recompute its activations; "
            "train it without recomputation, or choose another model"
        )
    backbone.config.use_cache = False  # only for generation; otherwise the library disables it with a warning
    # Renamed during version 5 of the library. Version 6 removes the second name.
    enable = getattr(backbone, "activation_checkpointing_enable", None) or backbone.gradient_checkpointing_enable
    enable({"use_reentrant": False})
