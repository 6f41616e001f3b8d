"""How a backbone of the transformers library is told to compute."""

from __future__ import annotations

from typing import Any

from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from multiemo.errors import ConfigError

#: The library's SDPA attention whose mask is always made. Its own first asks whether anything is padded, once a forward
#: pass, and the host then waits for the device.
_ALWAYS_MASKED = "sdpa_always_masked"


def _mask(*args: Any, **options: Any) -> Any:
    return sdpa_mask(*args, **{**options, "allow_is_causal_skip": False, "allow_is_bidirectional_skip": False})


AttentionInterface.register(_ALWAYS_MASKED, sdpa_attention_forward)
AttentionMaskInterface.register(_ALWAYS_MASKED, _mask)


def keep_on_device(backbone: Any) -> None:
    """Let SDPA attention, where the architecture has it, read nothing back to the host; the results are the same."""
    if backbone.config._attn_implementation == "sdpa":
        backbone.set_attn_implementation(_ALWAYS_MASKED)


def recompute_layers(backbone: Any, where: str) -> None:
    """From now on compute the layers' activations again in the backward pass (Chen et al. 2016).

    Args:
        backbone: a transformers model.
        where: config path of the encoder, for messages.

    Raises:
        ConfigError: the architecture cannot.
    """
    if not backbone.supports_gradient_checkpointing:
        raise ConfigError(
            f"{where}.model: a {backbone.config.model_type!r} model cannot recompute its activations; "
            "train it without, or name another model"
        )
    backbone.config.use_cache = False  # of generation; the library else turns it off itself, with a warning
    # Renamed within version 5 of the library; the second name goes with version 6.
    enable = getattr(backbone, "activation_checkpointing_enable", None) or backbone.gradient_checkpointing_enable
    enable({"use_reentrant": False})
