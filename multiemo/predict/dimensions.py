"""What a model without labels says of segments: valence, arousal and dominance, those that it has learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from multiemo.model import EmotionModel, contributions
from multiemo.predict.estimates import Dimensions, SegmentEstimate
from multiemo.predict.segmentation.stream import Segment
from multiemo.types import DIMENSIONS, Output, subset_key


def dimension_estimates(model: EmotionModel, output: Output, segments: Sequence[Segment]) -> list[SegmentEstimate]:
    """What a model without labels says of each segment.

    ``valence`` and so on; ``by_modality``: what each modality says alone; ``contribution_by_dimension``: {dimension:
    {modality: exact Shapley value}}, which sum to the value minus its mean in train.

    Args:
        model: of the task ``dimensions``.
        output: of it, with every subset.
        segments: as they were run.
    """
    fused = model.probabilities(output.logits).cpu()
    alone = {m: model.probabilities(logits).cpu() for m, logits in output.branch_logits.items()}
    subsets = {k: model.probabilities(logits).cpu() for k, logits in output.by_subset.items()}
    prior, found = model.prior.cpu(), []
    for i, segment in enumerate(segments):
        here = [m for m in model.modalities if m in segment.inputs]
        by_subset: Mapping[str, Tensor] = {k: v[i] for k, v in subsets.items()} | {subset_key(here): fused[i]}
        shares = {
            DIMENSIONS[c]: {m: round(v, 4) for m, v in contributions(by_subset, prior, here, c).items()}
            for c in model.learnt_dimensions
        }
        found.append(
            SegmentEstimate(
                by_modality={m: Dimensions.of(alone[m][i].tolist()).named() for m in here},
                dimensions=Dimensions.of(fused[i].tolist()),
                contribution_by_dimension=shares,
            )
        )
    return found
