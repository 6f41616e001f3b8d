"""Evaluates and calibrates a trained model on one part of a split or on another manifest."""

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
from multiemo.encoders.base import Encoder
from multiemo.encoders.common.speaker_offset import not_normalised_error
from multiemo.errors import ManifestError
from multiemo.evaluation import Collected, Gather, Report, collect, evaluate_model, join
from multiemo.model import EmotionModel
from multiemo.progress import Progress
from multiemo.runs import batches
from multiemo.runs.checks import check_labels, no_labels_error
from multiemo.runs.conflict import fit_conflict
from multiemo.runs.device import Compute, compute_of, predict
from multiemo.runs.folder.evaluation_log import count_read, run_folder_of
from multiemo.runs.folder.privacy_facts import PrivacyFacts
from multiemo.runs.folder.recorded_paths import cache_of
from multiemo.runs.folder.source import part_of, stored_source
from multiemo.runs.frozen.once import Computer
from multiemo.runs.frozen.samples import WithFrozen
from multiemo.runs.frozen.states import cache_states
from multiemo.runs.missing_labels import missing_label_notes
from multiemo.runs.model_folder import Bundle, load_bundle
from multiemo.runs.sources import has_label
from multiemo.runs.speakers import speaker_draws
from multiemo.smoothing import Turn, fit_stay
from multiemo.training.parallel import gather_objects
from multiemo.types import SUBSETS, Batch, Clip, Modality, Predicts, Sample

#: Maximum clips per evaluation batch, summed over all processes.
EVALUATION_BATCH = 64


def evaluation_loader(
    part: batches.Part,
    modalities: Sequence[Modality],
    rows: Sequence[int],
    *,
    budget: Mapping[Modality, float],
    samples: Dataset[Sample] | None = None,
    processes: tuple[int, int] = (0, 1),
) -> DataLoader[Any]:
    """Evaluation batches in manifest order: at most 64 clips, within the training budget.

    Args:
        part: preprocessed part.
        modalities: modalities to collate.
        rows: indices into the part.
        budget: {modality: maximum amount in one process's batch}, see ``training.budget``.
        samples: as in :meth:`multiemo.runs.batches.Part.loader`.
        processes: (rank of this process, number of processes).
    """
    return part.loader(modalities, rows, EVALUATION_BATCH, budget=budget, samples=samples, processes=processes)


def gatherer(clips: Sequence[Clip], processes: int) -> Gather | None:
    """A function that merges the collected outputs of all processes in clip order; ``None`` for one process.

    Args:
        clips: clips in the order of the result.
        processes: number of processes.
    """
    if processes == 1:
        return None
    order = [clip.id for clip in clips]
    return lambda collected: join(gather_objects(collected), order)


def evaluate_bundle(
    bundle: Bundle,
    part: batches.Part,
    *,
    split: str,
    compute: Compute,
    intervals: bool = True,
    processes: tuple[int, int] = (0, 1),
    enrol_clips: int = 0,
) -> Report:
    """Evaluate all subsets on one preprocessed part, with calibrated probabilities.

    Several processes share the work, and each returns the full report.

    Args:
        bundle: model to evaluate.
        part: preprocessed part.
        split: name of the part.
        compute: device and precision.
        intervals: also compute bootstrap intervals and paired tests (slower).
        processes: (rank of this process, number of processes).
        enrol_clips: as in :func:`evaluate_run`.
    """
    dimensions = bundle.config.task == "dimensions"
    report = evaluate_model(
        *_model_and_batches(bundle, part, compute, processes, enrol_clips),
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
    if enrol_clips:
        notes.append(
            f"each clip is compared with up to {enrol_clips} other clips of its speaker in this part, drawn at random, "
            "whose labels are not used"
        )
    notes += missing_label_notes(bundle.labels, bundle.prior, part.prepared, split=split, task=bundle.config.task)
    if "privacy" in bundle.facts:
        notes.append(PrivacyFacts.from_json(dict(bundle.facts["privacy"])).note())
    return replace(report, notes=[*notes, *bundle.calibration.notes(), *part.notes()])


def calibrate_bundle(
    bundle: Bundle,
    part: batches.Part,
    *,
    compute: Compute,
    weighted_heads: Collection[str] = (),
    processes: tuple[int, int] = (0, 1),
) -> Calibration:
    """Fit temperatures, biases, thresholds, conflict scores and smoothing on a preprocessed validation part.

    Several processes share the work. With ``task: dimensions`` the calibration is empty.

    Args:
        bundle: model to calibrate.
        part: validation part.
        compute: device and precision.
        weighted_heads: heads trained with label weights, as in :func:`fit_calibration`.
        processes: (rank of this process, number of processes).
    """
    if bundle.config.task == "dimensions":
        return Calibration()
    outputs = collect(*_model_and_batches(bundle, part, compute, processes), task=bundle.config.task)
    gather = gatherer(part.dataset.clips, processes[1])
    if gather is not None:
        outputs = gather(outputs)
    model = bundle.model
    heads = model.branch_priors.detach().cpu().double().numpy()
    calibration = fit_calibration(
        outputs.probabilities,
        outputs.branches,
        outputs.presence,
        outputs.target,
        task=bundle.config.task,
        max_error=bundle.config.max_error,
        prior=bundle.prior.double().numpy(),
        learnt=model.effective_prior.detach().cpu().double().numpy(),
        branch_priors=dict(zip(model.modalities, heads, strict=True)),
        weighted_heads=weighted_heads,
        speakers=outputs.speakers,
    )
    conflict = fit_conflict(outputs, calibration, bundle.labels, bundle.config.task)
    return _with_smoothing(replace(calibration, conflict=conflict), outputs, part.dataset.clips, bundle)


#: Assumed length, in seconds, of a turn without times in the manifest.
_TURN_SECONDS = 4.0


def _with_smoothing(calibration: Calibration, outputs: Collected, clips: Sequence[Clip], bundle: Bundle) -> Calibration:
    """Add smoothing over time, if it helps, with its strength fitted on the validation dialogues."""
    dialogues = dialogues_of(outputs.ids, clips)
    if not dialogues:
        return calibration
    key, task = max(outputs.probabilities, key=len), bundle.config.task
    shown = shown_keys(key, outputs.presence)
    probabilities = calibration.scaled(shown, outputs.probabilities[key], task)
    stay, facts = fit_stay(
        dialogues,
        probabilities,
        outputs.target,
        bundle.prior.double().numpy(),
        lambda p, rows: calibration.decide([shown[i] for i in rows], p, task),
        task=task,
    )
    return replace(calibration, stay_seconds=stay, smoothing=facts)


def dialogues_of(ids: Sequence[str], clips: Sequence[Clip]) -> list[list[Turn]]:
    """The turns of each group that has more than one, in order of time.

    If any turn of a group lacks times, its turns keep the manifest's order and get equal lengths.

    Args:
        ids: ids of the collected clips; ``Turn.row`` is an index into them.
        clips: rows of the part.
    """
    row = {name: i for i, name in enumerate(ids)}
    groups: dict[tuple[str, str], list[Clip]] = {}
    for clip in clips:
        if clip.group is not None and clip.id in row:
            groups.setdefault((clip.corpus, clip.group), []).append(clip)
    found = []
    for turns in groups.values():
        times = [(c.start, c.end) for c in turns if c.start is not None and c.end is not None and c.end > c.start]
        if len(times) < len(turns):
            times = [(_TURN_SECONDS * i, _TURN_SECONDS * (i + 1)) for i in range(len(turns))]
        placed = [Turn(row[c.id], start, end) for c, (start, end) in zip(turns, times, strict=True)]
        found.append(sorted(placed, key=lambda turn: turn.start))
    return [turns for turns in found if len(turns) > 1]


def _model_and_batches(
    bundle: Bundle, part: batches.Part, compute: Compute, processes: tuple[int, int], enrol_clips: int = 0
) -> tuple[Predicts, Iterable[Batch]]:
    """A function that predicts all subsets of a batch, and the batches of the part's labelled clips.

    Frozen models whose hidden states are pooled over time are not run again on clips whose states the cache has.

    Raises:
        ConfigError: clips are to be enrolled, and no encoder of the model normalises speakers.
    """
    model = bundle.model.to(compute.device).eval()
    keys = [k for k, members in SUBSETS.items() if set(members) <= set(model.modalities)]
    rows = [i for i, known in enumerate(part.prepared.labelled) if known]
    budget = bundle.config.training.budget
    encoders = {m: e for m in model.modalities if isinstance(e := model.encoders[m], Encoder)}
    computer = Computer(compute, None, budget, EVALUATION_BATCH, Progress())
    samples = _pooled_states(part, model, encoders, computer) if processes[1] == 1 else None
    loader = evaluation_loader(part, model.modalities, rows, budget=budget, samples=samples, processes=processes)
    predicts = partial(predict, model, compute, subsets=keys)
    if not enrol_clips:
        return predicts, loader
    draws = speaker_draws(part, encoders, samples, compute=compute)
    if draws is None:
        raise not_normalised_error("--enrol-clips")
    generator = torch.Generator().manual_seed(bundle.config.seed)

    return predicts, (draws.drawn(batch.to(compute.device), (enrol_clips,), generator) for batch in loader)


def _pooled_states(
    part: batches.Part, model: EmotionModel, encoders: Mapping[Modality, Encoder], computer: Computer
) -> WithFrozen | None:
    """The samples of a part with what frozen models computed from them, pooled over time; ``None`` if there is none.

    Inputs whose reliability the model measures are read as well.
    """
    states = {}
    for m, encoder in encoders.items():
        frozen = encoder.frozen_part()
        if frozen is None or (m in model.reliability and frozen.beside):
            continue  # with states, such an encoder gets only a part of the input
        if (found := cache_states(part, m, encoder, computer, pooled=True)) is not None:
            states[m] = found
    return WithFrozen(part, {}, states, kept=[m for m in states if m in model.reliability]) if states else None


def evaluate_run(
    run: str | Path,
    *,
    manifest: str | Path | None = None,
    split: str | None = None,
    device: str | torch.device = "auto",
    by: str = "evaluate",
    enrol_clips: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Evaluate a finished run on a part of its own split, or on all labelled rows of another manifest.

    Each evaluation is recorded in the run folder (see :mod:`multiemo.runs.folder.evaluation_log`) and mentioned in the
    report's notes.

    Args:
        run: run folder, or the folder of one of its branches (with ``manifest`` also any model folder).
        manifest: another manifest to evaluate on; with ``split``, the new path of the run's own manifest.
        split: part of the run's own split; ``None`` is ``test``.
        device: device, as in :func:`multiemo.runs.device.compute_of`; the precision is that of training.
        by: name of the reader in the evaluation log.
        enrol_clips: with encoders that normalise speakers, the number of other clips of its speaker that each clip is
            compared with, without their labels; all there are if a speaker has fewer.
        progress: receives the current stage and its progress.

    Raises:
        MultiemoError: the run is incomplete, its split no longer matches the manifest, media cannot be read, or the
            device is not available.
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
            raise no_labels_error(path, bundle.config.task, " to evaluate against")
        notes = _seen_notes(bundle, clips)
    else:
        source, notes = stored_source(run_folder_of(folder), bundle, None if manifest is None else Path(manifest))
        path, rows, clips = source.manifest, source.clips, part_of(source, split)
    check_labels(path, clips, bundle.space(label_from))
    progress.stage("prepare")
    data = bundle.config.data
    cache = cache_of(run_folder_of(folder), data.cache)
    part = batches.prepare_part(
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
    report = evaluate_bundle(bundle, part, split=split, compute=compute, enrol_clips=enrol_clips)
    notes += count_read(
        bundle,
        clips,
        by=f"{by} --enrol-clips {enrol_clips}" if enrol_clips else by,
        split=split,
        compute=compute,
        manifest=path if other else None,
        report=report,
    )
    return replace(report, notes=[*report.notes, *notes])


def _seen_notes(bundle: Bundle, clips: list[Clip]) -> list[str]:
    """A warning if a manifest has clips, speakers or groups that the model was trained or selected on."""
    known = {kind: len(bundle.seen.among(clips, kind)) for kind in GROUP_BY}
    counts = ", ".join(f"{count} {kind}s" for kind, count in known.items() if count)
    return [f"{counts} here were in training: the figures are optimistic"] if counts else []


def _mostly(part: batches.Part) -> str:
    """The most frequent reason for absence of each modality, as the end of a message."""
    reasons = {m: max(counts, key=counts.__getitem__) for m, counts in part.prepared.absent.items()}
    return "".join(f"; {m}: {reason}" for m, reason in reasons.items())
