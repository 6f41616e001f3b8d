"""The estimates of a model without labels: valence, arousal and dominance, as far as it has learnt them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from multiemo.model import EmotionModel, contributions
from multiemo.predict.estimates import Dimensions, SegmentEstimate
from multiemo.predict.prediction import FacePrediction
from multiemo.predict.segmentation.stream import Segment
from multiemo.types import DIMENSIONS, Output, subset_key


class DimensionEstimator:
    """Turns the outputs of a model without labels into estimates.

    Args:
        model: a model of the task ``dimensions``.
    """

    def __init__(self, model: EmotionModel) -> None:
        self._model = model

    def estimates(self, output: Output, segments: Sequence[Segment]) -> list[SegmentEstimate]:
        """The estimate for each segment.

        ``contribution_by_dimension`` is {dimension: {modality: exact Shapley value}}. The values of one dimension sum
        to its estimate minus its mean in training.

        Args:
            output: of the model for these segments, with every subset of its modalities.
            segments: B segments, each with at least one input.
        """
        model = self._model
        fused = model.probabilities(output.logits).cpu()
        branches = {m: model.probabilities(logits).cpu() for m, logits in output.branch_logits.items()}
        subsets = {k: model.probabilities(logits).cpu() for k, logits in output.by_subset.items()}
        prior, found = model.prior.cpu(), []
        for i, segment in enumerate(segments):
            present = [m for m in model.modalities if m in segment.inputs]
            by_subset: Mapping[str, Tensor] = {k: v[i] for k, v in subsets.items()} | {subset_key(present): fused[i]}
            shares = {
                DIMENSIONS[c]: {m: round(v, 4) for m, v in contributions(by_subset, prior, present, c).items()}
                for c in model.learnt_dimensions
            }
            found.append(
                SegmentEstimate(
                    by_modality={m: Dimensions.of(branches[m][i].tolist()).named() for m in present},
                    dimensions=Dimensions.of(fused[i].tolist()),
                    contribution_by_dimension=shares,
                )
            )
        return found

    def face_predictions(self, people: Sequence[int], logits: Tensor) -> list[FacePrediction]:
        """The dimensions for the face of each person.

        Args:
            people: the numbers of B people.
            logits: ``[B, 3]`` of the face branch.
        """
        rows = [Dimensions.of(row) for row in self._model.probabilities(logits).tolist()]
        return [
            FacePrediction(person=person, valence=d.valence, arousal=d.arousal, dominance=d.dominance)
            for person, d in zip(people, rows, strict=True)
        ]
