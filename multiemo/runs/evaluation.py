"""A trained model on one part of a split, or on another manifest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from multiemo.calibration import Calibration, fit_calibration, shown_keys
from multiemo.data.manifest.reading import read_manifest
from multiemo.data.splits.grouping import GROUP_BY
from multiemo.errors import ManifestError
from multiemo.evaluation import Collected, Gather, Report, collect, evaluate_model, join
from multiemo.progress import Progress
from multiemo.runs import batches as wiring
from multiemo.runs.checks import check_labels, nothing_known
from multiemo.runs.device import Compute, compute_of, predict
from multiemo.runs.folder.evaluation_log import count_read, home_of
from multiemo.runs.folder.recorded_paths import cache_of
from multiemo.runs.folder.source import part_of, stored_source
from multiemo.runs.missing_labels import lacking_notes
from multiemo.runs.model_folder import Bundle, load_bundle
from multiemo.runs.sources import has_label
from multiemo.smoothing import Turn, fit_stay
from multiemo.training.parallel import gather_objects
from multiemo.types import SUBSETS, Batch, Clip, Modality, Predicts, Sample

#: Most clips of a batch that is not trained on, of all processes together.
EVALUATION_BATCH = 64


def evaluation_loader(
    part: wiring.Part,
    modalities: Sequence[Modality],
    rows: Sequence[int],
    *,
    budget: Mapping[Modality, float],
    samples: Dataset[Sample] | None = None,
    processes: tuple[int, int] = (0, 1),
) -> DataLoader[Any]:
    """Batches of an evaluation, in the order of the manifest: at most 64 clips, and within the budget of training.

    Args:
        part: preprocessed.
        modalities: of the batches.
        rows: of the part.
        budget: see ``training.budget``.
        samples, processes: as in :meth:`multiemo.runs.batches.Part.loader`.
    """
    return part.loader(modalities, rows, EVALUATION_BATCH, budget=budget, samples=samples, processes=processes)


def gatherer(clips: Sequence[Clip], processes: int) -> Gather | None:
    """What makes one of the collections of several processes, in the order of the clips."""
    if processes == 1:
        return None
    order = [clip.id for clip in clips]
    return lambda collected: join(gather_objects(collected), order)


def evaluate_bundle(
    bundle: Bundle,
    part: wiring.Part,
    *,
    split: str,
    compute: Compute,
    intervals: bool = True,
    processes: tuple[int, int] = (0, 1),
) -> Report:
    """All subsets of one preprocessed part, with calibrated probabilities; several processes share the work.

    Args:
        bundle: the model.
        part: preprocessed.
        split: name of the part.
        compute: where, and in which precision.
        intervals: also bootstrap intervals and paired tests (slower).
        processes: which one this is, of how many.
    """
    dimensions = bundle.config.task == "dimensions"
    report = evaluate_model(
        *_over(bundle, part, compute, processes),
        label_set=bundle.labels,
        prior=bundle.prior.double().numpy(),
        split=split,
        task=bundle.config.task,
        intervals=intervals,
        calibration=None if dimensions else bundle.calibration,
        gather=gatherer(part.dataset.clips, processes[1]),
    )
    notes = list(report.notes)
    if split == "val" and bundle.calibration.temperatures:
        what = "temperatures, biases and thresholds were fitted on this part"
        notes.append(f"{what}: its calibrated figures are optimistic")
    notes += lacking_notes(bundle.labels, bundle.prior, part.prepared, split=split, task=bundle.config.task)
    return replace(report, notes=[*notes, *bundle.calibration.notes(), *part.notes()])


def calibrate_bundle(
    bundle: Bundle,
    part: wiring.Part,
    *,
    compute: Compute,
    weighed: Collection[str] = (),
    processes: tuple[int, int] = (0, 1),
) -> Calibration:
    """Everything that is fitted on a preprocessed validation part; nothing for dimensions alone.

    Args:
        bundle: the model.
        part: validation.
        compute: where, and in which precision.
        weighed: heads whose training weighed labels, as :func:`fit_calibration` takes them.
        processes: which one this is, of how many; they share the work.
    """
    if bundle.config.task == "dimensions":
        return Calibration()
    got = collect(*_over(bundle, part, compute, processes), task=bundle.config.task)
    gather = gatherer(part.dataset.clips, processes[1])
    if gather is not None:
        got = gather(got)
    model = bundle.model
    heads = model.branch_priors.detach().cpu().double().numpy()
    found = fit_calibration(
        got.probabilities,
        got.branches,
        got.presence,
        got.target,
        task=bundle.config.task,
        max_error=bundle.config.max_error,
        prior=bundle.prior.double().numpy(),
        learnt=model.effective_prior.detach().cpu().double().numpy(),
        branch_priors=dict(zip(model.modalities, heads, strict=True)),
        weighed=weighed,
        speakers=got.speakers,
    )
    return _with_smoothing(found, got, part.dataset.clips, bundle)


#: Seconds of a turn whose times nobody wrote down.
_TURN = 4.0


def _with_smoothing(calibration: Calibration, got: Collected, clips: Sequence[Clip], bundle: Bundle) -> Calibration:
    """Whether smoothing over time helps, and how much of it, from the dialogues of validation."""
    dialogues = dialogues_of(got.ids, clips)
    if not dialogues:
        return calibration
    key, task = max(got.probabilities, key=len), bundle.config.task
    shown = shown_keys(key, got.presence)
    probabilities = calibration.scaled(shown, got.probabilities[key], task)
    stay, facts = fit_stay(
        dialogues,
        probabilities,
        got.target,
        bundle.prior.double().numpy(),
        lambda p, rows: calibration.decide([shown[i] for i in rows], p, task),
        task=task,
    )
    return replace(calibration, stay_seconds=stay, smoothing=facts)


def dialogues_of(ids: Sequence[str], clips: Sequence[Clip]) -> list[list[Turn]]:
    """The turns of each group with several, in order: by their times, or as they stand where not all have any."""
    row = {name: i for i, name in enumerate(ids)}
    groups: dict[tuple[str, str], list[Clip]] = {}
    for clip in clips:
        if clip.group is not None and clip.id in row:
            groups.setdefault((clip.corpus, clip.group), []).append(clip)
    found = []
    for turns in groups.values():
        times = [(c.start, c.end) for c in turns if c.start is not None and c.end is not None and c.end > c.start]
        if len(times) < len(turns):
            times = [(_TURN * i, _TURN * (i + 1)) for i in range(len(turns))]
        placed = [Turn(row[c.id], start, end) for c, (start, end) in zip(turns, times, strict=True)]
        found.append(sorted(placed, key=lambda turn: turn.start))
    return [turns for turns in found if len(turns) > 1]


def _over(
    bundle: Bundle, part: wiring.Part, compute: Compute, processes: tuple[int, int]
) -> tuple[Predicts, Iterable[Batch]]:
    """The model with all its subsets, and the labelled clips of a part."""
    model = bundle.model.to(compute.device).eval()
    keys = [k for k, members in SUBSETS.items() if set(members) <= set(model.modalities)]
    rows = [i for i, known in enumerate(part.prepared.labelled) if known]
    budget = bundle.config.training.budget
    loader = evaluation_loader(part, model.modalities, rows, budget=budget, processes=processes)
    return partial(predict, model, compute, subsets=keys), loader


def evaluate_run(
    run: str | Path,
    *,
    manifest: str | Path | None = None,
    split: str | None = None,
    device: str | torch.device = "auto",
    by: str = "evaluate",
    progress: Progress | None = None,
) -> Report:
    """Measure a finished run on a part of its own split, or on another manifest as a whole.

    That it was read is counted in the run folder (see :mod:`multiemo.runs.folder.evaluation_log`), and said in the
    report's notes.

    Args:
        run: run folder, or the folder of one of its branches (with ``manifest`` also any model folder).
        manifest: evaluate on all labelled rows of this one instead; with ``split``, where the run's own lies now.
        split: part of the run's own split; ``None`` is ``test``.
        device: of this machine, as in :func:`multiemo.runs.device.compute_of`; the precision is that of training.
        by: what is counted as the reader.
        progress: told how far it is.

    Raises:
        MultiemoError: the run is not complete, its split is no longer what it was, media cannot be read, or there is
            no such device.
    """
    progress = progress or Progress()
    folder = Path(run)
    bundle = load_bundle(folder)
    compute = compute_of(bundle.config, device)
    label_from = bundle.facts.get("label_from", bundle.config.data.label_from)
    other = manifest is not None and split is None
    split = split or "test"
    if manifest is not None and other:
        path = Path(manifest)
        rows = read_manifest(path)
        clips = [c for c in rows if has_label(c, label_from, bundle.config.task)]
        if not clips:
            raise nothing_known(path, bundle.config.task, " to evaluate against")
        notes = _seen_notes(bundle, clips)
    else:
        source, notes = stored_source(home_of(folder), bundle, None if manifest is None else Path(manifest))
        path, rows, clips = source.manifest, source.clips, part_of(source, split)
    check_labels(path, clips, bundle.space(label_from))
    progress.stage("prepare")
    data = bundle.config.data
    cache = cache_of(home_of(folder), data.cache)
    part = wiring.prepare_part(
        bundle.config.model_copy(update={"data": data.model_copy(update={"cache": cache})}),
        path.parent,
        clips,
        bundle.inputs,
        label_from=label_from,
        dialogue=rows,
        progress=progress,
    )
    if not part.rows_with(bundle.model.modalities):
        raise ManifestError(
            f"{path}: no clip has {' or '.join(bundle.model.modalities)}, which this model reads{_mostly(part)}"
        )
    progress.stage("evaluate")
    report = evaluate_bundle(bundle, part, split=split, compute=compute)
    notes += count_read(
        bundle,
        clips,
        by=by,
        split=split,
        compute=compute,
        manifest=path if other else None,
        report=report,
    )
    return replace(report, notes=[*report.notes, *notes])


def _seen_notes(bundle: Bundle, clips: list[Clip]) -> list[str]:
    """A warning where a manifest holds clips, speakers or groups the model was trained or selected on."""
    known = {kind: len(bundle.seen.among(clips, kind)) for kind in GROUP_BY}
    counts = ", ".join(f"{count} {kind}s" for kind, count in known.items() if count)
    return [f"{counts} here were in training: the figures are optimistic"] if counts else []


def _mostly(part: wiring.Part) -> str:
    """Why most clips lack what they lack."""
    reasons = {m: max(counts, key=counts.__getitem__) for m, counts in part.prepared.absent.items()}
    return "".join(f"; {m}: {reason}" for m, reason in reasons.items())
