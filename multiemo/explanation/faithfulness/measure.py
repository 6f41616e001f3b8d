"""Measures the faithfulness of the evidence of trained models on clips that they have not learnt from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from multiemo.data.collate import Collate
from multiemo.explanation.attribution import attribute, evidence_of
from multiemo.explanation.clips import clip_inputs, spread
from multiemo.explanation.evidence.base import ClipInput, PartView
from multiemo.explanation.faithfulness.controls import (
    disturbed,
    disturbed_copy,
    is_tokens,
    shuffled_copy,
)
from multiemo.explanation.faithfulness.curves import chance_correlation, curve_figures, rank_correlation
from multiemo.explanation.faithfulness.records import Faithfulness
from multiemo.explanation.faithfulness.summary import ClipFigures, summarise
from multiemo.explanation.records import UnitKind
from multiemo.explanation.target import ClipTarget
from multiemo.model import EmotionModel
from multiemo.progress import Progress
from multiemo.runs import batches
from multiemo.runs.device import Compute, compute_of, predict
from multiemo.runs.model_folder import Bundle
from multiemo.runs.sources import Source
from multiemo.types import Clip, Modality, Sample, subset_key

#: Shuffled copies of each model; each is compared on its share of the clips, one copy in memory at a time.
SHUFFLES = 4
#: Clips, over all models, on which scores are also computed for shuffled weights and a disturbed input. Computing
#: scores is the slowest step.
COMPARED = 60


def measure_faithfulness(
    models: Sequence[tuple[Bundle, Source]],
    *,
    part: str = "val",
    clips: int = 200,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
) -> Faithfulness:
    """Measure every view of every modality, for the label that each clip is given by the whole model.

    The clips are drawn evenly over speakers from the validation part, so that no test part is read. The model was
    selected on this part but has not learnt from it, and the figures are about the model, not about its accuracy.

    Args:
        models: one model with its manifest and split, or the models of several folds, whose figures are pooled.
        part: part of the split.
        clips: number of clips, over all models.
        seed: seed of the draw, the random orders, the shuffled weights and the noise.
        device: device of the models, see :func:`multiemo.runs.device.compute_of`.
        progress: receives the number of finished clips.

    Raises:
        MultiemoError: media cannot be read, or the device is not available.
    """
    progress = progress or Progress()
    checks = _Checks(seed)
    drawn = 0
    notes: list[str] = []
    shares = [len(s) for s in np.array_split(np.arange(clips), len(models))]
    rows = [draw_clips(source.part(part), n, seed) for (_, source), n in zip(models, shares, strict=True)]
    total = sum(map(len, rows))
    for (bundle, source), chosen in zip(models, rows, strict=True):
        progress.stage("prepare")
        prepared = batches.prepare_part(
            bundle.config,
            source.folder,
            chosen,
            bundle.inputs,
            label_from=source.label_from,
            dialogue=source.clips,
            progress=progress,
        )
        progress.stage("faithfulness")
        compared = -(-COMPARED // len(models))
        for _ in checks.measure(bundle, prepared, compute_of(bundle.config, device), compared):
            drawn += 1
            progress.update(drawn, total)
        notes += prepared.prepared.left_out()
    if drawn < total:
        notes.append(f"{total - drawn} of {total} drawn clips have nothing that the model reads")
    views = summarise(checks.found, checks.left_out, seed)
    for (m, unit), count in checks.left_out.items():
        if not any((view.modality, view.unit) == (m, unit) for view in views):
            notes.append(f"{m}, {unit}: none of {count} clips has two parts, so their order cannot be checked")
    return Faithfulness(
        corpus=models[0][1].manifest.stem,
        part=part,
        clips=drawn,
        seed=seed,
        views=views,
        notes=notes,
    )


def draw_clips(clips: Sequence[Clip], count: int, seed: int) -> list[Clip]:
    """Draw clips evenly over speakers, in random order.

    Args:
        clips: clips to draw from.
        count: number of clips to draw; all clips if there are fewer.
        seed: seed of the draw.
    """
    speakers = [f"{clip.corpus}:{clip.speaker or clip.group or clip.id}" for clip in clips]
    rows = spread(range(len(clips)), speakers, count, seed)
    return [clips[rows[i]] for i in np.random.default_rng(seed).permutation(len(rows))]


def explained_label(bundle: Bundle, compute: Compute, sample: Sample) -> int:
    """The column that is explained: the decided label, the most probable of several, or the first learnt dimension.

    Args:
        bundle: model and calibration.
        compute: device and precision.
        sample: the clip.
    """
    model = bundle.model
    if model.task == "dimensions":
        return model.learnt_dimensions[0]
    output = predict(model, compute, Collate(model.modalities, model.prior.numel())([sample]))
    keys = [subset_key([m for m in model.modalities if m in sample.inputs])]
    found = bundle.calibration.scaled(keys, model.probabilities(output.logits).cpu().double().numpy(), model.task)
    if model.task == "multi":
        return int(found[0].argmax())
    return int(bundle.calibration.decide(keys, found, model.task)[0])


@dataclass(slots=True)
class _Checks:
    """Collects the figures of single clips.

    Args:
        seed: seed of everything random.
        found: figures of the views of the clips.
        left_out: {(modality, unit): number of clips with fewer than two parts}.
    """

    seed: int
    found: list[ClipFigures] = field(default_factory=list)
    left_out: Counter[tuple[Modality, UnitKind]] = field(default_factory=Counter)

    def measure(self, bundle: Bundle, part: batches.Part, compute: Compute, compared: int) -> Iterator[None]:
        """Check the evidence of a model on all clips of a part; yields after each clip.

        Args:
            bundle: the model.
            part: the clips, in random order.
            compute: device and precision.
            compared: number of clips that are also compared with changed models and inputs.
        """
        model = bundle.model.to(compute.device).eval()
        rows = part.rows_with(model.modalities, labelled=False)
        noisy = disturbed_copy(model, self.seed)
        for turn in range(SHUFFLES):
            own = rows[:compared][turn::SHUFFLES]
            if own:
                samples = [part.dataset[i] for i in own]
                shuffled = shuffled_copy(model, compute, samples, self.seed + turn)
                for i in own:
                    self._check_clip(bundle, part, compute, i, (shuffled, noisy))
                    yield
        for i in rows[compared:]:
            self._check_clip(bundle, part, compute, i, None)
            yield

    def _check_clip(
        self,
        bundle: Bundle,
        part: batches.Part,
        compute: Compute,
        row: int,
        changed: tuple[EmotionModel, EmotionModel] | None,
    ) -> None:
        """Check all views of a clip; ``changed`` are copies with shuffled weights and with noise on embeddings."""
        sample, inputs = clip_inputs(part.dataset, row)
        label = explained_label(bundle, compute, sample)
        for clip in inputs.values():
            self._check(_Subject(bundle, compute, sample, clip, label), changed, self.seed + row)

    def _check(self, subject: _Subject, changed: tuple[EmotionModel, EmotionModel] | None, seed: int) -> None:
        """Check the views of one modality of one clip."""
        m, x = subject.clip.modality, subject.clip.tensor
        target, views = subject.views()
        others: list[tuple[ClipTarget, Mapping[UnitKind, PartView]]] = []
        if changed is not None:
            shuffled, noisy = changed
            others.append(subject.views(model=shuffled))
            others.append(subject.views(model=noisy) if is_tokens(x) else subject.views(x=disturbed(x, seed)))
        for unit, view in views.items():
            if len(view.parts) < 2:
                self.left_out[m, unit] += 1
                continue
            scores, method = attribute(view, target)
            similarity, stability = float("nan"), float("nan")
            if others:
                similarity, stability = (_correlation(scores, theirs.get(unit), other) for other, theirs in others)
            chance = chance_correlation(len(scores))
            self.found.append(
                ClipFigures(
                    modality=m,
                    unit=unit,
                    method=method,
                    speaker=subject.sample.speaker,
                    curves=curve_figures(view, target, scores, seed),
                    similarity_to_shuffled=np.nan if chance == 1 else (abs(similarity) - chance) / (1 - chance),
                    stability=stability,
                )
            )


def _correlation(scores: Tensor, view: PartView | None, target: ClipTarget) -> float:
    """Rank correlation of scores with those of a changed input or model; NaN if its parts differ."""
    if view is None or len(view.parts) != len(scores):
        return float("nan")
    return rank_correlation(scores.double().numpy(), attribute(view, target)[0].double().numpy())


@dataclass(frozen=True, slots=True)
class _Subject:
    """One modality of one clip, and what is explained."""

    bundle: Bundle
    compute: Compute
    sample: Sample
    clip: ClipInput
    label: int

    def views(
        self, model: EmotionModel | None = None, x: Tensor | None = None
    ) -> tuple[ClipTarget, Mapping[UnitKind, PartView]]:
        """The target and the views of the clip; of a changed model or input, if one is given."""
        bundle, clip, sample = self.bundle, self.clip, self.sample
        if x is not None:
            clip = replace(clip, tensor=x)
            sample = replace(sample, inputs={**sample.inputs, clip.modality: x})
        target = ClipTarget(
            bundle.model if model is None else model,
            bundle.calibration,
            self.compute,
            sample,
            clip.modality,
            self.label,
            bundle.labels,
        )
        evidence = evidence_of(clip.entry.spec.kind)
        return target, {view.unit: view for view in evidence.views(clip, target)}
