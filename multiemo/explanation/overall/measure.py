"""Explains a model as a whole on one part of its split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from multiemo.data.collate import Collate
from multiemo.explanation.attribution import ScoredViews, score_views
from multiemo.explanation.clips import clip_inputs
from multiemo.explanation.emap import AdditiveComparison, compare_additive, emap
from multiemo.explanation.faithfulness.records import Faithfulness
from multiemo.explanation.faithfulness.stored import read_faithfulness
from multiemo.explanation.overall.cues import CueCollector
from multiemo.explanation.overall.outcomes import Outcomes
from multiemo.explanation.overall.records import Confusion, ConfusionExample, ModelExplanation
from multiemo.explanation.target import ClipTarget
from multiemo.progress import Progress
from multiemo.runs import batches
from multiemo.runs.device import Compute, compute_of, predict
from multiemo.runs.evaluation import EVALUATION_BATCH, evaluate_bundle
from multiemo.runs.folder.evaluation_log import count_read, run_folder_of
from multiemo.runs.folder.recorded_paths import cache_of
from multiemo.runs.folder.source import part_of, stored_source
from multiemo.runs.model_folder import Bundle, load_bundle
from multiemo.types import Modality, subset_key

#: Examples of each confusion.
EXAMPLES = 2
#: Largest number of clips on which the model is compared with its additive projection.
_MOST_ADDITIVE = 400
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
        effects=outcomes.modalities(),
        additive=subject.additive(),
        cues=collector.summarise(bundle.labels),
        confusions=[subject.confusion(*pair, rows) for pair, rows in examples.items()],
        groups=outcomes.groups(),
        faithfulness=subject.faithfulness,
        hidden=hidden,
        notes=[*part.prepared.left_out(), *notes],
    )


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

    def additive(self) -> AdditiveComparison | None:
        """What interactions between modalities add; ``None`` for a single branch, or unless clips have one label."""
        model, outcomes = self.bundle.model, self.outcomes
        known = [i for i, truth in enumerate(outcomes.truth) if truth >= 0]
        whole = [i for i in known if len(self.part.dataset[outcomes.rows[i]].inputs) == len(model.modalities)]
        if len(model.modalities) < 2 or len(whole) < 2:
            return None
        chosen = whole[:: max(1, len(whole) // _MOST_ADDITIVE)][:_MOST_ADDITIVE]
        inputs: dict[Modality, list[torch.Tensor]] = {m: [] for m in model.modalities}
        collate = Collate(model.modalities, len(self.bundle.labels))
        for start in range(0, len(chosen), EVALUATION_BATCH):
            rows = [outcomes.rows[i] for i in chosen[start : start + EVALUATION_BATCH]]
            output = predict(model, self.compute, collate([self.part.dataset[row] for row in rows]))
            for m in model.modalities:
                embedding = output.embeddings[m].float()
                certain = embedding.new_ones(len(embedding))
                inputs[m].append(torch.column_stack([embedding, output.reliability.get(m, certain)]))
        projection = emap({m: torch.cat(parts) for m, parts in inputs.items()}, self._fuse)
        truth = np.array([outcomes.truth[i] for i in chosen])
        return compare_additive(projection, truth, [outcomes.report.predictions[i]["speaker"] for i in chosen])

    def _fuse(self, inputs: Mapping[Modality, torch.Tensor]) -> torch.Tensor:
        """``[K, C]``, whose largest entry is the decided label, for clips that have every modality.

        These are the calibrated logits, plus the logarithm of the costs by which labels are decided.

        Args:
            inputs: {modality: ``[K, D_m + 1]`` embedding, and reliability of the input in the last column}.
        """
        model, calibration, key = self.bundle.model, self.bundle.calibration, subset_key(self.bundle.model.modalities)
        here = torch.ones(len(next(iter(inputs.values()))), dtype=torch.bool, device=self.compute.device)
        with self.compute.autocast():
            logits = model.fuse(
                {m: x[:, :-1] for m, x in inputs.items()},
                dict.fromkeys(inputs, here),
                {m: x[:, -1] for m, x in inputs.items() if m in model.reliability},
            )
        logits = logits.float() / calibration.temperature(key)
        if key in calibration.biases:
            logits = logits + logits.new_tensor(calibration.biases[key])
        return logits + logits.new_tensor(calibration.costs[key]).log() if key in calibration.costs else logits

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
            contribution={} if (found := outcomes.attribution(i)) is None else found.contribution,
            evidence={m: parts for m, parts in leading.items() if parts},
        )
