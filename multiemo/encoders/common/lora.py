"""Low-rank adaptation of pretrained backbones (Hu et al. 2022), through peft."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from multiemo.errors import ConfigError
from multiemo.extras import require

#: Names of the query and value layers in transformers and timm. These are adapted by default.
_ATTENTION = (
    *("query", "value", "query_proj", "value_proj", "q_proj", "v_proj", "linear_q", "linear_v", "q_lin", "v_lin"),
    *("q", "v", "qkv", "Wqkv", "qkv_proj", "query_key_value", "c_attn"),
)


class Lora(BaseModel):
    """Which layers of a backbone get adapters, and their size.

    Args:
        rank: r, the rank of the update.
        alpha: the update is scaled by ``alpha / rank``.
        dropout: share of the adapters' input that is dropped in training.
        targets: names of linear or convolution layers; the attention's query and value layers if empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(8, ge=1)
    alpha: float = Field(16.0, gt=0)
    dropout: float = Field(0.05, ge=0, lt=1)
    targets: tuple[str, ...] = ()


def add_lora(backbone: nn.Module, lora: Lora, where: str, without: Collection[nn.Module] = ()) -> None:
    """Freeze a backbone and add trainable adapters to its target layers, in place.

    Args:
        backbone: a transformers or timm model.
        lora: settings of the adapters.
        where: config path of the encoder, for messages.
        without: parts of the backbone that get no adapters.

    Raises:
        ConfigError: peft is not installed, a target is not an adaptable layer of the backbone, or the rank does not
            fit a layer.
    """
    peft = require("peft", f"{where}.lora")
    from transformers.pytorch_utils import Conv1D  # a linear layer, in GPT-2

    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, Conv1D)
    spared = {m for part in without for m in part.modules()}
    adaptable = [n for n, m in backbone.named_modules() if isinstance(m, kinds) and m not in spared]
    names = sorted({n.rpartition(".")[2] for n in adaptable})
    wanted = lora.targets or [n for n in names if n in _ATTENTION]
    known = f"it has {', '.join(names)}"
    if not wanted:
        raise ConfigError(f"{where}.lora.targets: the backbone has no query or value layers; name others ({known})")
    chosen: list[str] = []
    for target in wanted:
        found = [n for n in adaptable if n == target or n.endswith("." + target)]
        if not found:
            raise ConfigError(f"{where}.lora.targets: the backbone has no layer {target!r} to adapt; {known}")
        chosen += found
    settings = peft.LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=chosen, bias="none"
    )
    backbone.requires_grad_(False)
    for module in backbone.modules():
        if hasattr(module, "qkv_bias_separate"):  # else timm reads the weight of qkv, and passes by its adapter
            module.qkv_bias_separate = True  # type: ignore[assignment]
    try:
        peft.inject_adapter_in_model(settings, backbone)
    except ValueError as error:  # for example, the rank must be divisible by the groups of a grouped convolution
        raise ConfigError(
            f"{where}.lora: peft cannot adapt {', '.join(wanted)} with rank {lora.rank}: {error}"
        ) from error


def check_adapters(backbone: nn.Module, run: Callable[[], Tensor], where: str) -> None:
    """Check that the output of a backbone depends on each of its trainable adapters.

    Some architectures read the weights of a layer instead of calling it, and its adapter would learn nothing.

    Args:
        backbone: a backbone with adapters.
        run: runs it on an example and returns all of its output that the encoder reads.
        where: config path of the encoder, for messages.

    Raises:
        ConfigError: an adapter has no effect.
    """
    adapters = {name: p for name, p in backbone.named_parameters() if ".lora_" in name and p.requires_grad}
    training = backbone.training
    backbone.eval()
    with torch.enable_grad():
        out = run().sum()
    found = [None] * len(adapters)
    if out.requires_grad:
        found = torch.autograd.grad(out, list(adapters.values()), allow_unused=True)  # type: ignore[assignment]
    backbone.train(training)
    idle = sorted({n.partition(".lora_")[0] for n, gradient in zip(adapters, found, strict=True) if gradient is None})
    if idle:
        raise ConfigError(
            f"{where}.lora.targets: adapters would learn nothing in {len(idle)} layers, such as {idle[0]!r}, because "
            "the backbone does not call them; name other layers"
        )
