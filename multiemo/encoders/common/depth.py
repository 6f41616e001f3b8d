"""The parameters of an encoder by how deep in its backbone they stand."""

from __future__ import annotations

from torch import nn


def depth_groups(encoder: nn.Module, backbone: nn.Module) -> list[list[nn.Parameter]]:
    """Parameters by depth, for layer-wise learning rates and gradual unfreezing.

    The layers of a backbone are its :class:`torch.nn.ModuleList` of most parameters: in every model of the transformers
    library that is the stack of its blocks. What a model registers before them is read before them.

    Args:
        encoder: the whole encoder.
        backbone: the part of it that has layers.

    Returns:
        Layers + 2 groups; every parameter of the encoder is in exactly one. First what comes before the layers, with
        all embedding tables; then one group a layer; last what follows the layers in the backbone and all that is not
        the backbone. The first and the last may be empty. A backbone without layers is one group, before the last.

    Example:
        >>> net = nn.Sequential(nn.Embedding(9, 4), nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)]), nn.LayerNorm(4))
        >>> [len(group) for group in depth_groups(net, net)]
        [1, 2, 2, 2]
    """
    layers = _layers(backbone)
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


def _layers(backbone: nn.Module) -> list[nn.Module]:
    """The entries of the list that holds the most parameters; of nested ones that hold the same, the outermost."""

    def size(stack: nn.Module) -> int:
        return sum(p.numel() for p in stack.parameters())

    lists = [m for m in backbone.modules() if isinstance(m, nn.ModuleList)]
    return list(max(lists, key=size, default=()))
