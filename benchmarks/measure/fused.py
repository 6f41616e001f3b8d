"""The large fused model whose training step is counted and timed, with random weights, and its clips."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from torch.utils.data import DataLoader

import multiemo.encoders
import multiemo.fusion  # noqa: F401  (registers)
from multiemo.config import TrainingConfig
from multiemo.data.collate import BucketSampler, Collate
from multiemo.model import EmotionModel
from multiemo.registry import encoders, fusions
from multiemo.training.objectives import Labels
from multiemo.types import MODALITIES, Batch, Sample

CLASSES = 7


@dataclass(frozen=True, slots=True)
class Size:
    """Size of the clips and of the models.

    Args:
        clips: clips in a step.
        seconds: seconds of speech in a clip.
        tokens: tokens of text in a clip.
        frames: faces in a clip.
        pixels: side of a face.
        backbone: timm model of the faces.
        speech: settings of the wav2vec 2.0 model other than those of the base model.
        text: settings of the RoBERTa model other than those of the base model.
    """

    clips: int = 32
    seconds: float = 6.0
    tokens: int = 64
    frames: int = 8
    pixels: int = 224
    backbone: str = "efficientnet_b0"
    speech: tuple[tuple[str, Any], ...] = ()
    text: tuple[tuple[str, Any], ...] = ()


#: The step of docs/performance.md: wav2vec 2.0 base, RoBERTa base, EfficientNet-B0.
BASE = Size()
_NARROW = (("hidden_size", 16), ("num_hidden_layers", 2), ("num_attention_heads", 2), ("intermediate_size", 32))
#: The same in seconds on a CPU.
TINY = Size(
    clips=4, seconds=0.2, tokens=8, frames=2, pixels=32, backbone="mobilenetv3_small_050",
    speech=(*_NARROW, ("conv_dim", (8,) * 7), ("num_conv_pos_embeddings", 16), ("num_conv_pos_embedding_groups", 2)),
    text=_NARROW,
)  # fmt: skip


def fused_model(size: Size = BASE) -> EmotionModel:
    """The three models as branches of a gated fusion, with the same weights each time."""
    torch.manual_seed(0)
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        speech = transformers.Wav2Vec2Config(**dict(size.speech))
        transformers.Wav2Vec2Model(speech).save_pretrained(folder / "speech")
        text = transformers.RobertaConfig(**{"vocab_size": 50265, "max_position_embeddings": 514, **dict(size.text)})
        transformers.RobertaModel(text).save_pretrained(folder / "text")
        words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "word"]
        transformers.BertTokenizer(
            vocab={w: i for i, w in enumerate(words)}, cls_token="<s>", pad_token="<pad>", sep_token="</s>",
            unk_token="<unk>", mask_token="<mask>",
        ).save_pretrained(folder / "text")  # fmt: skip
        options = {
            "text": ("text_pretrained", {"model": str(folder / "text"), "max_tokens": size.tokens}),
            "speech": ("speech_pretrained", {"model": str(folder / "speech"), "max_seconds": size.seconds}),
            "face": ("face_timm", {"backbone": size.backbone, "size": size.pixels, "frames": size.frames}),
        }
        parts = {m: encoders.build(name, given, where=m, modality=m) for m, (name, given) in options.items()}
    fusion = fusions.build("gated", {}, where="fusion", dims={m: e.out_dim for m, e in parts.items()})
    return EmotionModel(parts, CLASSES, fusion=fusion)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class FusedWork:
    """The fused model and its clips, as :class:`measure.trainer.Work` has them.

    Args:
        size: size of the clips and of the models.
        samples: clips in memory.
        workers: processes that collate them.
    """

    size: Size
    samples: list[Sample]
    workers: int = 0

    @property
    def batch(self) -> int:
        """Clips per step."""
        return self.size.clips

    def objective(self) -> Labels:
        """The model with its loss, with the same weights each time."""
        frequencies = torch.full((CLASSES,), 1 / CLASSES)
        return Labels(fused_model(self.size), TrainingConfig(epochs=1), task="single", frequencies=frequencies)

    def loader(self) -> DataLoader[Any]:
        """A loader of the same batches in the same order each time."""
        sampler = BucketSampler([1] * len(self.samples), self.batch)
        pinned = torch.cuda.is_available()
        collate = Collate(MODALITIES, CLASSES)
        return DataLoader(
            self.samples, batch_sampler=sampler, collate_fn=collate, pin_memory=pinned, num_workers=self.workers
        )


def fused_work(size: Size, steps: int, workers: int = 0) -> FusedWork:
    """Make the clips of so many steps. Faces repeat, since they take most of the memory.

    Args:
        size: size of the clips and of the models.
        steps: number of steps.
        workers: processes that collate them.
    """
    torch.manual_seed(1)
    nothing = torch.full((3,), float("nan"))
    faces = [torch.randint(0, 256, (size.frames, 3, size.pixels, size.pixels), dtype=torch.uint8) for _ in range(8)]
    samples = []
    for i in range(size.clips * steps):
        inputs: dict[Any, Tensor] = {
            "text": torch.randint(5, 50000, (size.tokens,)),
            "speech": torch.randn(int(16000 * size.seconds), 1),
            "face": faces[i % len(faces)],
        }
        samples.append(Sample(f"c{i}", "speed", f"s{i}", inputs, {}, torch.eye(CLASSES)[i % CLASSES], nothing))
    return FusedWork(size, samples, workers)


def one_batch(size: Size) -> Batch:
    """The clips of one step."""
    return Collate(MODALITIES, CLASSES)(fused_work(size, 1).samples)


@contextmanager
def unchanged_layers() -> Iterator[None]:
    """Build encoders within this with the layers of their libraries instead of ours for half precision."""
    from multiemo.encoders.speech import backbones
    from multiemo.encoders.text import text_pretrained

    ours = backbones.suit_half_precision
    try:
        backbones.suit_half_precision = text_pretrained.suit_half_precision = lambda _: None  # type: ignore[assignment]
        yield
    finally:
        backbones.suit_half_precision = text_pretrained.suit_half_precision = ours
