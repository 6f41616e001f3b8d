"""Facial expression by asking a vision-language model, without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from multiemo.encoders.common.prompted_media import MediaPrompted, Medium
from multiemo.labels.words import Language
from multiemo.registry import Positive, Size, encoders
from multiemo.types import FaceSpec

#: Brightness of the picture without content.
GREY = 128


@encoders.register("face_prompted", modality="face")
class FacePrompted(MediaPrompted):
    """Asks a vision-language model of the transformers library which label fits the face.

    The prompt is fixed, and uses the chat template of the model's processor if there is one. It always holds the same
    number of pictures: of a clip with fewer frames, some are shown more than once. Nothing is trained, and the
    checkpoint refers to the model by its name and the digests of its files.

    Args:
        model: a model folder, ``package:NAME`` for one inside an installed package, or the name of a hub model
            ("Qwen/Qwen2-VL-2B-Instruct").
        language: language of the prompt and of the words for the labels.
        frames: number of crops in the prompt, evenly spread over the clip. Give 1 for stills, and for models that
            were trained on single pictures.
        size: side of the crops, pixels; the model's processor scales them.
        fps: frames per second to sample, before ``frames`` limits them.
        detector: face detector of the preprocessor: ``auto`` (the best one installed), ``centerface``, ``haar``, or the
            path of a YuNet ``.onnx`` file.
        detector_size: longer side of the picture passed to the detector, pixels.
        labels: C labels, given by the config.
        task: task of the config.
        assets: folder written by :meth:`save_assets`.

    Raises:
        ConfigError: ``model`` does not take pictures with text, or cannot read so many.
        CheckpointError: the model is not the one that the checkpoint was made with.
    """

    input_spec: FaceSpec
    medium: ClassVar[Medium] = Medium(
        "image",
        "images",
        ("image_processor",),
        "name a vision-language model of transformers, such as Qwen2-VL",
    )

    def __init__(
        self,
        *,
        model: str,
        language: Language = "en",
        frames: Size = 4,
        size: Size = 224,
        fps: Positive = 4.0,
        detector: str = "auto",
        detector_size: Size = 320,
        labels: Sequence[str],
        task: str = "single",
        assets: Path | None = None,
    ) -> None:
        super().__init__("face", model=model, labels=labels, language=language, count=frames, task=task, assets=assets)
        self.input_spec = FaceSpec(size=size, frames=frames, fps=fps, detector=detector, detector_size=detector_size)
        self.check_longest(self.neutral())

    def media(self, clip: Tensor) -> list[Any]:
        """The pictures of a clip ``[F, 3, S, S]``, as many as the prompt holds."""
        from PIL import Image

        shown = self.input_spec.frames
        chosen = clip[[i * len(clip) // shown for i in range(shown)]]
        return [Image.fromarray(picture) for picture in chosen.permute(0, 2, 3, 1).cpu().numpy()]

    def neutral(self) -> Tensor:
        """A grey picture ``[1, 3, S, S]``."""
        return torch.full((1, 3, self.input_spec.size, self.input_spec.size), GREY, dtype=torch.uint8)
