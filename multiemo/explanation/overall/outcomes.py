"""What a model answered on a part of its split: explained labels, confusions, contributions, errors by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from multiemo.evaluation import ClipPrediction, Report
from multiemo.evaluation.groups import GroupErrors, predicted_errors_by_group
from multiemo.explanation.clips import spread
from multiemo.explanation.modalities import modality_attribution
from multiemo.explanation.modality_summary import Attributed, ModalitySummary, summarise
from multiemo.explanation.records import ModalityAttribution
from multiemo.runs.model_folder import Bundle
from multiemo.types import Clip, subset_key

#: Most frequent confusions that are reported.
MOST_CONFUSIONS = 6


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
        """Positions of clips to explain, evenly over explained labels (rare ones as far as they go) and speakers.

        Args:
            count: number of clips, over all labels.
            seed: seed of the draw.
        """
        by_label: dict[int, list[int]] = {}
        for i, said in enumerate(self.said):
            by_label.setdefault(said, []).append(i)
        drawn: list[int] = []
        for turn, own in enumerate(sorted(by_label.values(), key=len)):
            share = (count - len(drawn)) // (len(by_label) - turn)
            drawn += spread(own, [self.report.predictions[i]["speaker"] for i in own], share, seed)
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

    def attribution(self, i: int) -> ModalityAttribution | None:
        """What each modality contributes to the explained label of a clip; ``None`` with fewer than two modalities."""
        prediction, model = self.report.predictions[i], self.bundle.model
        probs = {key: np.array(values, dtype=float) for key, values in prediction.get("probs", {}).items()}
        present = [m for m in model.modalities if subset_key([m]) in probs]
        if len(model.modalities) < 2 or not present:
            return None
        prior, labels = self.bundle.prior.double().numpy(), self.bundle.labels
        return modality_attribution(probs, prior, present, labels, self.said[i], task=self.report.task)

    def modalities(self) -> ModalitySummary | None:
        """What the modalities contribute to each label, over all clips; ``None`` for a single branch."""
        effects = [
            Attributed.of(found, prediction["speaker"])
            for i, prediction in enumerate(self.report.predictions)
            if (found := self.attribution(i)) is not None
        ]
        return summarise(effects) if effects else None

    def groups(self) -> GroupErrors:
        """Errors by group of clips."""
        return predicted_errors_by_group(self.report.task, self.report.full, self.report.predictions, self.clips)


def _said(prediction: ClipPrediction, report: Report, bundle: Bundle) -> int:
    """The column that is explained."""
    if report.task == "dimensions":
        return bundle.model.learnt_dimensions[0]
    if report.task == "multi":
        return int(np.argmax(np.array(prediction["probs"][report.full], dtype=float)))
    said = prediction["said"][report.full]
    assert isinstance(said, int)
    return said
