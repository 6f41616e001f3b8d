"""Facial expression: any timm backbone on every face crop, pooled over the frames of a clip."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import timm
import torch
from safetensors import SafetensorError, safe_open
from timm.data import resolve_model_data_config
from torch import Tensor, nn

from multiemo.encoders.base import AttentiveStatistics, Encoder, masked_mean
from multiemo.encoders.face_augment import FaceAugment
from multiemo.errors import CheckpointError, ConfigError
from multiemo.registry import encoders
from multiemo.types import FaceSpec

#: ``backbone: default`` is this timm model with these options: measured on 48-64 px faces, trained from scratch.
DEFAULT_BACKBONE = "resnet10t"
DEFAULT_OPTIONS: Mapping[str, Any] = {"channels": (32, 64, 128, 256), "stem_width": 8, "zero_init_last": False}
DEFAULT_SIZE = 64

_ASSETS = "backbone.json"
_NORMS = (nn.modules.batchnorm._BatchNorm,)


@encoders.register("face_timm", modality="face")
class TimmFaceEncoder(Encoder):
    """A timm image backbone on each real frame, then pooling over time.

    Padding frames never reach the backbone: they cost nothing and cannot move its batch statistics.

    Args:
        backbone: ``default`` (a narrow ResNet for small faces, good from scratch), any name of ``timm.list_models()``,
            or timm's ``hf-hub:org/name`` and ``local-dir:folder``.
        backbone_options: keyword arguments for ``timm.create_model`` (``{img_size: 64}`` lets a ViT take small crops).
        pretrained: load timm's published weights of ``backbone``; its own size, mean and std are then used.
        checkpoint: a local ``.safetensors`` file with timm weights of ``backbone``, instead of ``pretrained``.
        size: side of the crops, pixels; by default 64, or what the pretrained weights were made for.
        frames: most crops of one clip.
        fps: wanted frames a second before ``frames`` caps them.
        detector: face detector of the preprocessor; ``none`` where the pictures are face crops already.
        detector_size: longer side of the picture handed to the detector, pixels.
        dim: D.
        temporal: ``mean``, ``attention`` (attentive mean and deviation) or ``transformer`` (one layer) over frames.
        dropout: share of embedding values dropped in training.
        freeze: ``nothing``; ``norm`` keeps the running statistics of batch normalisation, for small batches;
            ``backbone`` trains only pooling and projection.
        flip, rotate, zoom, shift, light, grey, erase: see :class:`FaceAugment`.
        assets: folder written by :meth:`save_assets`; the backbone is rebuilt from it and nothing is downloaded.

    Raises:
        ConfigError: the backbone is unknown, does not take these options or this size, or its weights cannot be had;
            or a count is below one.
        CheckpointError: ``assets`` lacks its file.
    """

    modality: Literal["face"] = "face"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        backbone: str = "default",
        backbone_options: dict[str, Any] | None = None,
        pretrained: bool = False,
        checkpoint: Path | None = None,
        size: int | None = None,
        frames: int = 8,
        fps: float = 4.0,
        detector: Literal["auto", "centerface", "haar", "yunet", "none"] = "auto",
        detector_size: int = 320,
        dim: int = 128,
        temporal: Literal["mean", "attention", "transformer"] = "mean",
        dropout: float = 0.2,
        freeze: Literal["nothing", "norm", "backbone"] = "nothing",
        flip: float = 0.5,
        rotate: float = 15.0,
        zoom: float = 0.15,
        shift: float = 0.08,
        light: float = 0.25,
        grey: float = 0.1,
        erase: float = 0.25,
        assets: Path | None = None,
    ) -> None:
        super().__init__()
        for key, value in (("size", size), ("frames", frames), ("dim", dim)):
            if value is not None and value < 1:
                raise ConfigError(f"encoders.face.{key}: must be at least 1, got {value}")
        known = _read_assets(assets)
        if known is None:
            self.backbone, facts = _create(backbone, backbone_options, pretrained, checkpoint, size)
        else:
            self.backbone = _instantiate(known["architecture"], known["options"])
            facts = known
        self._facts = facts
        self.input_spec = FaceSpec(
            size=facts["size"],
            frames=frames,
            fps=fps,
            detector=detector,
            detector_size=detector_size,
            mean=tuple(facts["mean"]),
            std=tuple(facts["std"]),
        )
        self.register_buffer("mean", torch.tensor(self.input_spec.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(self.input_spec.std).view(1, 3, 1, 1), persistent=False)
        self.augment = FaceAugment(flip, rotate, zoom, shift, light, grey, erase)
        self.freeze = freeze
        if freeze == "backbone":
            self.backbone.requires_grad_(False)

        width = _width(self.backbone, facts)
        self.temporal = temporal
        if temporal == "attention":
            self.pool = AttentiveStatistics(width)
            width *= 2
        elif temporal == "transformer":
            heads = max(h for h in (1, 2, 4, 8) if width % h == 0)
            self.position = nn.Parameter(torch.randn(frames, width) * 0.02)
            self.mix = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout, batch_first=True, norm_first=True)
        self.project = nn.Sequential(nn.Linear(width, dim), nn.LayerNorm(dim), nn.GELU(), nn.Dropout(dropout))
        self.out_dim = dim

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Embed face crops.

        Args:
            x: ``[B, F, 3, S, S]`` uint8 RGB.
            mask: ``[B, F]`` bool; every row has at least one real frame.

        Returns:
            ``[B, D]``.
        """
        clips, frames = mask.shape
        # A row has at least one real frame, so stills need no indexing by mask (which waits for the device).
        stills = frames == 1
        images = (x[:, 0] if stills else x[mask]).to(self.mean.dtype) / 255
        if self.training:
            owner = torch.arange(clips, device=x.device)
            owner = owner if stills else owner.unsqueeze(1).expand(clips, frames)[mask]
            images = self.augment(images, owner, clips)
        images = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        values = self._embed(images)
        if stills:
            sequence = values.unsqueeze(1)
        else:
            sequence = values.new_zeros(clips, frames, values.shape[1])
            sequence[mask] = values
        if self.temporal == "attention":
            return self.project(self.pool(sequence, mask))  # type: ignore[no-any-return]
        if self.temporal == "transformer":
            sequence = sequence + self.position[:frames]
            sequence = self.mix(sequence, src_key_padding_mask=~mask)
        return self.project(masked_mean(sequence, mask))  # type: ignore[no-any-return]

    def _embed(self, images: Tensor) -> Tensor:
        """``[N, 3, S, S]`` normalised to ``[N, W]``."""
        if self.freeze == "backbone":
            with torch.no_grad():
                return self.backbone(images)  # type: ignore[no-any-return]
        # One picture has no batch statistics where the last feature map is a single pixel.
        alone = self.training and len(images) == 1
        if alone:
            self._hold_norms()
        values: Tensor = self.backbone(images)
        if alone:
            self.train()
        return values

    def train(self, mode: bool = True) -> TimmFaceEncoder:
        """As ``nn.Module.train``, but frozen parts stay in evaluation mode."""
        super().train(mode)
        if self.freeze == "backbone":
            self.backbone.eval()
        elif self.freeze == "norm":
            self._hold_norms()
        return self

    def _hold_norms(self) -> None:
        for module in self.backbone.modules():
            if isinstance(module, _NORMS):
                module.eval()

    def save_assets(self, folder: Path) -> None:
        """Write the backbone's architecture and input statistics, so that it can be rebuilt without timm's hub."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _ASSETS).write_text(json.dumps(self._facts, indent=2) + "\n", encoding="utf-8")


def _create(
    name: str, options: dict[str, Any] | None, pretrained: bool, checkpoint: Path | None, size: int | None
) -> tuple[nn.Module, dict[str, Any]]:
    """The backbone as the config asks for it, and the facts that rebuild it."""
    if name == "default":
        name, options = DEFAULT_BACKBONE, {**DEFAULT_OPTIONS, **(options or {})}
        if pretrained:
            raise ConfigError(
                "encoders.face.pretrained: the default backbone has no published weights; "
                "name a timm model as encoders.face.backbone"
            )
    options = dict(options or {})
    if pretrained and checkpoint is not None:
        raise ConfigError(f"encoders.face.checkpoint: {checkpoint} and pretrained: true exclude each other; drop one")
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
    facts = {
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
        raise ConfigError(f"encoders.face.backbone: {folder} holds no model.safetensors (pickled weights are not read)")
    if ":" not in name and not timm.is_model(name):
        close = difflib.get_close_matches(name.split(".")[0], timm.list_models(), n=4)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise ConfigError(f"encoders.face.backbone: timm has no model {name!r}{hint} (timm.list_models() has them all)")
    try:
        model: nn.Module = timm.create_model(name, num_classes=0, **weights, **options)
    except Exception as error:  # the hub client and some 80 model files raise what they like
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        if weights.get("pretrained"):
            raise ConfigError(
                f"encoders.face.backbone: no weights for {name!r} ({reason}); check the name and the connection, "
                "or give encoders.face.checkpoint a local .safetensors file, or set pretrained: false"
            ) from error
        key, given = ("backbone", name) if folder else ("backbone_options", dict(options))
        raise ConfigError(f"encoders.face.{key}: timm cannot build {name!r} from {given!r}: {reason}") from error
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _check_file(path: Path, name: str, options: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that is not one of this backbone, before anything is lost silently in a partial load."""
    where = "encoders.face.checkpoint"
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


def _width(backbone: nn.Module, facts: Mapping[str, Any]) -> int:
    """W, measured on one grey picture: timm has no attribute that is right for every family."""
    size = facts["size"]
    backbone.eval()
    try:
        with torch.no_grad():
            shape = backbone(torch.zeros(1, 3, size, size)).shape
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"encoders.face.size: {facts['architecture']!r} does not take {size} px crops ({reason}); "
            f"for a vision transformer set backbone_options: {{img_size: {size}}}"
        ) from error
    backbone.train()
    if len(shape) != 2:
        raise ConfigError(
            f"encoders.face.backbone: {facts['architecture']!r} gives {tuple(shape)} a picture, not one vector"
        )
    return int(shape[1])


def _read_assets(folder: Path | None) -> dict[str, Any] | None:
    if folder is None:
        return None
    file = folder / _ASSETS
    if not file.is_file():
        raise CheckpointError(f"{file} is missing; the checkpoint is incomplete, save it again")
    facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return facts
