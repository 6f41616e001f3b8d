"""A trained model on one part of a split, or on another manifest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from multiemo.build import data as wiring
from multiemo.build.bundle import Bundle, load_bundle
from multiemo.build.observer import Observer
from multiemo.calibration import Calibration, fit_calibration
from multiemo.data.grouping import GROUP_BY
from multiemo.data.manifest import read_manifest
from multiemo.data.seen import check_unseen
from multiemo.data.splits import Split, check_disjoint
from multiemo.errors import CheckpointError, ConfigError, ManifestError
from multiemo.evaluate import Gather, Report, collect, evaluate_model, join
from multiemo.training.parallel import gather_objects
from multiemo.types import SUBSETS, Batch, Clip, Output, Predicts

EVALUATION_BATCH = 64


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
    device: Any = "cpu",
    intervals: bool = True,
    processes: tuple[int, int] = (0, 1),
) -> Report:
    """All subsets of one preprocessed part, with calibrated probabilities; several processes share the work."""
    report = evaluate_model(
        *_over(bundle, part, device, processes),
        label_set=bundle.labels,
        prior=bundle.prior.double().numpy(),
        split=split,
        task=bundle.config.task,
        intervals=intervals,
        calibration=bundle.calibration,
        gather=gatherer(part.dataset.clips, processes[1]),
    )
    if split == "val" and bundle.calibration.temperatures:
        what = "temperatures" if bundle.calibration.max_error is None else "temperatures and thresholds"
        report.notes.append(f"the {what} were fitted on this part: its calibrated figures are optimistic")
    report.notes += bundle.calibration.notes()
    for clip, message in part.prepared.bad.items():
        report.notes.append(f"left out {clip}: {message}")
    report.notes += part.dataset.space.notes(part.dataset.clips)
    return report


def calibrate_bundle(
    bundle: Bundle, part: wiring.Part, *, device: Any = "cpu", processes: tuple[int, int] = (0, 1)
) -> Calibration:
    """Temperatures, and thresholds for the config's ``max_error``, from a preprocessed validation part."""
    got = collect(*_over(bundle, part, device, processes), task=bundle.config.task)
    gather = gatherer(part.dataset.clips, processes[1])
    if gather is not None:
        got = gather(got)
    return fit_calibration(
        got.probabilities,
        got.branches,
        got.presence,
        got.target,
        task=bundle.config.task,
        max_error=bundle.config.max_error,
    )


def _over(
    bundle: Bundle, part: wiring.Part, device: Any, processes: tuple[int, int]
) -> tuple[Predicts, Iterable[Batch]]:
    """The model with all its subsets, and the labelled clips of a part."""
    model = bundle.model.to(device).eval()
    keys = [k for k, members in SUBSETS.items() if set(members) <= set(model.modalities)]
    rows = [i for i, known in enumerate(part.prepared.labelled) if known]

    def predict(batch: Batch) -> Output:
        output: Output = model(batch.to(device), subsets=keys)
        return output

    return predict, part.loader(model.modalities, rows, EVALUATION_BATCH, processes=processes)


def evaluate_run(
    run: str | Path,
    *,
    manifest: str | Path | None = None,
    split: str = "test",
    observer: Observer | None = None,
) -> Report:
    """Measure a finished run on a part of its own split, or on another manifest as a whole.

    Args:
        run: run folder (with ``manifest`` also any model folder).
        manifest: evaluate on all labelled rows of this one instead.
        split: part of the run's own split.
        observer: is told of progress.

    Raises:
        MultiemoError: the run is not complete, its split is no longer what it was, or media cannot be read.
    """
    observer = observer or Observer()
    folder = Path(run)
    bundle = load_bundle(folder)
    label_from = bundle.config.data.label_from
    if manifest is not None:
        path = Path(manifest)
        rows = read_manifest(path)
        clips = [c for c in rows if wiring.has_label(c, label_from)]
        if not clips:
            raise ManifestError(f"{path}: no row has a label to evaluate against")
        notes = _seen_notes(bundle, clips)
    else:
        source = _stored_source(folder, bundle)
        if split not in source.split.parts:
            raise ConfigError(f"--split: {split!r} is not a part; choices: {', '.join(source.split.parts)}")
        path, rows, clips, notes = source.manifest, source.clips, source.part(split), list(source.split.notes)
    observer.stage("prepare")
    part = wiring.prepare_part(
        bundle.config,
        path.parent,
        clips,
        bundle.preprocessors,
        label_from=label_from,
        dialogue=rows,
        on_progress=observer.progress,
    )
    observer.stage("evaluate")
    report = evaluate_bundle(bundle, part, split=split)
    report.notes += notes
    return report


def _seen_notes(bundle: Bundle, clips: list[Clip]) -> list[str]:
    """A warning where a manifest holds clips, speakers or groups the model was trained or selected on."""
    known = {kind: len(bundle.seen.among(clips, kind)) for kind in GROUP_BY}
    counts = ", ".join(f"{count} {kind}s" for kind, count in known.items() if count)
    return [f"{counts} here were in training: the figures are optimistic"] if counts else []


def _stored_source(folder: Path, bundle: Bundle) -> wiring.Source:
    """The source of a run, split as the run wrote it down."""
    path = folder / "splits.json"
    if not path.is_file():
        raise CheckpointError(f"{folder}: no splits.json; name a manifest to evaluate on with --manifest")
    stage = bundle.facts["stage"]
    stored = json.loads(path.read_text("utf-8"))[stage]
    manifest = Path(bundle.facts["manifest"])
    if not manifest.is_file():
        raise ManifestError(f"{manifest}: the run's manifest is not there; name it with --manifest")
    split = Split.from_json(json.dumps(stored))
    if split.hash != bundle.facts["split"]:
        raise CheckpointError(
            f"{path}: holds the split {split.hash}, the model was trained on {bundle.facts['split']}; splits.json is "
            "of another run"
        )
    clips = read_manifest(manifest)
    missing = {i for ids in split.parts.values() for i in ids} - {c.id for c in clips}
    if missing:
        raise ManifestError(
            f"{manifest}: {len(missing)} clips of the run's split are gone (first: {min(missing)!r}); the figures "
            "would not be those of this run"
        )
    check_disjoint(split, clips)
    check_unseen(bundle.seen, clips, split, f"the model {folder}")
    return wiring.Source(manifest, clips, split, bundle.config.data.label_from)
