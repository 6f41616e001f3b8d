"""Facial expression: a timm backbone on every face crop, pooled over the frames of a clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from multiemo.encoders.base import AttentiveStatistics, Encoder, masked_mean
from multiemo.encoders.common.half_precision import half_of
from multiemo.encoders.common.lora import Lora, add_lora, check_adapters
from multiemo.encoders.face.augmentation import FaceAugment
from multiemo.encoders.face.backbones import (
    NORMS,
    as_map,
    backbone_groups,
    create_backbone,
    embedding_width,
    map_shape,
    rebuild_backbone,
    recompute_blocks,
    save_facts,
)
from multiemo.encoders.face.masked_patches import MaskedPatches
from multiemo.errors import ConfigError
from multiemo.registry import Positive, Share, Size, encoders
from multiemo.types import FaceSpec


@encoders.register("face_timm", modality="face")
class TimmFaceEncoder(Encoder):
    """Applies a timm image backbone to each frame, then pools over time.

    Padding is filled with copies of the clip's own frames. The shape of a batch is then independent of its contents,
    and the host never waits for the device. Batch statistics come from real faces only; if clips differ in length, the
    frames of shorter clips have a larger weight in them. The copies cost as much as frames and are not pooled.

    Args:
        backbone: ``default`` (a narrow ResNet for small faces, good from scratch), any name of ``timm.list_models()``,
            or timm's ``hf-hub:org/name`` and ``local-dir:folder``.
        backbone_options: keyword arguments for ``timm.create_model`` (``{img_size: 64}`` makes a ViT take small crops).
        pretrained: load timm's published weights of ``backbone``, and use their size, mean and standard deviation.
        checkpoint: a local ``.safetensors`` file with timm weights of ``backbone``, instead of ``pretrained``.
        size: side of the crops, pixels; by default 64, or the size of the pretrained weights.
        frames: largest number of crops per clip.
        fps: frames per second to sample, before ``frames`` limits them.
        detector: face detector of the preprocessor: ``auto`` (the best one installed), ``centerface``, ``haar``, or the
            path of a YuNet ``.onnx`` file.
        detector_size: longer side of the picture passed to the detector, pixels.
        dim: D, the width of the embedding.
        temporal: pooling over frames: ``mean``, ``attention`` (attentive mean and deviation) or ``transformer`` (one
            layer).
        dropout: share of embedding values dropped in training.
        freeze: ``nothing``; ``norm`` keeps the running statistics of batch normalisation, for small batches;
            ``backbone`` trains only pooling and projection.
        lora: train low-rank adapters in the backbone instead of its own weights. A vision transformer needs no targets;
            a convolutional network does (``{targets: [conv2]}``).
        flip: probability of mirroring a clip left and right.
        rotate: largest in-plane rotation in either direction, degrees.
        zoom: largest relative change of scale in either direction.
        shift: largest shift along each axis, as a share of the side.
        light: largest relative change of contrast, and largest change of brightness on the 0..1 scale.
        grey: probability of removing the colour.
        erase: probability of hiding a rectangle of 2% to 20% of the crop.
        mirror: outside training, read each crop mirrored as well and average the backbone's two outputs. More accurate
            for a backbone trained from scratch on few faces; the backbone then costs twice as much.
        assets: folder written by :meth:`save_assets`; the backbone is rebuilt from it and nothing is downloaded.

    Raises:
        ConfigError: the backbone is unknown, does not accept these options or this size, or its weights are
            unavailable; a count is below one, a share not within 0 and 1; or both ``lora`` and ``freeze: backbone``
            are given.
        CheckpointError: ``assets`` lacks ``backbone.json``.
    """

    modality: Literal["face"] = "face"
    mean: Tensor
    std: Tensor
    offset: Tensor
    gain: Tensor
    gain_of_bytes: Tensor

    def __init__(
        self,
        *,
        backbone: str = "default",
        backbone_options: dict[str, Any] | None = None,
        pretrained: bool = False,
        checkpoint: Path | None = None,
        size: int | None = None,
        frames: Size = 8,
        fps: Positive = 4.0,
        detector: str = "auto",
        detector_size: Size = 320,
        dim: Size = 128,
        temporal: Literal["mean", "attention", "transformer"] = "mean",
        dropout: Share = 0.2,
        freeze: Literal["nothing", "norm", "backbone"] = "nothing",
        lora: Lora | None = None,
        flip: Share = 0.5,
        rotate: float = 15.0,
        zoom: Share = 0.15,
        shift: Share = 0.08,
        light: Share = 0.25,
        grey: Share = 0.1,
        erase: Share = 0.25,
        mirror: bool = False,
        assets: Path | None = None,
    ) -> None:
        super().__init__()
        for key, value in (("size", size), ("frames", frames), ("dim", dim)):
            if value is not None and value < 1:
                raise ConfigError(f"encoders.face.{key}: must be at least 1, got {value}")
        if not 0 <= dropout <= 1:
            raise ConfigError(f"encoders.face.dropout: must lie within 0 and 1, got {dropout}")
        if freeze == "backbone" and lora is not None:
            raise ConfigError(
                "encoders.face.lora and encoders.face.freeze: backbone exclude each other, "
                "because adapters train inside the backbone; remove one"
            )
        if assets is None:
            self.backbone, facts = create_backbone(backbone, backbone_options, pretrained, checkpoint, size)
        else:
            self.backbone, facts = rebuild_backbone(assets)
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
        # The same normalisation as one multiplication and addition, for GPUs.
        self.register_buffer("offset", -self.mean / self.std, persistent=False)
        self.register_buffer("gain", 1 / self.std, persistent=False)
        self.register_buffer("gain_of_bytes", 1 / (255 * self.std), persistent=False)
        self.augment = FaceAugment(flip, rotate, zoom, shift, light, grey, erase)
        self.mirror = mirror
        self.freeze = freeze
        width = embedding_width(self.backbone, facts)
        if freeze == "backbone":
            self.backbone.requires_grad_(False)
        if lora is not None:
            add_lora(self.backbone, lora, "encoders.face")
            if assets is None:
                check_adapters(self.backbone, self._example, "encoders.face")
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
        if pretrained or checkpoint is not None:
            self.note_pretrained("backbone")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Embed face crops.

        Args:
            x: ``[B, F, 3, S, S]`` uint8 RGB.
            mask: ``[B, F]`` bool; every row has at least one real frame.

        Returns:
            ``[B, D]``.
        """
        pictures = self.pictures(x, mask)
        vectors = self._run(self.backbone, pictures)
        if self.mirror and not self.training:
            vectors = (vectors + self._run(self.backbone, pictures.flip(-1))) / 2
        sequence = vectors.view(*mask.shape, -1)
        if self.temporal == "attention":
            return self.project(self.pool(sequence, mask))  # type: ignore[no-any-return]
        if self.temporal == "transformer":
            sequence = sequence + self.position[: mask.shape[1]]
            sequence = self.mix(sequence, src_key_padding_mask=~mask)
        return self.project(masked_mean(sequence, mask))  # type: ignore[no-any-return]

    def pictures(self, x: Tensor, mask: Tensor) -> Tensor:
        """The pictures that the backbone reads, ``[B * F, 3, S, S]``: normalised, and augmented in training.

        The n real frames of a clip precede its padding and are repeated in it: frame f is frame f modulo n.

        Args:
            x: ``[B, F, 3, S, S]`` uint8 RGB.
            mask: ``[B, F]`` bool.
        """
        clips, frames = mask.shape
        owner = torch.arange(clips, device=x.device)
        if frames == 1:
            images = x[:, 0]
        else:
            frame = torch.arange(frames, device=x.device) % mask.sum(1, keepdim=True)
            images = x.flatten(0, 1)[(owner.unsqueeze(1) * frames + frame).flatten()]
            owner = owner.repeat_interleave(frames)
        if half_of(images) is not None and not self.training:
            images = images.to(self.mean.dtype, memory_format=torch.channels_last)
            return torch.addcmul(self.offset, images, self.gain_of_bytes)
        images = images.to(self.mean.dtype) / 255
        if self.training:
            images = self.augment(images, owner, clips)
        if half_of(images) is not None:
            images = images.contiguous(memory_format=torch.channels_last)
            return torch.addcmul(self.offset, images, self.gain)
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def feature_map(self, images: Tensor) -> Tensor:
        """The last feature map ``[N, C, h, h]`` for normalised ``[N, 3, S, S]``; see :func:`map_shape`."""
        features = self._run(self.backbone.forward_features, images)  # type: ignore[arg-type]
        return as_map(features, self.backbone)  # type: ignore[return-value]

    def _example(self) -> Tensor:
        """The output of the backbone for one blank picture."""
        vector: Tensor = self.backbone(torch.zeros(1, 3, self._facts["size"], self._facts["size"]))
        return vector

    def _run(self, part: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Run the backbone or a part of it, and keep frozen parts unchanged."""
        if self.freeze == "backbone":
            with torch.no_grad():
                return part(images)
        # With a last feature map of one pixel, a single picture has no batch statistics. Synchronised norms may see
        # pictures of other processes, and all processes must take part in them.
        held = self._hold_norms(synchronised=False) if self.training and len(images) == 1 else []
        values = part(images)
        for norm in held:
            norm.train()
        return values

    def train(self, mode: bool = True) -> TimmFaceEncoder:
        """As ``nn.Module.train``, but frozen parts stay in evaluation mode."""
        super().train(mode)
        if self.freeze == "backbone":
            self.backbone.eval()
        elif self.freeze == "norm":
            self._hold_norms()
        return self

    def _hold_norms(self, *, synchronised: bool = True) -> list[nn.Module]:
        """Freeze running statistics, optionally those shared between processes too. Returns the changed norms."""
        norms = [m for m in self.backbone.modules() if isinstance(m, NORMS) and m.training]
        held: list[nn.Module] = [m for m in norms if synchronised or not isinstance(m, nn.SyncBatchNorm)]
        for norm in held:
            norm.eval()
        return held

    def save_assets(self, folder: Path) -> None:
        """Write the backbone's architecture and input statistics, so that it can be rebuilt without timm's hub."""
        save_facts(self._facts, folder)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """As :meth:`Encoder.layer_groups`: stem, blocks, remaining backbone, then pooling and projection."""
        return backbone_groups(self, self.backbone)

    def recompute_activations(self) -> None:
        """As :meth:`Encoder.recompute_activations`. A frozen backbone stores none.

        Raises:
            ConfigError: the architecture does not support it.
        """
        if self.freeze != "backbone":
            recompute_blocks(self.backbone, self._facts["architecture"])

    def masked_task(self) -> MaskedPatches:
        """A task that hides squares of the pictures.

        Raises:
            ConfigError: the backbone is frozen or has no spatial feature map.
        """
        if self.freeze == "backbone":
            raise ConfigError(
                "encoders.face.freeze: a frozen backbone learns nothing with objective 'masked'; "
                "set it to nothing or norm"
            )
        channels, cells = map_shape(self.backbone, self._facts)
        self.train(self.training)
        return MaskedPatches(channels, cells, self._facts["size"])
