"""What each modality contributes to a decision, exactly: from the predictions with every subset of modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.calibration import logits_of
from multiemo.explanation.records import ModalityAttribution
from multiemo.model import contributions
from multiemo.types import SMALLEST_PRIOR, Modality, subset_key

#: Decimal places of the numbers in the records.
_PLACES = 6


def interactions(
    by_subset: Mapping[str, Array], prior: Array, present: Sequence[Modality], label: int
) -> dict[str, float]:
    """Exact Shapley interaction index of each pair of modalities (Grabisch & Roubens 1999, definition 3).

    ``I(i, j) = sum over S without i and j of |S|! (n - |S| - 2)! / (n - 1)! * (v(S+ij) - v(S+i) - v(S+j) + v(S))``.
    The value ``v`` of a set of modalities is the probability of the label given only that set, as for
    :func:`multiemo.model.contributions`. With two modalities it is ``v(ij) - v(i) - v(j) + v()``.

    Args:
        by_subset: {subset key: ``[C]`` probabilities}.
        prior: ``[C]`` probabilities without any modality.
        present: modalities of the clip.
        label: column of the label.

    Returns:
        {"text+speech": index}, a difference of probabilities; empty with fewer than two modalities.
    """

    def value(*members: Modality) -> float:
        return float(by_subset[subset_key(members)][label] if members else prior[label])

    total, found = len(present), {}
    for a, b in combinations(present, 2):
        others = [m for m in present if m not in (a, b)]
        found[pair_name(a, b)] = sum(
            factorial(size)
            * factorial(total - size - 2)
            / factorial(total - 1)
            * (value(*s, a, b) - value(*s, a) - value(*s, b) + value(*s))
            for size in range(total - 1)
            for s in combinations(others, size)
        )
    return found


def pair_name(first: Modality, second: Modality) -> str:
    """The name of a pair of modalities: ``text+speech``."""
    return f"{first}+{second}"


def additive_prediction(
    by_subset: Mapping[str, Array], prior: Array, present: Sequence[Modality], task: str = "single"
) -> Array:
    """The prediction of one clip if every modality adds the evidence that it has alone, and nothing else.

    ``p(c) ~ prior(c) * product over m of p_m(c) / prior(c)``, where ``p_m`` is the model's prediction with modality m
    only: Bayes' rule for modalities that are independent given the label (Bordley 1982, "A multiplicative formula for
    aggregating probability assessments", Management Science 28(10)). With several labels at once, the same holds for
    the odds of each label. A label that never occurs in train gets no evidence. A difference from the full prediction
    is what the model does beyond adding up; :func:`multiemo.explanation.emap.emap` measures that over a corpus.

    Args:
        by_subset: {subset key: ``[C]`` calibrated probabilities}; only the single modalities are read.
        prior: ``[C]`` probabilities without any modality.
        present: modalities of the clip.
        task: ``single``, ``soft`` or ``multi``.

    Returns:
        ``[C]`` probabilities.
    """
    before = logits_of(np.clip(np.asarray(prior, float), SMALLEST_PRIOR, 1 - SMALLEST_PRIOR), task)
    occurs = np.asarray(prior) > SMALLEST_PRIOR
    evidence = [logits_of(np.asarray(by_subset[subset_key([m])], float), task) - before for m in present]
    logits = before + sum((np.where(occurs, e, 0.0) for e in evidence), np.zeros(len(before)))
    if task == "multi":
        return np.asarray(1 / (1 + np.exp(-logits)))
    shares = np.exp(logits - logits.max())
    return np.asarray(shares / shares.sum())


def modality_attribution(
    by_subset: Mapping[str, Array],
    prior: Array,
    present: Sequence[Modality],
    labels: Sequence[str],
    label: int,
    *,
    task: str = "single",
) -> ModalityAttribution:
    """Attribute the probability of one label to the modalities of one clip.

    Args:
        by_subset: {subset key: ``[C]`` calibrated probabilities}, of every non-empty subset of ``present``.
        prior: ``[C]`` probabilities without any modality.
        present: modalities of the clip, in the order T, S, F; at least one.
        labels: the C labels.
        label: column of the explained label.
        task: ``single``, ``soft`` or ``multi``.
    """
    subsets = [s for size in range(1, len(present) + 1) for s in combinations(present, size)]
    coalitions = {"": float(prior[label])} | {subset_key(s): float(by_subset[subset_key(s)][label]) for s in subsets}
    additive = additive_prediction(by_subset, prior, present, task)
    return ModalityAttribution(
        label=labels[label],
        baseline=round(coalitions[""], _PLACES),
        probability=round(coalitions[subset_key(present)], _PLACES),
        contribution={m: round(v, _PLACES) for m, v in contributions(by_subset, prior, present, label).items()},
        interaction={p: round(v, _PLACES) for p, v in interactions(by_subset, prior, present, label).items()},
        coalitions={k: round(v, _PLACES) for k, v in coalitions.items()},
        additive_probs={name: round(float(p), _PLACES) for name, p in zip(labels, additive, strict=True)},
        additive_label=labels[int(additive.argmax())],
    )


def attribute_clips(
    by_subset: Mapping[str, Array],
    presence: Mapping[Modality, NDArray[np.bool_]],
    prior: Array,
    labels: Sequence[str],
    chosen: Sequence[int],
    *,
    task: str = "single",
) -> list[ModalityAttribution | None]:
    """Attribute the label of each clip of a corpus.

    Args:
        by_subset: {subset key: ``[N, C]`` calibrated probabilities}, of every subset of the model's modalities.
        presence: {modality: ``[N]``}, whether the clip has it; in the order T, S, F.
        prior: ``[C]`` probabilities without any modality.
        labels: the C labels.
        chosen: N columns: the label of each clip that is explained.
        task: ``single``, ``soft`` or ``multi``.

    Returns:
        N attributions; ``None`` for a clip without any modality.
    """
    found: list[ModalityAttribution | None] = []
    for i, label in enumerate(chosen):
        present = [m for m, here in presence.items() if here[i]]
        own = {k: values[i] for k, values in by_subset.items()}
        found.append(modality_attribution(own, prior, present, labels, int(label), task=task) if present else None)
    return found
