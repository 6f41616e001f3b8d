"""Explains a model as a whole on one part of its split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from multiemo.evaluation import ClipPrediction, Report
from multiemo.evaluation.groups import GroupErrors, errors_by_group
from multiemo.explanation.attribution import ScoredViews, score_views
from multiemo.explanation.clips import clip_inputs
from multiemo.explanation.faithfulness.measure import draw_clips
from multiemo.explanation.faithfulness.records import Faithfulness
from multiemo.explanation.faithfulness.stored import read_faithfulness
from multiemo.explanation.overall.cues import CueCollector, mean_of
from multiemo.explanation.overall.records import (
    Confusion,
    ConfusionExample,
    LabelContributions,
    ModelExplanation,
)
from multiemo.explanation.target import ClipTarget
from multiemo.metrics import scored
from multiemo.model import contributions
from multiemo.progress import Progress
from multiemo.runs import batches
from multiemo.runs.device import Compute, compute_of
from multiemo.runs.evaluation import evaluate_bundle
from multiemo.runs.folder.evaluation_log import count_read, run_folder_of
from multiemo.runs.folder.recorded_paths import cache_of
from multiemo.runs.folder.source import part_of, stored_source
from multiemo.runs.model_folder import Bundle, load_bundle
from multiemo.types import Clip, Modality, subset_key

#: Most frequent confusions that are reported, and examples of each.
MOST_CONFUSIONS, EXAMPLES = 6, 2
#: Parts that are named for each modality of an example.
_NAMED_PARTS = 3


def explain_run(
    run: str | Path,
    *,
    split: str = "val",
    manifest: str | Path | None = None,
    clips: int = 200,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
) -> ModelExplanation:
    """Explain a finished run on a part of its own split: cues by label, confusions, errors by group.

    The labels are those that the model decided for. Evidence is computed for some clips of each label, spread over
    speakers; errors and contributions are those of all clips. Reading the test part is recorded like any evaluation.

    Args:
        run: run folder, or the folder of one of its branches.
        split: part of the run's own split.
        manifest: new path of the run's manifest, if it has moved.
        clips: number of clips whose evidence is computed.
        seed: seed of the draw.
        device: device, as in :func:`multiemo.runs.device.compute_of`.
        progress: receives the current stage and its progress.

    Raises:
        MultiemoError: the run is incomplete, the part is empty, media cannot be read, or the device is not available.
    """
    progress = progress or Progress()
    folder = Path(run)
    home = run_folder_of(folder)
    bundle = load_bundle(folder)
    compute = compute_of(bundle.config, device)
    source, notes = stored_source(home, bundle, None if manifest is None else Path(manifest))
    progress.stage("prepare")
    data = bundle.config.data.model_copy(update={"cache": cache_of(home, bundle.config.data.cache)})
    part = batches.prepare_part(
        bundle.config.model_copy(update={"data": data}),
        source.folder,
        part_of(source, split),
        bundle.inputs,
        label_from=source.label_from,
        dialogue=source.clips,
        progress=progress,
    )
    progress.stage("evaluate")
    report = evaluate_bundle(bundle, part, split=split, compute=compute, intervals=False)
    if split == "test":
        notes += count_read(
            bundle, part.dataset.clips, by="explain", split=split, compute=compute, manifest=None, report=report
        )
    outcomes = Outcomes.of(report, bundle, part.dataset.clips)
    subject = _Subject(bundle, compute, part, outcomes, read_faithfulness(folder))
    progress.stage("explain")
    examples = outcomes.examples()
    collector = CueCollector()
    chosen = outcomes.draw(clips, seed)
    hidden: dict[str, str] = {}
    for done, row in enumerate(chosen, start=1):
        subject.collect(row, collector, hidden)
        progress.update(done, len(chosen))
    return ModelExplanation(
        name=bundle.config.name,
        task=bundle.config.task,
        labels=list(bundle.labels),
        modalities=list(bundle.model.modalities),
        corpus=source.manifest.stem,
        corpus_kind=report.corpus_kind,
        part=split,
        clips=report.n,
        speakers=report.speakers,
        explained=len(chosen),
        seed=seed,
        contributions=outcomes.contributions(),
        cues=collector.summarise(bundle.labels),
        confusions=[subject.confusion(*pair, rows) for pair, rows in examples.items()],
        groups=outcomes.groups(),
        faithfulness=subject.faithfulness,
        hidden=hidden,
        notes=[*part.prepared.left_out(), *notes],
    )


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a model answered on a part.

    Args:
        bundle: the model.
        report: its evaluation.
        rows: ``[N]`` row of each evaluated clip in the part.
        clips: ``[N]`` the clips.
        said: ``[N]`` column that is explained: the decided label, of several the most probable one, or the first
            learnt dimension.
        truth: ``[N]`` column of the true label; -1 if there is not exactly one.
    """

    bundle: Bundle
    report: Report
    rows: list[int]
    clips: list[Clip]
    said: list[int]
    truth: list[int]

    @classmethod
    def of(cls, report: Report, bundle: Bundle, clips: Sequence[Clip]) -> Outcomes:
        """The outcomes of an evaluation.

        Args:
            report: the evaluation.
            bundle: the model.
            clips: all clips of the part, in order.
        """
        place = {clip.id: row for row, clip in enumerate(clips)}
        rows = [place[p["id"]] for p in report.predictions]
        said, truth = [], []
        for prediction in report.predictions:
            said.append(_said(prediction, report, bundle))
            target = np.array(prediction["target"], dtype=float)
            one = report.task in ("single", "soft") and (target == target.max()).sum() == 1
            truth.append(int(target.argmax()) if one else -1)
        return cls(bundle, report, rows, [clips[row] for row in rows], said, truth)

    def draw(self, count: int, seed: int) -> list[int]:
        """Positions of clips to explain: as many for each explained label as there are, spread over speakers.

        Args:
            count: number of clips, over all labels.
            seed: seed of the draw.
        """
        labels = sorted(set(self.said))
        drawn: list[int] = []
        place = {clip.id: i for i, clip in enumerate(self.clips)}
        for turn, label in enumerate(labels):
            own = [clip for clip, said in zip(self.clips, self.said, strict=True) if said == label]
            share = count // len(labels) + (turn < count % len(labels))
            drawn += [place[clip.id] for clip in draw_clips(own, share, seed)]
        return sorted(drawn)

    def examples(self) -> dict[tuple[int, int], list[int]]:
        """{(true, decided label): positions of such clips}, of the most frequent confusions, surest first."""
        found: dict[tuple[int, int], list[int]] = {}
        for i, (truth, said) in enumerate(zip(self.truth, self.said, strict=True)):
            if truth not in (-1, said):
                found.setdefault((truth, said), []).append(i)
        most = sorted(found, key=lambda pair: (-len(found[pair]), pair))[:MOST_CONFUSIONS]
        return {pair: sorted(found[pair], key=lambda i: -self.probability(i, pair[1])) for pair in most}

    def probability(self, i: int, column: int) -> float:
        """Calibrated probability of a label for a clip, given all that it has."""
        return float(self.report.predictions[i]["probs"][self.report.full][column] or 0.0)

    def shapley(self, i: int) -> dict[Modality, float]:
        """Shapley values of the modalities for the explained label of a clip; empty with fewer than two modalities."""
        prediction = self.report.predictions[i]
        by_subset = prediction.get("probs") or prediction.get("values") or {}
        present = [m for m in self.bundle.model.modalities if subset_key([m]) in by_subset]
        if len(self.bundle.model.modalities) < 2 or not present:
            return {}
        known = {key: np.array(values, dtype=float).tolist() for key, values in by_subset.items()}
        return contributions(known, self.bundle.prior, present, self.said[i])

    def contributions(self) -> list[LabelContributions]:
        """What the modalities contribute to each label, over all clips."""
        found = []
        for label in sorted(set(self.said)):
            own = [i for i, said in enumerate(self.said) if said == label]
            values: dict[Modality, list[tuple[float, str]]] = {}
            for i in own:
                for m, value in self.shapley(i).items():
                    values.setdefault(m, []).append((value, self.report.predictions[i]["speaker"]))
            if values:
                means = {m: mean_of(values[m]) for m in self.bundle.model.modalities if m in values}
                found.append(LabelContributions(label=self.bundle.labels[label], clips=len(own), contribution=means))
        return found

    def groups(self) -> GroupErrors:
        """Errors by group of clips."""
        report, task = self.report, self.report.task
        key = report.full
        target = np.array([p["target"] for p in report.predictions], dtype=float)
        kept = [p["values"] if task == "dimensions" else p["probs"] for p in report.predictions]
        nothing = [float("nan")] * target.shape[1]
        values = np.array([found.get(key, nothing) for found in kept], dtype=float)
        decided = None if task == "dimensions" else np.array([p["said"][key] for p in report.predictions])
        truth, predicted = scored(task, target, values, decided)
        return errors_by_group(task, truth, predicted, [p["speaker"] for p in report.predictions], self.clips)


def _said(prediction: ClipPrediction, report: Report, bundle: Bundle) -> int:
    """The column that is explained."""
    if report.task == "dimensions":
        return bundle.model.learnt_dimensions[0]
    if report.task == "multi":
        return int(np.argmax(np.array(prediction["probs"][report.full], dtype=float)))
    said = prediction["said"][report.full]
    assert isinstance(said, int)
    return said


@dataclass(frozen=True, slots=True)
class _Subject:
    """The model and the part that are explained."""

    bundle: Bundle
    compute: Compute
    part: batches.Part
    outcomes: Outcomes
    faithfulness: Faithfulness | None

    def collect(self, i: int, collector: CueCollector, hidden: dict[str, str]) -> None:
        """Add the evidence of one clip; ``hidden`` receives kinds of evidence that failed their checks."""
        outcomes = self.outcomes
        label, speaker = self.bundle.labels[outcomes.said[i]], outcomes.report.predictions[i]["speaker"]
        for m, found in self.evidence(i).items():
            collector.add(label, speaker, m, found.views)
            hidden |= {f"{m}: {unit}": reason for unit, reason in found.hidden.items()}

    def evidence(self, i: int) -> dict[Modality, ScoredViews]:
        """{modality: evidence inside it} of one clip, for its explained label."""
        model, label = self.bundle.model, self.outcomes.said[i]
        sample, inputs = clip_inputs(self.part.dataset, self.outcomes.rows[i])
        return {
            m: score_views(
                clip,
                ClipTarget(model, self.bundle.calibration, self.compute, sample, m, label, self.bundle.labels),
                self.faithfulness,
            )
            for m, clip in inputs.items()
        }

    def confusion(self, truth: int, said: int, positions: Sequence[int]) -> Confusion:
        """A confusion with examples.

        Args:
            truth: column of the true label.
            said: column of the decided label.
            positions: positions of such clips, the surest first.
        """
        labels, outcomes = self.bundle.labels, self.outcomes
        of_truth = sum(column == truth for column in outcomes.truth)
        return Confusion(
            truth=labels[truth],
            said=labels[said],
            clips=len(positions),
            share=len(positions) / of_truth,
            examples=[self._example(i, truth, said) for i in positions[:EXAMPLES]],
        )

    def _example(self, i: int, truth: int, said: int) -> ConfusionExample:
        clip, outcomes = self.outcomes.clips[i], self.outcomes
        leading: Mapping[Modality, list[str]] = {
            m: [
                part.detail or part.name
                for part in sorted(found.views[0].parts, key=lambda part: -part.score)[:_NAMED_PARTS]
                if part.score > 0
            ]
            for m, found in self.evidence(i).items()
            if found.views
        }
        return ConfusionExample(
            id=clip.id,
            speaker=outcomes.report.predictions[i]["speaker"],
            text=clip.text,
            probs={self.bundle.labels[c]: round(outcomes.probability(i, c), 6) for c in (truth, said)},
            contribution={m: round(v, 6) for m, v in outcomes.shapley(i).items()},
            evidence={m: parts for m, parts in leading.items() if parts},
        )
