"""timm backbones: creation, validation, rebuilding, and the properties that the face encoder needs."""

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
from multiemo.encoders.face.fused_blocks import fuse_layers
from multiemo.errors import CheckpointError, ConfigError, first_line
from multiemo.files import parse_json, write_atomically
from multiemo.types import FaceSpec

#: ``backbone: default`` is this timm model with these options, chosen on 48-64 px faces, trained from scratch.
DEFAULT_BACKBONE = "resnet10t"
DEFAULT_OPTIONS: Mapping[str, Any] = {"channels": (32, 64, 128, 256), "stem_width": 8, "zero_init_last": False}
DEFAULT_SIZE = 64
#: Layers that keep running statistics of their inputs.
NORMS = (nn.modules.batchnorm._BatchNorm,)

_WHERE = "encoders.face"
_ASSETS = "backbone.json"
#: Arguments of ``timm.create_model`` that the encoder sets itself. Some would read pickled weights.
_OWN_OPTIONS = {
    "num_classes",
    "pretrained",
    "checkpoint_path",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
    "features_only",
}


class BackboneFacts(TypedDict):
    """What is needed to rebuild a backbone: ``backbone.json`` of a model folder.

    Args:
        architecture: name of the architecture in timm.
        options: keyword arguments of ``timm.create_model``.
        size: side of a crop, pixels.
        mean: mean of each colour, ``[3]``, 0..1.
        std: standard deviation of each colour, ``[3]``, 0..1.
    """

    architecture: str
    options: dict[str, Any]
    size: int
    mean: list[float]
    std: list[float]


def create_backbone(
    name: str, options: Mapping[str, Any] | None, pretrained: bool, checkpoint: Path | None, size: int | None
) -> tuple[nn.Module, BackboneFacts]:
    """Create the configured backbone and the facts that rebuild it.

    Args:
        name: ``backbone`` of the face encoder.
        options: ``backbone_options`` of the face encoder.
        pretrained: whether to load timm's published weights.
        checkpoint: local ``.safetensors`` file with weights, instead of ``pretrained``.
        size: side of a crop, pixels; ``None`` uses the default of the backbone.

    Raises:
        ConfigError: the model is unknown, an option is invalid, or the weights are unavailable or of another model.
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
            f"{_WHERE}.backbone_options.{own[0]}: the encoder sets this option; remove it "
            "(weights come from pretrained or checkpoint)"
        )
    if pretrained and checkpoint is not None:
        raise ConfigError(f"{_WHERE}.checkpoint: {checkpoint} and pretrained: true exclude each other; remove one")
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
    """Call ``timm.create_model`` without a classifier, and turn its errors into messages for the user."""
    scheme, _, folder = name.partition(":")
    if scheme == "local-dir" and weights.get("pretrained") and not (Path(folder) / "model.safetensors").is_file():
        raise ConfigError(f"{_WHERE}.backbone: {folder} holds no model.safetensors (pickled weights are not read)")
    if ":" not in name and not timm.is_model(name):
        close = difflib.get_close_matches(name.split(".")[0], timm.list_models(), n=4)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise ConfigError(f"{_WHERE}.backbone: timm has no model {name!r}{hint} (timm.list_models() lists them)")
    try:
        model: nn.Module = timm.create_model(name, num_classes=0, **weights, **options)
    except Exception as error:  # the hub client and timm's model files raise many kinds of errors
        reason = first_line(error)
        if weights.get("pretrained"):
            raise ConfigError(
                f"{_WHERE}.backbone: no weights for {name!r} ({reason}); check the name and the connection, "
                f"or give {_WHERE}.checkpoint a local .safetensors file, or set pretrained: false"
            ) from error
        key, value = ("backbone", name) if folder else ("backbone_options", dict(options))
        raise ConfigError(f"{_WHERE}.{key}: timm cannot build {name!r} from {value!r}: {reason}") from error
    fuse_layers(model)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _check_file(path: Path, name: str, options: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another backbone, which would otherwise be loaded partially without an error."""
    where = f"{_WHERE}.checkpoint"
    if path.suffix != ".safetensors":
        raise ConfigError(f"{where}: {path} is not a .safetensors file; convert it (pickled weights are never loaded)")
    try:
        with safe_open(path, framework="pt") as file:
            stored = set(file.keys())
    except (OSError, SafetensorError) as error:
        raise ConfigError(f"{where}: cannot read {path}: {error}") from error
    missing = [key for key in _instantiate(name, options).state_dict() if key not in stored]
    if missing:
        raise ConfigError(
            f"{where}: {path} is not a checkpoint of {name!r}: it lacks {len(missing)} tensors, such as {missing[0]!r}"
        )


def save_facts(facts: BackboneFacts, folder: Path) -> None:
    """Write the facts of :func:`create_backbone` to a folder, for :func:`rebuild_backbone`."""
    write_atomically(folder / _ASSETS, json.dumps(facts, indent=2) + "\n")


def rebuild_backbone(folder: Path) -> tuple[nn.Module, BackboneFacts]:
    """Rebuild a backbone, without its weights, from a folder written by :func:`save_facts`. Nothing is downloaded.

    Raises:
        CheckpointError: the folder lacks ``backbone.json``.
    """
    file = folder / _ASSETS
    if not file.is_file():
        raise CheckpointError(f"{file} is missing; the checkpoint is incomplete, save it again")
    facts: BackboneFacts = parse_json(file.read_text(encoding="utf-8"))
    return _instantiate(facts["architecture"], facts["options"]), facts


def embedding_width(backbone: nn.Module, facts: BackboneFacts) -> int:
    """W, the width of the backbone's output, measured on one picture: timm has no attribute that is always right.

    Raises:
        ConfigError: the backbone does not accept crops of this size, or does not return one vector for each.
    """
    shape = _probe(backbone, backbone, facts).shape
    if len(shape) != 2:
        raise ConfigError(
            f"{_WHERE}.backbone: {facts['architecture']!r} returns shape {tuple(shape)} for a picture, not one vector"
        )
    return int(shape[1])


def map_shape(backbone: nn.Module, facts: BackboneFacts) -> tuple[int, int]:
    """C and h of the last feature map, ``[C, h, h]``.

    Raises:
        ConfigError: the backbone has no feature map.
    """
    part: Callable[[Tensor], Any] | None = getattr(backbone, "forward_features", None)
    features = None if part is None else _probe(backbone, part, facts)
    places = as_map(features, backbone) if isinstance(features, Tensor) else None
    if places is None:
        raise ConfigError(
            f"{_WHERE}.backbone: {facts['architecture']!r} has no spatial feature map, which objective "
            "'masked' requires; choose another backbone"
        )
    return places.shape[1], places.shape[2]


def as_map(features: Tensor, backbone: nn.Module) -> Tensor | None:
    """A backbone's features of square pictures as ``[N, C, h, h]``; ``None`` if they are not spatial.

    Accepts maps ``[N, C, h, h]`` and ``[N, h, h, C]``, and tokens ``[N, L, C]``: some non-spatial ones (class and
    register tokens) followed by h * h spatial ones.
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
    """Output of the backbone or a part of it for one blank picture."""
    size = facts["size"]
    device = next(backbone.parameters()).device
    backbone.eval()
    try:
        with torch.no_grad():
            made = part(torch.zeros(1, 3, size, size, device=device))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ConfigError(
            f"{_WHERE}.size: {facts['architecture']!r} does not accept {size} px crops ({first_line(error)}); "
            f"for a vision transformer set backbone_options: {{img_size: {size}}}"
        ) from error
    backbone.train()
    return made


def backbone_groups(encoder: nn.Module, backbone: nn.Module) -> list[list[nn.Parameter]]:
    """Group parameters by depth in timm's order; the last group holds those outside the backbone.

    Models for which timm defines no order are grouped by their structure.
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
    """From now on, recompute the blocks' activations in the backward pass (Chen et al. 2016).

    Args:
        backbone: a timm model.
        name: name of its architecture, for messages.

    Raises:
        ConfigError: the architecture does not support it.
    """
    try:
        backbone.set_grad_checkpointing(True)  # type: ignore[operator]
    except (AttributeError, AssertionError):  # timm asserts if the model does not support it
        raise ConfigError(
            f"{_WHERE}.backbone: timm's {name!r} cannot recompute its activations; train it without recomputation, "
            "or choose another backbone"
        ) from None
    for module in backbone.modules():
        known = any(isinstance(hook, _CountOnce) for hook in module._forward_pre_hooks.values())
        if isinstance(module, NORMS) and not known:
            module.register_forward_pre_hook(_CountOnce(module.momentum))


class _CountOnce:
    """Keeps recomputed batches out of the running statistics of a batch normalisation.

    timm recomputes whole blocks, so their batch normalisation would otherwise count every batch twice.
    """

    def __init__(self, momentum: float | None) -> None:
        self.momentum = momentum

    def __call__(self, module: Any, _: Any) -> None:
        # Torch's own checkpointing detects a backward pass in the same way. A compiled step recomputes results only.
        again = not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
        module.momentum = 0.0 if again else self.momentum
        if again and module.training and module.num_batches_tracked is not None:
            module.num_batches_tracked.sub_(1)
