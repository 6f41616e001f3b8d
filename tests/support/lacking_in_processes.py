"""Fits text, voice and face on clips that lack them so often that a process's share of a batch does, too.

Run by ``test_lacking.py``: alone, and by ``torchrun``. Torch's SyncBatchNorm computes on GPUs only; here the same is
made of gloo's sums, so that two processes must do exactly what one does.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from safetensors.torch import save_file
from torch import nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

import multiemo.encoders
import multiemo.fusion  # noqa: F401  (registers)
from multiemo.config import TrainingConfig
from multiemo.data.collate import BucketSampler, Collate
from multiemo.encoders.text.text_transformer import TextTransformer
from multiemo.model import EmotionModel
from multiemo.registry import encoders, fusions
from multiemo.training import parallel
from multiemo.training.objectives import Contrastive, Labels, Objective
from multiemo.training.trainer import Trainer
from multiemo.types import MODALITIES, Sample

CLASSES = 3
#: {name: settings of the stage}.
CASES: dict[str, dict] = {
    "ddp": {},
    "ddp-recomputed": {"gradient_checkpointing": True, "accumulate": 2},
    "fsdp": {"ema": 0.5},
    "fsdp-contrastive": {"objective": "contrastive", "accumulate": 2},
    "fsdp-clip-by-clip": {},
}
#: The same, but no process knows what the others have.
CONTROLS: dict[str, dict] = {"ddp-forgetful": {}, "fsdp-forgetful": {}}

#: What each clip in turn lacks.
GONE = (("face",), ("text",), ("speech", "face"), ("text", "face"), ("speech",), ("face",), ("face",), ("text",))


def make_samples(count: int = 32, seed: int = 0) -> list[Sample]:
    """Every clip has one modality or two: text in most, a voice in some, a face in few."""
    generator = torch.Generator().manual_seed(seed)
    samples = []
    for i in range(count):
        inputs = {
            "text": torch.randint(7, 50, (4 + i % 3,), generator=generator),
            "speech": torch.randn(32, 27, generator=generator, dtype=torch.float64),
            "face": torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8, generator=generator),
        }
        gone = GONE[i % len(GONE)]
        for m in gone:
            inputs.pop(m)
        samples.append(
            Sample(
                f"clip{i}", "c", f"s{i % 6}", inputs, {}, torch.eye(CLASSES)[i % CLASSES], torch.full((3,), torch.nan)
            )
        )
    return samples


def make_sampler(samples: list[Sample], **shared: int) -> BucketSampler:
    steps = {m: [len(s.inputs[m]) if m in s.inputs else 0 for s in samples] for m in MODALITIES}
    return BucketSampler([1] * len(samples), 6, seed=0, steps=steps, **shared)


class ClipByClip(TextTransformer):
    """Reads one text after the other, as some speech models must."""

    clip_by_clip = True

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.cat([super(ClipByClip, self).forward(x[i : i + 1], mask[i : i + 1]) for i in range(len(x))])


def make_model(name: str) -> EmotionModel:
    torch.manual_seed(0)
    still = dict.fromkeys(("flip", "rotate", "zoom", "shift", "light", "grey", "erase"), 0.0)
    quiet = dict.fromkeys(("stretch", "mel_shift", "pitch_shift", "gain", "tilt", "noise"), 0.0)
    quiet |= dict.fromkeys(("time_mask", "mel_mask", "channel_mask"), 0.0)
    bags = {"ngram_dim": 4, "ngram_buckets": 64, "ngram_dropout": 0.0}
    options = {
        "text": {"name": "text_transformer", "dim": 16, "layers": 4, "heads": 2, "vocab_size": 50, "max_tokens": 16}
        | {"token_dropout": 0.0, **bags},
        "speech": {"name": "speech_prosody", "n_mels": 16, "width": 4, "out_dim": 8, **quiet},
        "face": {"name": "face_timm", "backbone": "mobilenetv3_small_050", "size": 64, "frames": 1, "dim": 8, **still},
    }
    parts = {
        m: encoders.build(o.pop("name"), {**o, "dropout": 0.0}, where=f"encoders.{m}", modality=m)
        for m, o in options.items()
    }
    fusion = fusions.build("gated", {"dim": 8}, where="f", dims={m: e.out_dim for m, e in parts.items()})
    model = EmotionModel(parts, CLASSES, fusion=fusion)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    if "clip-by-clip" in name:
        parts["text"].__class__ = ClipByClip
    return model.double()  # so that one process and two differ by rounding alone


def synchronised(self: nn.SyncBatchNorm, x: torch.Tensor) -> torch.Tensor:
    """What torch's SyncBatchNorm does on GPUs, in sums that gloo can make."""
    if not self.training:
        return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
    self.num_batches_tracked.add_(1)
    over, shape = [d for d in range(x.ndim) if d != 1], [1, -1] + [1] * (x.ndim - 2)
    count = torch.full_like(self.running_mean, x.numel() / max(x.shape[1], 1))
    count, total, squares = all_reduce(torch.stack([count, x.sum(over), x.square().sum(over)]))
    mean = total / count
    variance = squares / count - mean.square()
    with torch.no_grad():
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
    normed = (x - mean.view(shape)) / (variance.view(shape) + self.eps).sqrt()
    return normed * self.weight.view(shape) + self.bias.view(shape)


def fit_cases(folder: Path, names: list[str], seconds: float) -> None:
    accelerator = Accelerator(cpu=True, kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=seconds))])
    several = accelerator.num_processes > 1
    parallel.LAYER_PARAMETERS = 1000  # the layers of the text encoder count as large
    nn.SyncBatchNorm.forward = synchronised
    DistributedDataParallel._passing_sync_batchnorm_handle = lambda *_: None  # which refuses such norms on CPUs
    shared = {"rank": accelerator.process_index, "processes": accelerator.num_processes}
    samples = make_samples()
    stand_ins = {m: next(s.inputs[m] for s in samples if m in s.inputs) for m in MODALITIES} if several else {}
    for name in names:
        settings = TrainingConfig(
            epochs=2, lr=1e-3, modality_dropout=0.0, **{"monitor": "loss", **{**CASES, **CONTROLS}[name]}
        )
        model = make_model(name)
        if several:
            parallel.share_norms(model)  # as the trainer does on GPUs
        objective: Objective = Contrastive(model).double()
        if settings.objective == "labels":
            objective = Labels(model, settings, task="single", frequencies=torch.full((3,), 1 / 3))
        sampler = make_sampler(samples, **shared)
        if "forgetful" in name:
            sampler.steps = {}
        collate = Collate(MODALITIES, CLASSES, stand_ins=stand_ins)
        loader = DataLoader(samples, batch_sampler=sampler, collate_fn=collate)
        in_order = BucketSampler([1] * len(samples), 6, shuffle=False, **shared)
        check = DataLoader(samples, batch_sampler=in_order, collate_fn=Collate(MODALITIES, CLASSES))

        def figures(objective, check=check):
            with torch.no_grad():
                losses = torch.stack([objective(batch) for batch in check])
            return {"loss": float(losses.mean())}

        result = Trainer(accelerator, settings, seed=4, shard=name.startswith("fsdp")).fit(objective, loader, figures)
        if accelerator.is_main_process:
            save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / f"{name}.safetensors")
            (folder / f"{name}.json").write_text(json.dumps(result.history))
    parallel.leave_processes()


if __name__ == "__main__":
    fit_cases(Path(sys.argv[1]), sys.argv[2].split(","), float(sys.argv[3]))
