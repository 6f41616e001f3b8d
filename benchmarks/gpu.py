"""What a GPU does with a large fused step: ``python benchmarks/gpu.py [--device cuda] [--json FILE]``.

Prints one table and one JSON line: the floor of a step, how many kernels the host queues for it, the time of a bare
loop, of the trainer (with CUDA graphs as by default, without, compiled), of Hugging Face's trainer and of Lightning
where they are installed, the peak memory, the kernels by kind, a training of ``configs/ravdess_av.yaml`` where
``$MULTIEMO_DATA`` has the data, and bulk prediction. It needs no network and stops starting measurements after
``--seconds``. What cannot be measured here is "not measured", with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch
from floor import floor
from measure import fused, kernels, trainer
from measure.batched_faces import BatchedCenterFace

from multiemo.benchmark.environment import describe_environment
from multiemo.encoders.base import encode_rows
from multiemo.preprocess.faces.detection import CenterFace, centerface_file
from multiemo.preprocess.voice.prosody import prosody
from multiemo.training.casts import cast_together
from multiemo.training.graphs import OCCURRENCES, graph_encoder
from multiemo.types import MODALITIES, Modality

ROOT = Path(__file__).resolve().parents[1]
#: Kinds of kernels, by what their names contain; the first that fits counts.
KINDS = {
    "convolution": ("conv", "cudnn", "wgrad", "dgrad", "implicit", "fprop"),
    "attention": ("flash", "fmha", "attention", "softmax"),
    "matrix product": ("gemm", "cutlass", "matmul", "nvjet", "cublas"),
    "normalisation": ("norm", "bn_"),
    "optimiser": ("adam", "multi_tensor"),
    "copy": ("copy", "memcpy", "memset", "cat"),
    "elementwise": ("elementwise", "vectorized", "dropout", "unrolled"),
}


class NotMeasured(Exception):
    """Why something cannot be measured here."""


def step_ms(way: Callable[[Any], float], work: fused.FusedWork, device: str) -> dict[str, float]:
    """Milliseconds of a step and peak memory.

    Args:
        way: trains a work and returns its steps per second.
        work: model and clips.
        device: ``cuda`` or ``cpu``.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    found = {"ms": 1e3 / way(work)}
    if device == "cuda":
        found["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
        torch.cuda.empty_cache()
    return found


def ways(device: str) -> dict[str, Callable[[Any], float]]:
    """{name: trainer to time}."""
    return {
        "multiemo": lambda work: trainer.ours(work, device),
        "bare loop": lambda work: trainer.bare(work, device),
        "multiemo, no CUDA graphs": lambda work: trainer.ours(work, device, cuda_graphs=False),
        "Hugging Face": lambda work: trainer.hugging_face(work, device),
        "Lightning": lambda work: trainer.lightning(work, device),
        "multiemo, compiled": lambda work: trainer.ours(work, device, compile_encoders=True),
    }


def timed(name: str, device: str, size: fused.Size, steps: int) -> dict[str, float]:
    """Time one of :func:`ways`.

    Args:
        name: its name.
        device: ``cuda`` or ``cpu``.
        size: size of the clips and of the models.
        steps: number of steps.

    Raises:
        NotMeasured: it cannot run here.
    """
    if name == "Lightning" and find_spec("lightning") is None:
        raise NotMeasured("lightning is not installed")
    if device == "cpu" and name in ("multiemo, compiled", "multiemo, no CUDA graphs"):
        raise NotMeasured("no GPU")
    return step_ms(ways(device)[name], fused.fused_work(size, steps, workers=8 if device == "cuda" else 0), device)


def kernel_kinds(device: str, size: fused.Size, steps: int) -> dict[str, float]:
    """{kind: milliseconds of kernels in a step} of the trainer.

    Args:
        device: only ``cuda`` has kernels.
        size: size of the clips and of the models.
        steps: number of steps.

    Raises:
        NotMeasured: there is no GPU.
    """
    if device != "cuda":
        raise NotMeasured("no GPU")
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        trainer.ours(fused.fused_work(size, steps, workers=8), device)
    found: Counter[str] = Counter()
    for row in profiled.key_averages():
        name = row.key.lower()
        kind = next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), "other")
        found[kind] += row.self_device_time_total / 1e3 / steps
    return dict(found)


def branch(m: Modality, device: str, size: fused.Size) -> dict[str, float]:
    """Milliseconds of one branch alone, forward and backward: as the trainer runs it, and as a CUDA graph.

    Args:
        m: its modality.
        device: only ``cuda`` has kernels.
        size: size of the clips and of the models.

    Raises:
        NotMeasured: there is no GPU.
    """
    if device != "cuda":
        raise NotMeasured("no GPU")
    encoder = fused.fused_model(size).encoders[m].to(device).train()
    batch = fused.one_batch(size).to(device)

    def once() -> None:
        with torch.autocast(device, torch.bfloat16):
            made = encode_rows(encoder, m, batch)
        made.float().sum().backward()
        encoder.zero_grad()

    cast_together(encoder, trainer.refuse)
    found = _wall_and_kernels(once, "")
    graph_encoder(encoder, trainer.refuse)
    return found | _wall_and_kernels(once, "graph_")


def _wall_and_kernels(once: Callable[[], None], prefix: str, times: int = 10) -> dict[str, float]:
    from torch.profiler import ProfilerActivity, profile

    for _ in range(OCCURRENCES + 1):
        once()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(times):
        once()
    torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        once()
        torch.cuda.synchronize()
    kernels_ms = sum(row.self_device_time_total for row in profiled.key_averages()) / 1e3
    return {f"{prefix}ms": 1e3 * seconds / times, f"{prefix}kernels_ms": kernels_ms}


def real_training(device: str) -> dict[str, float]:
    """Seconds of two epochs of each stage of ``configs/ravdess_av.yaml``, the first of which decodes.

    Args:
        device: ``cuda`` or ``cpu``.

    Raises:
        NotMeasured: there is no GPU or no RAVDESS.
    """
    data = Path(os.environ.get("MULTIEMO_DATA", ""), "ravdess")
    if device != "cuda" or not data.is_dir():
        raise NotMeasured("no GPU" if device != "cuda" else "no RAVDESS in $MULTIEMO_DATA")
    with tempfile.TemporaryDirectory() as folder:
        manifest = f"{folder}/ravdess.jsonl"
        _multiemo("prepare", "ravdess", str(data), "--out", manifest)
        began = time.perf_counter()
        options = [f"data.manifest={manifest}", f"data.cache={folder}/cache", "training.epochs=2"]
        _multiemo("train", str(ROOT / "configs/ravdess_av.yaml"), *options, "--out", f"{folder}/run")
        return {"seconds": time.perf_counter() - began}


def bulk_prediction(device: str, size: fused.Size, steps: int) -> dict[str, float]:
    """Clips a second of a trained model over batches in memory, and per core of decoding that would feed it.

    Args:
        device: ``cuda`` or ``cpu``.
        size: size of the clips and of the models.
        steps: number of batches.
    """
    from multiemo.runs.device import Compute, predict

    work = fused.fused_work(size, steps)
    compute = Compute(torch.device(device), "bf16" if device == "cuda" else "no")
    model = fused.fused_model(size).to(compute.device).eval()
    batches = list(work.loader())
    predict(model, compute, batches[0])
    compute.wait()
    began = time.perf_counter()
    for batch in batches:
        predict(model, compute, batch)
    compute.wait()
    return {"clips_per_s": len(work.samples) / (time.perf_counter() - began)}


def preparation(device: str, clips: int) -> dict[str, float]:
    """Prosody and face detection in batches: inputs a second, and the largest difference from one thread's result.

    Prosody is compared with the CPU's, faces with those that OpenCV finds.

    Args:
        device: ``cuda`` or ``cpu``.
        clips: number of clips of 3 s, and of pictures.
    """
    generator = torch.Generator().manual_seed(0)
    steps = torch.arange(48000) / 16000
    pitch = 120 + 120 * torch.rand(clips, 1, generator=generator)
    waves = sum((2 * torch.pi * k * pitch * steps).sin() / k for k in (1, 2, 3)) * 0.1
    assert isinstance(waves, torch.Tensor)
    tracks, seconds = _seconds(lambda: prosody(waves.to(device), 16000).cpu(), device)
    expected = torch.stack([prosody(wave, 16000) for wave in waves])
    found = {"prosody_clips_per_s": clips / seconds, "prosody_difference": float((tracks - expected).abs().max())}
    path = centerface_file()
    if path is None:
        return found
    picture = skimage.data.astronaut()[:384]
    pictures = [np.roll(picture, 3 * i, axis=1) for i in range(clips)]
    batched = BatchedCenterFace(path, 320, 0.5, torch.device(device))
    faces, seconds = _seconds(lambda: batched.detect(pictures), device)
    single = CenterFace(path, 320, 0.5)
    both = faces, map(single.detect, pictures)
    boxes = [np.array([face.box for faces in each for face in faces]) for each in both]
    found["pictures_per_s"] = clips / seconds
    found["box_difference_px"] = float(np.abs(boxes[0] - boxes[1]).max()) if len(boxes[0]) == len(boxes[1]) else np.nan
    return found


def _seconds(compute: Callable[[], Any], device: str) -> tuple[Any, float]:
    """The result of the second run, and its time."""
    compute()
    if device == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    return compute(), time.perf_counter() - began


def _multiemo(*arguments: str) -> None:
    command = [sys.executable, "-m", "multiemo", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=240)
    if done.returncode:
        raise NotMeasured(f"multiemo {arguments[0]} failed: {done.stderr.strip().splitlines()[-1:]}")


def measure(device: str, size: fused.Size, steps: int, seconds: float) -> dict[str, Any]:
    """Take all figures; those that cannot be taken are ``{"not_measured": reason}``.

    Args:
        device: ``cuda`` or ``cpu``.
        size: size of the clips and of the models.
        steps: number of steps that are timed.
        seconds: no measurement starts later than this.
    """
    began = time.perf_counter()

    def attempt(take: Callable[[], Any]) -> Any:
        if time.perf_counter() - began > seconds:
            return {"not_measured": f"{seconds:g} s were over"}
        try:
            return take()
        except NotMeasured as reason:
            return {"not_measured": str(reason)}
        except Exception as error:
            return {"not_measured": f"{type(error).__name__}: {error}".splitlines()[0]}

    found: dict[str, Any] = {"environment": attempt(describe_environment), "device": _device_name(device)}
    found["floor"] = attempt(floor)
    *first, last = ways(device)  # compilation takes longest
    found["step"] = {name: attempt(lambda name=name: timed(name, device, size, steps)) for name in first}
    found["branch"] = {m: attempt(lambda m=m: branch(m, device, size)) for m in MODALITIES}
    found["kernel_ms"] = attempt(lambda: kernel_kinds(device, size, steps))
    found["bulk_prediction"] = attempt(lambda: bulk_prediction(device, size, steps))
    found["preparation"] = attempt(lambda: preparation(device, size.clips))
    found["step"][last] = attempt(lambda: timed(last, device, size, steps))
    found["ravdess"] = attempt(lambda: real_training(device))
    found["queued"] = {way: attempt(lambda way=way: kernels.queued(size, way)) for way in kernels.WAYS}
    found["seconds"] = time.perf_counter() - began
    return found


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


def table(found: dict[str, Any]) -> str:
    """All figures as text."""

    def cell(value: Any) -> str:
        if "not_measured" in value:
            return f"not measured ({value['not_measured']})"
        return ", ".join(f"{key} {number:.4g}" for key, number in value.items())

    lines = [f"{found['device']}, {found['seconds']:.0f} s"]
    least = found["floor"].get("all")
    bound = f"{least['compute_ms'] + least['memory_ms']:.1f} ms" if least else cell(found["floor"])
    lines.append(f"{'floor of the large step on an H100':<36}{bound}")
    lines += [f"{'step: ' + name:<36}{cell(value)}" for name, value in found["step"].items()]
    lines += [f"{'alone: ' + m:<36}{cell(value)}" for m, value in found["branch"].items()]
    lines.append(f"{'kernels by kind, ms a step':<36}{cell(found['kernel_ms'])}")
    lines.append(f"{'bulk prediction':<36}{cell(found['bulk_prediction'])}")
    lines.append(f"{'prosody and faces in batches':<36}{cell(found['preparation'])}")
    lines.append(f"{'training of configs/ravdess_av.yaml':<36}{cell(found['ravdess'])}")
    for way, value in found["queued"].items():
        counts = value if "not_measured" in value else {part: row["kernels"] for part, row in value.items()}
        lines.append(f"{'kernels queued: ' + way:<36}  {cell(counts)}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cuda", "cpu"), default=default)
    parser.add_argument("--tiny", action="store_true", help="tiny models and clips, to check the script")
    parser.add_argument("--steps", type=int, default=30, help="steps of each timing")
    parser.add_argument("--seconds", type=float, default=180, help="no measurement starts later than this")
    parser.add_argument("--json", type=Path, help="also write the JSON line to this file")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no CUDA device")
    size = fused.TINY if arguments.tiny else fused.BASE
    if arguments.device == "cpu" and not arguments.tiny:
        parser.error("--device cpu takes hours for the large model; add --tiny")
    found = measure(arguments.device, size, arguments.steps, arguments.seconds)
    print(table(found))
    line = json.dumps(found)
    print(line)
    if arguments.json is not None:
        arguments.json.write_text(line + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
