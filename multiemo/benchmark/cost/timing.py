"""Time and FLOPs of one clip: decoding, preprocessing, and the model on each subset of modalities."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from multiemo.data.collate import Collate
from multiemo.data.manifest.reading import media_path
from multiemo.errors import ManifestError, MediaError
from multiemo.inputs.base import Input
from multiemo.inputs.dataset import ClipDataset
from multiemo.inputs.material import ManifestRow
from multiemo.inputs.rows import gather_row
from multiemo.media.reading import probe
from multiemo.model import EmotionModel
from multiemo.runs import Bundle, Source
from multiemo.runs.device import Compute, predict
from multiemo.types import SUBSETS, Absent, Batch, Clip, Modality, Sample

#: Number of clips that are tried for each measured one, to find clips with all modalities.
_CANDIDATES = 8


@dataclass(frozen=True, slots=True)
class ClipCost:
    """Cost of one clip.

    Args:
        clip: the clip.
        media: duration of its media, seconds; ``None`` without media, or for a still.
        decode: {modality: time of reading and decoding its file, seconds}.
        prepare: {modality: time of preprocessing, seconds}.
        model: {subset: time of the model, seconds}.
        flops: {subset: floating-point operations of the model}.
    """

    clip: Clip
    media: float | None
    decode: dict[Modality, float]
    prepare: dict[Modality, float]
    model: dict[str, float]
    flops: dict[str, int]


def choose_clips(bundle: Bundle, source: Source, count: int) -> list[Clip]:
    """Choose clips that are spread over the validation part, those with the most modalities first.

    Args:
        bundle: the model.
        source: manifest and split of the model.
        count: number of clips.

    Returns:
        At most ``count`` clips.

    Raises:
        ManifestError: none of the clips tried has a modality that the model reads.
        MediaError: a clip cannot be read, and the config does not allow skipping it.
    """
    rows = source.part("val")
    candidates = min(len(rows), count * _CANDIDATES)
    found: list[tuple[int, Clip]] = []
    all_modalities = len(bundle.model.modalities)
    for i in _spread(candidates):
        clip = rows[i * len(rows) // candidates]
        try:
            sample = _dataset(bundle, clip, source, bundle.inputs)[0]
        except MediaError:
            if not bundle.config.data.skip_bad:
                raise
            continue
        found.append((len(sample.inputs), clip))
        if sum(present == all_modalities for present, _ in found) == count:
            break
    best = sorted(found, key=lambda entry: -entry[0])[:count]
    if not best or not best[0][0]:
        raise ManifestError(
            f"{source.manifest}: no clip of val has a modality that the model reads, so there is nothing to measure"
        )
    return [clip for present, clip in best if present]


def measure_clip(
    bundle: Bundle, clip: Clip, source: Source, keys: Sequence[str], repeats: int, compute: Compute
) -> ClipCost:
    """Time one clip as a batch of one, and count its operations.

    Args:
        bundle: the model.
        clip: a clip of the source.
        source: manifest and split.
        keys: subsets of the model's modalities.
        repeats: number of measurements of each time, after a warm-up; the median is returned.
        compute: device and precision of the model.

    Returns:
        The cost of the clip.
    """
    decode: dict[Modality, float] = {}
    prepare: dict[Modality, float] = {}
    samples: list[Sample] = []
    for m, entry in bundle.inputs.items():
        dataset = _dataset(bundle, clip, source, {m: entry})
        samples.append(dataset[0])  # warm
        times = [_read(dataset.row(0), m, entry) for _ in range(repeats)]
        decode[m], prepare[m] = (statistics.median(took) for took in zip(*times, strict=True))
    joined = replace(samples[0], inputs={m: x for s in samples for m, x in s.inputs.items()})
    batch = Collate(bundle.model.modalities, len(bundle.labels))([joined])
    views = {key: restricted(batch, SUBSETS[key]) for key in keys}
    model = bundle.model.cpu().eval()
    flops = {key: count_flops(model, view) for key, view in views.items()}
    model.to(compute.device)
    runs = {key: _forward(model, view, compute) for key, view in views.items()}
    seconds: dict[str, list[float]] = {key: [] for key in keys}
    with torch.inference_mode():
        for turn in range(1 + repeats):  # round-robin, so that a load peak does not affect a single subset
            for key, run in runs.items():
                took = _clock(run)
                if turn > 0:
                    seconds[key].append(took)
    medians = {key: statistics.median(took) for key, took in seconds.items()}
    return ClipCost(clip, media_seconds(clip, source.folder), decode, prepare, medians, flops)


def count_flops(model: nn.Module, batch: Batch) -> int:
    """Floating-point operations of one forward pass: matrix products, convolutions and attention.

    A multiplication and an addition count as two operations. Fused kernels that torch's counter does not see
    (Transformer layers, attention and recurrent layers on the CPU) are disabled while counting. Elementwise operations,
    normalisations and Fourier transforms are not counted.

    Args:
        model: a model on the CPU that takes the batch.
        batch: has the modalities that are counted; heads of absent branches run on zeros and are counted, too.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about settings for other hardware
            plain = torch.backends.mkldnn.flags(enabled=False)
            with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), plain, FlopCounterMode(display=False) as counter:
                model(batch)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return int(counter.get_total_flops())


def _read(row: ManifestRow, m: Modality, entry: Input) -> tuple[float, float]:
    """Time of reading the raw form of an input, and of preprocessing it, seconds."""
    began = time.perf_counter()
    material = gather_row(row, {m: entry}).materials.get(m)
    raw = None if material is None else entry.take(material)
    read = time.perf_counter()
    if raw is not None and not isinstance(raw, Absent):
        entry.prepare(raw)
    return read - began, time.perf_counter() - read


def _spread(count: int) -> list[int]:
    """The numbers below ``count`` in an order in which each is far from its predecessors (van der Corput 1935).

    Example:
        >>> _spread(8)
        [0, 4, 2, 6, 1, 5, 3, 7]
    """
    bits = max(count - 1, 0).bit_length()
    return [i for i in (int(f"{n:0{bits}b}"[::-1], 2) for n in range(1 << bits)) if i < count]


def _dataset(bundle: Bundle, clip: Clip, source: Source, inputs: Mapping[Modality, Input]) -> ClipDataset:
    """A data set of one clip, read as in training but without the cache."""
    space = bundle.space(source.label_from)
    return ClipDataset([clip], source.folder, inputs, space, cache=None, dialogue=source.clips)


def restricted(batch: Batch, members: Sequence[Modality]) -> Batch:
    """The batch with only some of its modalities marked as present."""
    presence = {m: here if m in members else torch.zeros_like(here) for m, here in batch.presence.items()}
    return replace(batch, presence=presence)


def _forward(model: EmotionModel, batch: Batch, compute: Compute) -> Callable[[], None]:
    def run() -> None:
        predict(model, compute, batch)
        compute.wait()

    return run


def _clock(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def media_seconds(clip: Clip, folder: Path) -> float | None:
    """Duration of a clip's media, seconds; ``None`` for stills and clips without media."""
    paths = [path for path in (clip.audio, clip.video) if path]
    if not paths:
        return None
    end = clip.end or max(probe(media_path(path, folder)).duration or 0.0 for path in paths)
    return max(end - (clip.start or 0.0), 0.0) or None
