"""Attribution inside one modality: a score for every part of every view, and the evidence of the modality as a whole.

Integrated gradients are used where a view has them. Otherwise parts are removed: all subsets of few parts give exact
Shapley values, random orders estimate them for a moderate number, and each part alone is removed (occlusion) if there
are many. If Shapley values were measured to be more faithful for an encoder (:meth:`PartView.prefers_shapley`),
gradients are used only with too many parts. The choice depends only on the view, the encoder, the number of parts and
the size of the input, so it is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import comb

import torch
from torch import Tensor

from multiemo.explanation.counterfactual import smallest_change
from multiemo.explanation.evidence.base import ClipInput, Evidence, PartView
from multiemo.explanation.evidence.steps import StepEvidence
from multiemo.explanation.faithfulness.records import Faithfulness, ViewFaithfulness
from multiemo.explanation.records import EvidenceMap, EvidenceView, ModalityEvidence, Trust, UnitKind
from multiemo.explanation.target import ClipTarget
from multiemo.registry import evidence
from multiemo.types import Modality

#: Largest number of values that all changed inputs of a view may hold together, and those of one batch.
_MOST_VALUES, _BATCH_VALUES = 2**24, 2**22
#: Random orders come in pairs of opposite directions, at least this many of them.
_FEWEST_PAIRS = 3
_SEED = 0
#: The view whose checks of faithfulness a map shares, as its own cells are not checked.
_MAP_UNITS: dict[str, UnitKind] = {"crop": "region", "spectrogram": "time"}


def attribute(view: PartView, target: ClipTarget) -> tuple[Tensor, str]:
    """Score the parts of a view.

    Args:
        view: an input divided into U parts.
        target: what is explained.

    Returns:
        ``[U]`` float32 scores on the CPU, and the name of the method.
    """
    count = len(view.parts)
    if not count:
        return torch.zeros(0), "occlusion"
    passes = min(view.most_passes, _MOST_VALUES // max(1, target.x.numel()))
    exact, pairs = 2**count <= passes or count == 1, passes // (2 * count)
    affordable = exact or pairs >= _FEWEST_PAIRS
    if not (affordable and view.prefers_shapley(target)):
        scores = view.gradients(target)
        if scores is not None and bool(scores.isfinite().all()):
            return scores.detach().float().cpu(), "integrated gradients"
    if exact:
        return _shapley_values(view, target), "Shapley values"
    if affordable:
        return _shapley_sampling(view, target, pairs), "Shapley sampling"
    return occlusion(view, target), "occlusion"


def scores_without(view: PartView, target: ClipTarget, gone: Tensor) -> Tensor:
    """Scores ``[K]`` of the target without some parts, in batches of bounded memory, on the CPU.

    Args:
        view: an input divided into U parts.
        target: what is explained.
        gone: ``[K, U]`` bool, true for removed parts.
    """
    rows = max(1, min(64, _BATCH_VALUES // max(1, target.x.numel())))
    with torch.no_grad():
        found = [target(*view.without(gone[i : i + rows])).float().cpu() for i in range(0, len(gone), rows)]
    return torch.cat(found) if found else torch.zeros(0)


def occlusion(view: PartView, target: ClipTarget) -> Tensor:
    """The fall ``[U]`` of the score when each part alone is removed."""
    count = len(view.parts)
    gone = torch.cat([torch.zeros(1, count, dtype=torch.bool), torch.eye(count, dtype=torch.bool)])
    found = scores_without(view, target, gone)
    return found[0] - found[1:]


def _shapley_values(view: PartView, target: ClipTarget) -> Tensor:
    """Exact Shapley values ``[U]``, from all subsets of the parts."""
    count = len(view.parts)
    subsets = torch.arange(2**count)
    present = (subsets.unsqueeze(1) >> torch.arange(count)) & 1 == 1
    found = scores_without(view, target, ~present).double()
    sizes = present.sum(1)
    weights = torch.tensor([1 / (count * comb(count - 1, size)) for size in range(count)], dtype=torch.float64)
    values = []
    for part in range(count):
        before = subsets[~present[:, part]]
        values.append((weights[sizes[before]] * (found[before + (1 << part)] - found[before])).sum())
    return torch.stack(values).float()


def _shapley_sampling(view: PartView, target: ClipTarget, pairs: int) -> Tensor:
    """Shapley values ``[U]`` estimated from random orders (Castro et al. 2009), each with its reverse.

    The values of one order sum to the difference between the whole input and the empty one, so those of all do.
    """
    count = len(view.parts)
    generator = torch.Generator().manual_seed(_SEED)
    drawn = [torch.randperm(count, generator=generator) for _ in range(pairs)]
    orders = torch.stack([order for one in drawn for order in (one, one.flip(0))])
    place = orders.argsort(1)
    # Row k of an order lacks its first k parts.
    gone = place.unsqueeze(1) < torch.arange(count + 1).reshape(1, -1, 1)
    ends = torch.stack([torch.zeros(count, dtype=torch.bool), torch.ones(count, dtype=torch.bool)])
    whole, empty = scores_without(view, target, ends)
    inner = scores_without(view, target, gone[:, 1:-1].reshape(-1, count)).reshape(len(orders), count - 1)
    curve = torch.cat([whole.expand(len(orders), 1), inner, empty.expand(len(orders), 1)], dim=1)
    return (curve[:, :-1] - curve[:, 1:]).gather(1, place).mean(0)


def evidence_of(kind: str) -> Evidence:
    """The evidence registered for a kind of input; that of time steps for a kind without its own."""
    found = evidence.build(kind, {}, where="evidence") if kind in evidence.names() else StepEvidence()
    assert isinstance(found, Evidence)
    return found


@dataclass(slots=True)
class ScoredViews:
    """The views of one modality of one clip.

    Args:
        views: views with scores.
        hidden: {unit: why the view is not shown}.
        limits: what could not be explained, and why.
    """

    views: list[EvidenceView] = field(default_factory=list)
    hidden: dict[str, str] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)


def score_views(clip: ClipInput, target: ClipTarget, faithfulness: Faithfulness | None = None) -> ScoredViews:
    """Score the parts of every view of one modality of a clip.

    Args:
        clip: the input of the modality.
        target: what is explained, for the same clip and modality.
        faithfulness: what was measured on this model. Views that failed are left out, with the reason.
    """
    measured, found = _measured(faithfulness, clip.modality), ScoredViews()
    for view in evidence_of(clip.entry.spec.kind).views(clip, target):
        trust = _trust(measured.get(view.unit))
        if trust == "failed":
            found.hidden[view.unit] = _why(measured[view.unit])
            continue
        if not view.parts:
            found.limits.append(f"no {view.unit} could be told apart")
            continue
        scores, method = attribute(view, target)
        found.limits += _limits(view, method, target)
        parts, notes = view.scored(scores), list(view.notes)
        found.views.append(
            EvidenceView(unit=view.unit, method=method, parts=parts, trust=trust, baseline=view.baseline, notes=notes)
        )
    return found


def explain_modality(
    clip: ClipInput, target: ClipTarget, *, faithfulness: Faithfulness | None = None
) -> ModalityEvidence:
    """Explain what in one modality of a clip counts for the label, and what would change it.

    Args:
        clip: the input of the modality.
        target: what is explained, for the same clip and modality.
        faithfulness: what was measured on this model. Views that failed are left out, with the reason.

    Returns:
        The evidence. What cannot be explained is named in its ``limits``.
    """
    source, measured = evidence_of(clip.entry.spec.kind), _measured(faithfulness, clip.modality)
    scored = score_views(clip, target, faithfulness)
    maps: list[EvidenceMap] = []
    for one in source.maps(clip, target):
        unit = _MAP_UNITS[one.kind]
        trust = _trust(measured.get(unit))
        if trust == "failed":
            scored.hidden[one.kind] = _why(measured[unit])
        else:
            maps.append(replace(one, trust=trust, checked_as=unit))
    counterfactual, tried = smallest_change(source.changes(clip, target), target)
    if target.model.task == "dimensions":
        scored.limits.append("a predicted dimension has no label that a change could turn")
    return ModalityEvidence(
        modality=clip.modality,
        label=target.names[target.label],
        views=scored.views,
        maps=maps,
        counterfactual=counterfactual,
        tried=tried,
        hidden=scored.hidden,
        limits=scored.limits,
    )


def without_input(modality: Modality, label: str) -> ModalityEvidence:
    """The evidence of a modality of which only the embedding of a frozen encoder is known.

    Args:
        modality: the modality.
        label: the label that is explained.
    """
    why = "only the cached embedding of a frozen encoder is known, not the input it was made from"
    return ModalityEvidence(modality=modality, label=label, views=[], limits=[why])


def _measured(faithfulness: Faithfulness | None, modality: Modality) -> dict[str, ViewFaithfulness]:
    """{unit: what was measured of this view}."""
    return {v.unit: v for v in faithfulness.views if v.modality == modality} if faithfulness else {}


def _why(failed: ViewFaithfulness) -> str:
    return "; ".join(failed.reasons) or "failed its checks on this model"


def _trust(measured: ViewFaithfulness | None) -> Trust:
    return "not measured" if measured is None else measured.trust


def _limits(view: PartView, method: str, target: ClipTarget) -> list[str]:
    """What cannot be said of a view."""
    found = []
    if len(view.parts) == 1:
        found.append(f"there is only one {view.unit}, so its score has nothing to be compared with")
    chosen = method != "occlusion" and view.prefers_shapley(target)
    if method != "integrated gradients" and type(view).gradients is not PartView.gradients and not chosen:
        why = view.without_gradients or "the encoder has no usable gradients"
        found.append(f"{why}, so the scores of each {view.unit} come from {method}")
    return found
