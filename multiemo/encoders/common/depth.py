"""Grouping of an encoder's parameters by their depth in the backbone."""

from __future__ import annotations

from torch import nn


def depth_groups(encoder: nn.Module, backbone: nn.Module) -> list[list[nn.Parameter]]:
    """Group parameters by depth, for layer-wise learning rates and gradual unfreezing.

    The layers of a backbone are the :class:`torch.nn.ModuleList` with the most parameters. In every model of the
    transformers library that is the stack of blocks. Modules registered before the list are assumed to run before it.

    Args:
        encoder: the complete encoder.
        backbone: the part of it that has layers.

    Returns:
        (number of layers + 2) groups. Every parameter of the encoder is in exactly one. The first group holds what
        precedes the layers, and all embedding tables. One group per layer follows. The last group holds what follows
        the layers in the backbone, and everything outside the backbone. The first and the last may be empty. A backbone
        without layers is one group, followed by the last.

    Example:
        >>> net = nn.Sequential(nn.Embedding(9, 4), nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)]), nn.LayerNorm(4))
        >>> [len(group) for group in depth_groups(net, net)]
        [1, 2, 2, 2]
    """
    layers = layer_stack(backbone)
    depth: dict[nn.Parameter, int] = {}
    for index, layer in enumerate(layers, start=1):
        for parameter in layer.parameters():
            depth.setdefault(parameter, index)
    last = len(layers) + 1
    tables = {p for m in backbone.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    passed = False
    for parameter in backbone.parameters():
        passed |= parameter in depth
        depth.setdefault(parameter, last if passed and parameter not in tables else 0)
    groups: list[list[nn.Parameter]] = [[] for _ in range(last + 1)]
    for parameter in encoder.parameters():
        groups[depth.get(parameter, last)].append(parameter)
    return groups


def layer_stack(backbone: nn.Module) -> nn.ModuleList:
    """The list of modules with the most parameters: the layers. Of nested lists with as many, the outermost is used."""

    def size(stack: nn.Module) -> int:
        return sum(p.numel() for p in stack.parameters())

    lists = [m for m in backbone.modules() if isinstance(m, nn.ModuleList)]
    return max(lists, key=size, default=nn.ModuleList())
