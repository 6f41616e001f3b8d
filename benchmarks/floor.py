"""Lower bound on the time of a training step of large encoders: ``python benchmarks/floor.py [--measure]``.

Counts the arithmetic of a fused step (wav2vec 2.0 base, RoBERTa base, EfficientNet-B0; random weights, so nothing is
downloaded) by running it on shapes without values. Adds up the bytes of weights, gradients and optimiser state that the
step must move, and divides both by the peak rates of an H100. ``--measure`` then times the real trainer on a CUDA
device and prints its ratio to that bound.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import timm
import torch
import transformers
from accelerate import Accelerator
from measure.fused import BASE, fused_work
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from multiemo.config import TrainingConfig
from multiemo.training.trainer import Trainer

CLIPS, SECONDS, TOKENS, FRAMES, PIXELS = BASE.clips, BASE.seconds, BASE.tokens, BASE.frames, BASE.pixels
#: H100 SXM: dense bf16 operations per second, and bytes of memory per second (NVIDIA's data sheet).
OPERATIONS, BYTES = 989e12, 3.35e12
#: Bytes a step moves for each trained float32 weight: AdamW reads and writes the weight and two moments (24) and reads
#: the gradient (4) that the backward pass writes (4); autocast reads it, writes it in bf16, and reads that twice (10).
PER_WEIGHT = 42


def backbones() -> dict[str, tuple[torch.nn.Module, dict[str, Tensor]]]:
    """The three models and the inputs of one step, as shapes without values."""
    with torch.device("meta"):
        speech = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(layerdrop=0.0, mask_time_prob=0.0))
        words = transformers.RobertaModel(transformers.RobertaConfig(vocab_size=50265, max_position_embeddings=514))
        face = timm.create_model("efficientnet_b0", num_classes=0)
        return {
            "speech": (speech, {"input_values": torch.empty(CLIPS, int(16000 * SECONDS))}),
            "text": (words, {"input_ids": torch.empty(CLIPS, TOKENS, dtype=torch.long)}),
            "face": (face, {"x": torch.empty(CLIPS * FRAMES, 3, PIXELS, PIXELS)}),
        }


def floor() -> dict[str, Any]:
    """Operations and bytes of a step, and its shortest possible time on an H100."""
    rows: dict[str, Any] = {}
    for name, (model, inputs) in backbones().items():
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            model.train()(**inputs)
        weights = sum(p.numel() for p in model.parameters())
        # The backward pass takes twice the operations of the forward pass. (The counter's own value for it ignores the
        # groups of grouped convolutions.)
        rows[name] = {"weights": weights, "operations": 3 * counter.get_total_flops(), "bytes": weights * PER_WEIGHT}
    rows["all"] = {key: sum(row[key] for row in rows.values()) for key in ("weights", "operations", "bytes")}
    for row in rows.values():
        row["compute_ms"] = 1e3 * row["operations"] / OPERATIONS
        row["memory_ms"] = 1e3 * row["bytes"] / BYTES
    return rows


def measure(steps: int = 60) -> dict[str, Any]:
    """Time of a step of the real trainer in bf16 on this CUDA device, and its peak memory."""
    work = fused_work(BASE, steps, workers=8)
    times: list[float] = []

    def on_step(*_: int) -> None:
        times.append(time.perf_counter())

    def finish(_: Any) -> dict[str, float]:
        torch.cuda.synchronize()
        on_step()
        return {"uar": 1.0}

    trainer = Trainer(Accelerator(mixed_precision="bf16"), TrainingConfig(epochs=1), seed=0)
    trainer.fit(work.objective(), work.loader(), finish, on_step=on_step)
    warm = steps // 3
    return {
        "device": torch.cuda.get_device_name(),
        "step_ms": 1e3 * (times[-1] - times[warm]) / (len(times) - 2 - warm),
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="also time the trainer; needs a CUDA device")
    arguments = parser.parse_args()
    if arguments.measure and not torch.cuda.is_available():
        parser.error("--measure needs a CUDA device, and torch finds none")
    found: dict[str, Any] = {"floor": floor()}
    print(f"a step of {CLIPS} clips: {SECONDS:g} s of speech, {TOKENS} tokens, {FRAMES} faces of {PIXELS} px")
    print(f"{'':<8}{'weights, M':>12}{'TFLOP':>10}{'GB moved':>10}{'compute, ms':>13}{'memory, ms':>12}")
    for name, row in found["floor"].items():
        print(
            f"{name:<8}{row['weights'] / 1e6:>12.1f}{row['operations'] / 1e12:>10.2f}{row['bytes'] / 1e9:>10.1f}"
            f"{row['compute_ms']:>13.1f}{row['memory_ms']:>12.1f}"
        )
    if arguments.measure:
        found["measured"] = measure()
        least = found["floor"]["all"]["compute_ms"] + found["floor"]["all"]["memory_ms"]
        found["measured"]["of_floor"] = least / found["measured"]["step_ms"]
        print(found["measured"])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
