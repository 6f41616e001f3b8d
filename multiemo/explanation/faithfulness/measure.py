"""Measures the faithfulness of the evidence of trained models on clips that they have not learnt from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from multiemo import registry
from multiemo.data.collate import Collate
from multiemo.explanation.attribution import attribute
from multiemo.explanation.evidence.base import ClipInput, Evidence, PartView
from multiemo.explanation.faithfulness.controls import (
    disturbed,
    disturbed_copy,
    is_tokens,
    shuffled_copy,
    with_input,
)
from multiemo.explanation.faithfulness.curves import chance_correlation, curve_figures, rank_correlation
from multiemo.explanation.faithfulness.records import Faithfulness
from multiemo.explanation.faithfulness.summary import ClipFigures, summarise
from multiemo.explanation.records import UnitKind
from multiemo.explanation.target import ClipTarget
from multiemo.inputs.rows import gather_row
from multiemo.model import EmotionModel
from multiemo.progress import Progress
from multiemo.runs import batches
from multiemo.runs.device import Compute, compute_of, predict
from multiemo.runs.model_folder import Bundle
from multiemo.runs.sources import Source
from multiemo.types import Absent, Clip, Modality, Sample, subset_key

#: Shuffled copies of each model; each is compared on its share of the clips, one copy in memory at a time.
SHUFFLES = 4

#: Computes the scores of a view, and names the method.
Attribute: TypeAlias = Callable[[PartView, ClipTarget], tuple[Tensor, str]]


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
        for _ in checks.measure(bundle, prepared, compute_of(bundle.config, device)):
            drawn += 1
            progress.update(drawn, total)
        notes += prepared.prepared.left_out()
    if drawn < total:
        notes.append(f"{total - drawn} of {total} drawn clips have nothing that the model reads")
    return Faithfulness(
        corpus=models[0][1].manifest.stem,
        part=part,
        clips=drawn,
        seed=seed,
        views=summarise(checks.found, checks.left_out, seed),
        notes=[*notes, *checks.notes],
    )


def draw_clips(clips: Sequence[Clip], count: int, seed: int) -> list[Clip]:
    """Draw clips evenly over speakers: one of each speaker in random order, then a second one of each, and so on.

    Args:
        clips: clips to draw from.
        count: number of clips to draw; all clips if there are fewer.
        seed: seed of the draw.
    """
    random = np.random.default_rng(seed)
    own: dict[str, list[Clip]] = {}
    for i in random.permutation(len(clips)):
        clip = clips[i]
        own.setdefault(f"{clip.corpus}:{clip.speaker or clip.group or clip.id}", []).append(clip)
    rounds = [(turn, speaker) for speaker, theirs in enumerate(own.values()) for turn in range(len(theirs))]
    lists = list(own.values())
    return [lists[speaker][turn] for turn, speaker in sorted(rounds)[:count]]


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
        attribute: computes the scores of a view.
        found: figures of the views of the clips.
        left_out: {(modality, unit): number of clips with fewer than two parts}.
        notes: remarks.
    """

    seed: int
    attribute: Attribute = attribute
    found: list[ClipFigures] = field(default_factory=list)
    left_out: Counter[tuple[Modality, UnitKind]] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def measure(self, bundle: Bundle, part: batches.Part, compute: Compute) -> Iterator[None]:
        """Check the evidence of a model on all clips of a part; yields after each clip."""
        model = bundle.model.to(compute.device).eval()
        evidence = self._evidence(bundle)
        noisy = disturbed_copy(model, self.seed)
        rows = part.rows_with(model.modalities, labelled=False)
        for turn in range(SHUFFLES):
            own = rows[turn::SHUFFLES]
            samples = [part.dataset[i] for i in own]
            if not samples:
                continue
            shuffled = shuffled_copy(model, compute, samples, self.seed + turn)
            for i, sample in zip(own, samples, strict=True):
                label = explained_label(bundle, compute, sample)
                for m, kind in evidence.items():
                    if m in sample.inputs:
                        clip = ClipInput(m, bundle.inputs[m], sample.inputs[m], _raw(bundle, part, i, m))
                        self._check(_Subject(bundle, compute, sample, clip, kind, label), shuffled, noisy, i)
                yield

    def _evidence(self, bundle: Bundle) -> dict[Modality, Evidence]:
        """{modality: its evidence}, with a note for each kind of input that has none."""
        found: dict[Modality, Evidence] = {}
        for m in bundle.model.modalities:
            kind = bundle.inputs[m].spec.kind
            if kind in registry.evidence.names():
                found[m] = registry.evidence.get(kind, where=m)()
            else:
                self.notes.append(f"{m}: there is no evidence inside inputs of the kind {kind!r}")
        return found

    def _check(self, subject: _Subject, shuffled: EmotionModel, noisy: EmotionModel, row: int) -> None:
        """Check the views of one modality of one clip."""
        x, m = subject.clip.tensor, subject.clip.modality
        target, views = subject.views()
        learnt_nothing, of_nothing = subject.views(model=shuffled)
        changed = {"model": noisy} if is_tokens(x) else {"x": disturbed(x, self.seed + row)}
        near, of_near = subject.views(**changed)
        for unit, view in views.items():
            if len(view.parts) < 2:
                self.left_out[m, unit] += 1
                continue
            scores, method = self.attribute(view, target)
            ours = scores.detach().double().cpu().numpy()
            similarity = self._correlation(ours, of_nothing.get(unit), learnt_nothing)
            chance = chance_correlation(len(ours))
            self.found.append(
                ClipFigures(
                    modality=m,
                    unit=unit,
                    method=method,
                    speaker=subject.sample.speaker,
                    curves=curve_figures(view, target, scores, self.seed + row),
                    similarity_to_shuffled=np.nan if chance == 1 else (abs(similarity) - chance) / (1 - chance),
                    stability=self._correlation(ours, of_near.get(unit), near),
                )
            )

    def _correlation(self, ours: np.ndarray, view: PartView | None, target: ClipTarget) -> float:
        """Rank correlation of scores with those of a changed input or model; NaN if its parts differ."""
        if view is None or len(view.parts) != len(ours):
            return float("nan")
        scores, _ = self.attribute(view, target)
        return rank_correlation(ours, scores.detach().double().cpu().numpy())


@dataclass(frozen=True, slots=True)
class _Subject:
    """One modality of one clip, and what is explained."""

    bundle: Bundle
    compute: Compute
    sample: Sample
    clip: ClipInput
    evidence: Evidence
    label: int

    def views(
        self, model: EmotionModel | None = None, x: Tensor | None = None
    ) -> tuple[ClipTarget, Mapping[UnitKind, PartView]]:
        """The target and the views of the clip; of a changed model or input, if one is given."""
        m = self.clip.modality
        sample, clip = self.sample, self.clip
        if x is not None:
            sample, clip = with_input(sample, m, x), replace(clip, tensor=x)
        target = ClipTarget(
            self.bundle.model if model is None else model, self.bundle.calibration, self.compute, sample, m, self.label
        )
        return target, {view.unit: view for view in self.evidence.views(clip, target)}


def _raw(bundle: Bundle, part: batches.Part, row: int, m: Modality) -> object | None:
    """The raw form of an input that is made without decoding, such as a text; it names the parts."""
    entry = bundle.inputs[m]
    if entry.request is not None:
        return None
    material = gather_row(part.dataset.row(row), {m: entry}).materials.get(m)
    raw = None if material is None else entry.take(material)
    return None if isinstance(raw, Absent) else raw
