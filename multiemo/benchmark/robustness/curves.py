"""Robustness curves: the figures of a trained model by the severity of a corruption of its input.

Every point of a curve is measured on the same clips: those that have the modality (for the fused model, any modality)
without corruption. If a corruption makes a modality absent (no face is detected, every word is lost), the model uses
the remaining modalities, or its prior if none remains. Leaving such clips out would make the figures too high.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from multiemo import metrics
from multiemo.benchmark.measurements import Curve, Point
from multiemo.benchmark.robustness.answers import Bench, State, joined, subsets_of
from multiemo.benchmark.robustness.corrupted_clips import Forms, FormsOfClip, gather
from multiemo.benchmark.robustness.corruptions import Corruption, choose
from multiemo.errors import CheckpointError, MultiemoError
from multiemo.progress import Progress
from multiemo.runs import batches as wiring
from multiemo.runs.folder.evaluation_log import count_read
from multiemo.runs.model_folder import Bundle
from multiemo.runs.sources import Source
from multiemo.types import SUBSETS, Modality


def robustness_curves(
    models: Sequence[tuple[Bundle, Source]],
    *,
    part: str = "test",
    corruptions: Sequence[str | Corruption] | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
) -> list[Curve]:
    """Measure trained models under corruptions of their input.

    Each clip is decoded once for all corruptions and severities, and each of its forms is preprocessed. Only the
    corrupted modality is encoded again. Corrupted forms are not cached. The read of the part is logged in the folder of
    each model (see :mod:`multiemo.runs.folder.evaluation_log`).

    Args:
        models: one model with its manifest and split, or the models of several folds, whose clips are then measured
            together, each by the model of its fold. Voices and words are taken from ``train``.
        part: the part that is measured.
        corruptions: names (see ``corruptions.CORRUPTIONS``) or corruptions of your own; by default all that apply to
            the modalities of the models.
        seed: seed of all randomness.
        device: device of the models, see :func:`multiemo.runs.device.compute_of`.
        progress: receives the progress.

    Returns:
        For each corruption, one curve of all modalities together and one of only the corrupted modality. A curve that
        cannot be measured has no points, and ``skipped`` gives the reason.

    Raises:
        MultiemoError: a corruption is unknown, media cannot be read, or a clip is in the part of two models.
    """
    progress = progress or Progress()
    modalities = models[0][0].model.modalities
    wanted = choose(corruptions)
    if corruptions is None:
        wanted = [c for c in wanted if _applies(c, modalities)]
    _check_disjoint(models, part)
    progress.stage("prepare")
    benches = [_bench(bundle, source, part, device, progress) for bundle, source in models]
    reasons = {c.name: [_reason_to_skip(c, bench) for bench in benches] for c in wanted}
    skipped = {name: given[0] for name, given in reasons.items() if all(given)}
    progress.stage("robustness")
    found: dict[str, list[list[State]]] = {}
    for bench, (_, source) in zip(benches, models, strict=True):
        measured = [c for c in wanted if c.name not in skipped]
        for name, states in _states(bench, source, measured, seed, progress).items():
            found.setdefault(name, []).append(states)
    curves: list[Curve] = []
    for c in wanted:
        empty = [
            Curve(corruption=c.name, modality=c.modality, unit=c.unit, subset=key) for key in subsets_of(c, modalities)
        ]
        each = found.get(c.name, [])
        reason = skipped.get(
            c.name, "" if len(each) == len(benches) else "the train part has no voice of another person"
        )
        if reason:
            curves += [replace(curve, skipped=reason) for curve in empty]
        else:
            states = [joined(parts) for parts in zip(*each, strict=True)]
            curves += [_measured(curve, benches, states) for curve in empty]
    for bench in benches:
        count_read(bench.bundle, bench.clips, by="robustness", split=part, compute=bench.compute)
    return curves


def _bench(bundle: Bundle, source: Source, part: str, device: str | torch.device, progress: Progress) -> Bench:
    """Prepare the clips of a part and encode them."""
    prepared = wiring.prepare_part(
        bundle.config,
        source.folder,
        source.part(part),
        bundle.inputs,
        label_from=source.label_from,
        dialogue=source.clips,
        progress=progress,
    )
    return Bench(bundle, prepared, device)


def _check_disjoint(models: Sequence[tuple[Bundle, Source]], part: str) -> None:
    """Check that no clip would be measured twice.

    Raises:
        CheckpointError: a clip is in the part of two models.
    """
    seen: set[str] = set()
    for _, source in models:
        ids = set(source.split.parts[part])
        if both := seen & ids:
            raise CheckpointError(
                f"clip {min(both)!r} is in the {part} part of two models; pass the models of a single seed"
            )
        seen |= ids


def _applies(corruption: Corruption, modalities: Sequence[Modality]) -> bool:
    """Whether a corruption applies to a model with these modalities."""
    return len(modalities) > 1 if corruption.modality is None else corruption.modality in modalities


def _reason_to_skip(corruption: Corruption, bench: Bench) -> str:
    """Why a corruption cannot be measured with this model and these clips; empty if it can."""
    m = corruption.modality
    if m is None:
        return ""
    if m not in bench.presence:
        return f"the model has no {m} branch"
    entry = bench.bundle.inputs[m]
    if corruption.function is not None and not corruption.function.fits(entry):
        return f"the {m} encoder reads {entry.title}, which this corruption cannot change"
    having = [clip for clip, here in zip(bench.clips, bench.presence[m].tolist(), strict=True) if here]
    if not having:
        return f"no clip of this part has {m}"
    if corruption.needs == "film" and all(clip.video is None for clip in having):
        return "every face of this part is a still picture"
    return ""


def _states(
    bench: Bench, source: Source, corruptions: Sequence[Corruption], seed: int, progress: Progress
) -> dict[str, list[State]]:
    """{corruption: states of the clips without input, without corruption, and at each severity}.

    Corruptions that need voices are left out if a clip has no voice of another person in train.
    """
    material = gather(bench.bundle, source, corruptions, seed)
    without_voices = any(not material.other_voices(clip) for clip in bench.clips)
    corruptions = [c for c in corruptions if not (without_voices and c.needs == "voices")]
    keys = {c.name: subsets_of(c, bench.model.modalities) for c in corruptions}
    changing = [c for c in corruptions if c.function is not None]
    forms = Forms(bench.clips, source, bench.bundle, changing, material, seed)
    corrupted = bench.corrupted(changing, keys, _stream(forms, bench.bundle, progress)) if changing else {}
    corrupted |= {c.name: bench.missing(c, keys[c.name], seed) for c in corruptions if c.function is None}
    return {
        c.name: [bench.without_input(keys[c.name]), bench.state(None, bench.presence, keys[c.name]), *corrupted[c.name]]
        for c in corruptions
    }


def _stream(forms: Forms, bundle: Bundle, progress: Progress) -> Iterator[FormsOfClip]:
    """Yield the forms of each clip, in order; several processes make them if media are decoded.

    Raises:
        MultiemoError: a clip cannot be read.
    """
    decodes = any(entry.decodes for entry in forms.inputs.values())
    workers = wiring.worker_count(bundle.config.data.workers) if decodes else 0
    loader = DataLoader(forms, batch_size=None, num_workers=workers, collate_fn=_unchanged)
    for done, item in enumerate(loader, start=1):
        if isinstance(item, MultiemoError):
            raise item
        yield item
        progress.update(done, len(forms))


def _unchanged(item: Any) -> Any:
    """Replaces the loader's conversion to tensors."""
    return item


def _measured(curve: Curve, benches: Sequence[Bench], states: Sequence[State]) -> Curve:
    """Measure the points of a curve; the first two states are the clips without input and without corruption."""
    key = curve.subset
    blind, clean = states[:2]
    rows = np.logical_or.reduce([clean.presence[m] for m in SUBSETS[key]])
    samples = [sample for bench in benches for sample in bench.samples]
    target = benches[0].collate(samples).target.double().numpy()[rows]
    speakers = [sample.speaker for sample, here in zip(samples, rows, strict=True) if here]
    task, labels = benches[0].bundle.config.task, benches[0].bundle.labels
    measure = metrics.measure_of(task, len(labels))
    main = "ccc" if task == "dimensions" else "uar"
    names = ("ccc", "pearson", "mae", "rmse") if task == "dimensions" else ("uar", "macro_f1", "wf1", "accuracy")
    truth, before = metrics.scored(task, target, clean.probabilities[key][rows], _labels(clean, key, rows))
    guessed = metrics.scored(task, target, blind.probabilities[key][rows], _labels(blind, key, rows))[1]
    prior = measure.plain(truth, guessed)[main]
    points = []
    for state in states[1:]:
        probabilities = state.probabilities[key][rows]
        predicted_labels = _labels(state, key, rows)
        _, predicted = metrics.scored(task, target, probabilities, predicted_labels)
        figures = metrics.estimates(measure, truth, predicted, speakers)
        measured: dict[str, Any] = {name: figures[name].value for name in names}
        measured[f"{main}_ci"] = (figures[main].low, figures[main].high)
        gone = [~state.presence[m][rows] for m in ([curve.modality] if curve.modality else state.presence)]
        points.append(
            Point(
                severity=state.severity,
                n=len(target),
                absent=float(np.mean(gone)),
                ece=None
                if predicted_labels is None
                else metrics.calibration_error(task, target, probabilities, predicted_labels),
                difference=None
                if state is clean
                else metrics.paired_tests(measure, truth, predicted, before, speakers)[main],
                **measured,
            )
        )
    return replace(curve, prior=prior, points=points)


def _labels(state: State, key: str, rows: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    """The predicted labels of some clips; ``None`` for dimensions."""
    return state.decided[key][rows] if key in state.decided else None
