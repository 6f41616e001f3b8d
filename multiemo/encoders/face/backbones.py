"""Backbones of timm: built, checked, rebuilt, and what the face encoder must know of one."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict

import timm
import torch
from safetensors import SafetensorError, safe_open
from timm.data import resolve_model_data_config
from timm.models import group_parameters
from torch import Tensor, nn

from multiemo.encoders.common.depth import depth_groups
from multiemo.errors import CheckpointError, ConfigError, first_line
from multiemo.files import write_atomically
from multiemo.types import FaceSpec

#: ``backbone: default`` is this timm model with these options: measured on 48-64 px faces, trained from scratch.
DEFAULT_BACKBONE = "resnet10t"
DEFAULT_OPTIONS: Mapping[str, Any] = {"channels": (32, 64, 128, 256), "stem_width": 8, "zero_init_last": False}
DEFAULT_SIZE = 64
#: Layers that keep running statistics of what they see.
NORMS = (nn.modules.batchnorm._BatchNorm,)

_WHERE = "encoders.face"
_ASSETS = "backbone.json"
#: Arguments of ``timm.create_model`` that other options stand for; among them those that read pickled weights.
_OWN_OPTIONS = {
    "num_classes",
    "pretrained",
    "checkpoint_path",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "features_only",
}


class BackboneFacts(TypedDict):
    """What rebuilds a backbone: ``backbone.json`` of a model folder.

    Args:
        architecture: its name in timm.
        options: of ``timm.create_model``.
        size: side of a crop, pixels.
        mean, std: of the colours, each ``[3]``, 0..1.
    """

    architecture: str
    options: dict[str, Any]
    size: int
    mean: list[float]
    std: list[float]


def create_backbone(
    name: str, options: Mapping[str, Any] | None, pretrained: bool, checkpoint: Path | None, size: int | None
) -> tuple[nn.Module, BackboneFacts]:
    """The backbone as the config asks for it, and the facts that rebuild it.

    Args:
        name, options, pretrained, checkpoint, size: ``backbone``, ``backbone_options`` and so on of the face encoder.

    Raises:
        ConfigError: no such model, options it does not take, or weights that cannot be had or are of another model.
    """
    if name == "default":
        name, options = DEFAULT_BACKBONE, {**DEFAULT_OPTIONS, **(options or {})}
        if pretrained:
            raise ConfigError(
                f"{_WHERE}.pretrained: the default backbone has no published weights; "
                f"name a timm model as {_WHERE}.backbone"
            )
    options = dict(options or {})
    own = sorted(_OWN_OPTIONS & options.keys())
    if own:
        raise ConfigError(
            f"{_WHERE}.backbone_options.{own[0]}: the encoder sets it; drop it "
            "(weights come from pretrained or checkpoint)"
        )
    if pretrained and checkpoint is not None:
        raise ConfigError(f"{_WHERE}.checkpoint: {checkpoint} and pretrained: true exclude each other; drop one")
    if checkpoint is not None:
        _check_file(checkpoint, name, options)
        backbone = _instantiate(name, options, pretrained=True, pretrained_cfg_overlay={"file": str(checkpoint)})
    else:
        backbone = _instantiate(name, options, pretrained=pretrained)

    plain = FaceSpec()
    mean, std, own_size = plain.mean, plain.std, DEFAULT_SIZE
    if pretrained or checkpoint is not None:
        data = resolve_model_data_config(backbone)
        mean, std, own_size = data["mean"], data["std"], data["input_size"][-1]
    hub_options = {k: v for k, v in getattr(backbone, "_model_args", {}).items() if k != "num_classes"}
    facts: BackboneFacts = {
        "architecture": str(getattr(backbone, "pretrained_cfg")["architecture"]),  # noqa: B009, timm sets it
        "options": {**hub_options, **options},
        "size": size or own_size,
        "mean": list(mean),
        "std": list(std),
    }
    return backbone, facts


def _instantiate(name: str, options: Mapping[str, Any], **weights: Any) -> nn.Module:
    """``timm.create_model`` without a classifier, and with messages a user can act on."""
    scheme, _, folder = name.partition(":")
    if scheme == "local-dir" and weights.get("pretrained") and not (Path(folder) / "model.safetensors").is_file():
        raise ConfigError(f"{_WHERE}.backbone: {folder} holds no model.safetensors (pickled weights are not read)")
    if ":" not in name and not timm.is_model(name):
        close = difflib.get_close_matches(name.split(".")[0], timm.list_models(), n=4)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise ConfigError(f"{_WHERE}.backbone: timm has no model {name!r}{hint} (timm.list_models() has them all)")
    try:
        model: nn.Module = timm.create_model(name, num_classes=0, **weights, **options)
    except Exception as error:  # the hub client and some 80 model files raise what they like
        reason = first_line(error)
        if weights.get("pretrained"):
            raise ConfigError(
                f"{_WHERE}.backbone: no weights for {name!r} ({reason}); check the name and the connection, "
                f"or give {_WHERE}.checkpoint a local .safetensors file, or set pretrained: false"
            ) from error
        key, given = ("backbone", name) if folder else ("backbone_options", dict(options))
        raise ConfigError(f"{_WHERE}.{key}: timm cannot build {name!r} from {given!r}: {reason}") from error
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _check_file(path: Path, name: str, options: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that is not one of this backbone, before anything is lost silently in a partial load."""
    where = f"{_WHERE}.checkpoint"
    if path.suffix != ".safetensors":
        raise ConfigError(f"{where}: {path} is not a .safetensors file; convert it (pickled weights are never loaded)")
    try:
        with safe_open(path, framework="pt") as file:
            stored = set(file.keys())
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{where}: cannot read {path}: {error}") from error
    lacking = [key for key in _instantiate(name, options).state_dict() if key not in stored]
    if lacking:
        raise ConfigError(
            f"{where}: {path} is no checkpoint of {name!r}: it lacks {len(lacking)} tensors, first {lacking[0]!r}"
        )


def save_facts(facts: BackboneFacts, folder: Path) -> None:
    """Write what :func:`create_backbone` said, for :func:`rebuild_backbone`."""
    write_atomically(folder / _ASSETS, json.dumps(facts, indent=2) + "\n")


def rebuild_backbone(folder: Path) -> tuple[nn.Module, BackboneFacts]:
    """The backbone without its weights, and its facts, from a folder of :func:`save_facts`; nothing is downloaded.

    Raises:
        CheckpointError: the folder lacks its file.
    """
    file = folder / _ASSETS
    if not file.is_file():
        raise CheckpointError(f"{file} is missing; the checkpoint is incomplete, save it again")
    facts: BackboneFacts = json.loads(file.read_text(encoding="utf-8"))
    return _instantiate(facts["architecture"], facts["options"]), facts


def embedding_width(backbone: nn.Module, facts: BackboneFacts) -> int:
    """W, measured on one grey picture: timm has no attribute that is right for every family.

    Raises:
        ConfigError: the backbone does not take crops of this size, or does not make one vector of them.
    """
    shape = _probe(backbone, backbone, facts).shape
    if len(shape) != 2:
        raise ConfigError(
            f"{_WHERE}.backbone: {facts['architecture']!r} gives {tuple(shape)} a picture, not one vector"
        )
    return int(shape[1])


def map_shape(backbone: nn.Module, facts: BackboneFacts) -> tuple[int, int]:
    """C and h of the last feature map, ``[C, h, h]``.

    Raises:
        ConfigError: the backbone has none.
    """
    part: Callable[[Tensor], Any] | None = getattr(backbone, "forward_features", None)
    features = None if part is None else _probe(backbone, part, facts)
    places = as_map(features, backbone) if isinstance(features, Tensor) else None
    if places is None:
        raise ConfigError(
            f"{_WHERE}.backbone: {facts['architecture']!r} gives no map of places in a picture, which objective "
            "'masked' needs; name another backbone"
        )
    return places.shape[1], places.shape[2]


def as_map(features: Tensor, backbone: nn.Module) -> Tensor | None:
    """A backbone's features of square pictures as ``[N, C, h, h]``; ``None`` where they have no places.

    Taken are maps ``[N, C, h, h]`` and ``[N, h, h, C]``, and tokens ``[N, L, C]`` of h * h places after some that stand
    for no place (class and register tokens).
    """
    if features.ndim == 4 and features.shape[2] == features.shape[3]:
        return features
    if features.ndim == 4 and features.shape[1] == features.shape[2]:
        return features.permute(0, 3, 1, 2)
    if features.ndim != 3:
        return None
    length = features.shape[1]
    prefix = getattr(backbone, "num_prefix_tokens", None)
    prefix = length - math.isqrt(length) ** 2 if prefix is None else prefix
    cells = math.isqrt(length - prefix)
    if cells == 0 or cells**2 != length - prefix:
        return None
    return features[:, prefix:].transpose(1, 2).reshape(len(features), -1, cells, cells)


def _probe(backbone: nn.Module, part: Callable[[Tensor], Any], facts: BackboneFacts) -> Any:
    """What a part of the backbone makes of one grey picture."""
    size = facts["size"]
    place = next(backbone.parameters()).device
    backbone.eval()
    try:
        with torch.no_grad():
            made = part(torch.zeros(1, 3, size, size, device=place))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ConfigError(
            f"{_WHERE}.size: {facts['architecture']!r} does not take {size} px crops ({first_line(error)}); "
            f"for a vision transformer set backbone_options: {{img_size: {size}}}"
        ) from error
    backbone.train()
    return made


def backbone_groups(encoder: nn.Module, backbone: nn.Module) -> list[list[nn.Parameter]]:
    """Parameters by depth as timm orders them, then those of the encoder that are not the backbone's.

    Models for which timm has no order are taken by their structure.
    """
    matcher = getattr(backbone, "group_matcher", None)
    if matcher is None:
        return depth_groups(encoder, backbone)
    ordered: dict[int, list[nn.Parameter]] = group_parameters(backbone, matcher(coarse=False), return_values=True)
    depth = {parameter: d for d, members in ordered.items() for parameter in members}
    groups: list[list[nn.Parameter]] = [[] for _ in range(len(ordered) + 1)]
    for parameter in encoder.parameters():
        groups[depth.get(parameter, len(ordered))].append(parameter)
    return groups


def recompute_blocks(backbone: nn.Module, name: str) -> None:
    """From now on compute the blocks' activations again in the backward pass (Chen et al. 2016).

    Args:
        backbone: a timm model.
        name: of its architecture, for messages.

    Raises:
        ConfigError: the architecture cannot.
    """
    try:
        backbone.set_grad_checkpointing(True)  # type: ignore[operator]
    except (AttributeError, AssertionError):  # timm says by an assertion that it cannot
        raise ConfigError(
            f"{_WHERE}.backbone: timm's {name!r} cannot recompute its activations; train it without, "
            "or name another backbone"
        ) from None
    for module in backbone.modules():
        known = any(isinstance(hook, _CountOnce) for hook in module._forward_pre_hooks.values())
        if isinstance(module, NORMS) and not known:
            module.register_forward_pre_hook(_CountOnce(module.momentum))


class _CountOnce:
    """Keeps the second look of a batch normalisation at the same pictures out of its running statistics.

    timm recomputes whole blocks, and its batch normalisation would count every batch twice.
    """

    def __init__(self, momentum: float | None) -> None:
        self.momentum = momentum

    def __call__(self, module: Any, _: Any) -> None:
        # Torch's own checkpoints ask so, too, whether a backward pass is on. A compiled step recomputes results only.
        again = not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
        module.momentum = 0.0 if again else self.momentum
        if again and module.training and module.num_batches_tracked is not None:
            module.num_batches_tracked.sub_(1)
