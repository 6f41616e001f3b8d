"""Cost of each subset of modalities: parameters, FLOPs, real-time factor, peak memory and training time."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from multiemo.benchmark.cost.memory import Memory, peak_memory
from multiemo.benchmark.cost.timing import ClipCost, choose_clips, measure_clip
from multiemo.benchmark.environment import describe_environment
from multiemo.benchmark.measurements import Cost, CostReport
from multiemo.benchmark.predictions import read_lines
from multiemo.config import load_stored
from multiemo.encoders.base import Encoder
from multiemo.encryption import read_sealed
from multiemo.errors import CheckpointError, MultiemoError
from multiemo.files import parse_json
from multiemo.model import EmotionModel
from multiemo.runs import Source, load_bundle
from multiemo.runs.device import Compute, compute_of
from multiemo.runs.folder.required_files import model_folder
from multiemo.types import SUBSETS, Clip


def measure_cost(
    run: str | Path, source: Source, *, clips: int = 4, repeats: int = 5, device: str = "auto"
) -> CostReport:
    """Measure the cost of a finished run on a few clips of its validation part; the test part is not read.

    Times are medians of repeated measurements of one clip at a time after a warm-up. Clips are preprocessed without the
    cache. Each modality reads its file separately, as in training; ``predict`` decodes voice and face of a file in one
    pass, so it takes no longer than the sum.

    Args:
        run: run folder.
        source: manifest and split of the run.
        clips: number of clips, spread over the part; clips with all modalities are preferred.
        repeats: number of measurements of each time.
        device: device of the model, see :func:`multiemo.runs.device.compute_of`.

    Returns:
        The cost of every subset.

    Raises:
        CheckpointError: the run is not complete.
        ManifestError: no clip of the validation part can be measured.
    """
    bundle = load_bundle(run)
    compute = compute_of(bundle.config, device)
    keys = [k for k, members in SUBSETS.items() if set(members) <= set(bundle.model.modalities)]
    measured = [
        measure_clip(bundle, clip, source, keys, repeats, compute) for clip in choose_clips(bundle, source, clips)
    ]
    parameters = count_parameters(bundle.model)
    trained = training_seconds(run)
    longest = max(measured, key=lambda one: (one.media or 0.0, sum(one.prepare.values())))
    memory, notes = _memory(run, source, longest.clip, keys, str(compute.device))
    lengths = [one.media for one in measured if one.media]
    return CostReport(
        subsets={key: _cost(key, measured, parameters, trained, memory[key].peak) for key in keys},
        parameters=parameters,
        libraries_mb=memory[keys[0]].libraries,
        clips=tuple(one.clip.id for one in measured),
        media_seconds=statistics.fmean(lengths) if lengths else None,
        device=str(compute.device),
        threads=torch.get_num_threads(),
        hardware=describe_environment().hardware,
        notes=(*_notes(compute, lengths, trained), *notes),
    )


def _memory(
    run: str | Path, source: Source, clip: Clip, keys: Sequence[str], device: str
) -> tuple[dict[str, Memory], list[str]]:
    """{subset: its memory}, and notes on what could not be measured, which does not stop a benchmark."""
    found: dict[str, Memory] = {}
    notes: list[str] = []
    for key in keys:
        try:
            found[key] = peak_memory(run, source, clip, key, device=device)
        except MultiemoError as error:
            found[key] = Memory(None, None)
            notes.append(str(error))
    return found, notes


def count_parameters(model: EmotionModel) -> dict[str, int]:
    """Count the parameters of a model.

    Returns:
        {modality: parameters of its encoder, with a language model that it refers to, and of its own head; ``fusion``:
        parameters of the fusion and the fused heads}. A single branch has no ``fusion``, and a head for valence,
        arousal and dominance then counts for the branch.
    """

    def count(*parts: nn.Module | None) -> int:
        given = [part for part in parts if part is not None]
        encoders = [module for part in given for module in part.modules() if isinstance(module, Encoder)]
        used = [module for encoder in encoders for module in encoder.referenced]
        return sum(p.numel() for part in (*given, *used) for p in part.parameters())

    if model.fusion is None:
        return {model.modalities[0]: count(model)}
    found: dict[str, int] = {m: count(model.encoders[m], model.branch_heads[m]) for m in model.modalities}
    return {**found, "fusion": count(model.fusion, model.head, model.dimension_head)}


def training_seconds(run: str | Path) -> dict[str, float]:
    """{stage: seconds of its training loop}, without preprocessing; empty if the run has no log.

    A branch that was taken from another run has the seconds of the stage that trained it, or NaN if its folder no
    longer exists.
    """
    folder = Path(run)
    log = folder / "metrics.jsonl"
    if not log.is_file():
        return {}
    seconds = {record["stage"]: float(record["seconds"]) for record in read_lines(log)}
    for m, path in load_stored(folder / "config.yaml").taken_over.items():
        try:
            facts = parse_json(read_sealed(model_folder(Path(path)) / "config.json"))["facts"]
        except CheckpointError:
            facts = {"seconds": math.nan}
        seconds.setdefault(m, float(facts["seconds"]))
    return seconds


def _cost(
    key: str,
    measured: Sequence[ClipCost],
    parameters: Mapping[str, int],
    trained: Mapping[str, float],
    memory: float | None,
) -> Cost:
    """The cost of one subset, averaged over the measured clips."""
    members = SUBSETS[key]
    training = sum(trained.get(part, 0.0) for part in (*members, "fuse"))
    seconds = [sum(one.prepare[m] for m in members) + one.model[key] for one in measured]
    decode = [sum(one.decode[m] for m in members) for one in measured]
    media = [one.media for one in measured]

    def per_second(times: Sequence[float]) -> float | None:
        known = [(t, length) for t, length in zip(times, media, strict=True) if length]
        return sum(t for t, _ in known) / sum(length for _, length in known) if known else None

    return Cost(
        parameters=sum(parameters.get(part, 0) for part in (*members, "fusion")),
        flops=round(statistics.fmean(one.flops[key] for one in measured)),
        seconds=statistics.fmean(seconds),
        rtf=per_second(seconds),
        decode_rtf=per_second(decode),
        peak_memory_mb=memory,
        train_seconds=training if trained and not math.isnan(training) else None,
    )


def _notes(compute: Compute, lengths: Sequence[float], trained: Mapping[str, float]) -> tuple[str, ...]:
    resident = "peak resident memory of a new process that loads the whole model, Python and its libraries included"
    on_gpu = compute.device.type == "cuda"
    notes = [
        "FLOPs count the model's matrix products, convolutions and attention, with a multiplication and an addition as "
        "two; decoding and preprocessing are not counted",
        "the real-time factor covers preprocessing and model, without decoding, for one clip at a time; it is the "
        "median of warm repeats",
        f"memory: {'peak memory of tensors on the GPU, in a new process' if on_gpu else resident}",
        f"the model computes on {compute}; decoding and preprocessing on the CPU",
    ]
    if not lengths:
        notes.append("the clips have no media with a duration, so there is no real-time factor; seconds are per clip")
    if trained:
        notes.append("training seconds cover the subset's branches and the fusion, without decoding and preprocessing")
    return tuple(notes)
