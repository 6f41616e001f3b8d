"""Calibration: confidences that mean what they say, and the confidence below which nothing is said.

Each set of modalities has a temperature of its own (Guo et al. 2017): a model is rarely as wrong about its certainty
with a voice alone as with all three. Temperatures and abstention thresholds are fitted on the validation part, stored
in the checkpoint, and used by ``evaluate`` and ``predict`` alike. No label changes: only how sure of it the model is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.types import SUBSETS, Modality, subset_key

Array = NDArray[np.float64]

#: The label of a clip whose confidence is below the threshold.
UNCERTAIN = "uncertain"
#: How surely a threshold keeps the wished error rate on new clips like those of validation.
ASSURANCE = 0.9
#: Smallest and largest inverse temperature that is looked at.
_RANGE = (0.01, 100.0)


# --------------------------------------------------------------------------------------------------------------------
# Temperature


def logits_of(probabilities: Array, task: str = "single") -> Array:
    """Logits whose probabilities these are, up to what a softmax does not see.

    Args:
        probabilities: ``[..., C]``.
        task: ``multi`` inverts a sigmoid a label, the others a softmax.
    """
    smallest = np.finfo(np.float64).tiny
    if task == "multi":
        from scipy import special  # type: ignore[import-untyped]  # slow to import, and no prediction needs it

        return special.logit(np.clip(probabilities, smallest, 1 - np.finfo(np.float64).epsneg))  # type: ignore[no-any-return]
    return np.log(np.clip(probabilities, smallest, None))


def temper(probabilities: Array, temperature: float | Array, task: str = "single") -> Array:
    """Probabilities of the same logits divided by a temperature; above one flattens, below one sharpens.

    Args:
        probabilities: ``[N, C]``.
        temperature: one for all, or ``[N]``.
        task: see :func:`logits_of`.

    Returns:
        ``[N, C]``; the order of the labels of a clip stays.

    Example:
        >>> temper(np.array([[0.9, 0.1]]), 2.0).round(2)
        array([[0.75, 0.25]])
    """
    from scipy import special

    scaled = logits_of(probabilities, task) / np.reshape(temperature, (-1, 1))
    if task == "multi":
        return special.expit(scaled)  # type: ignore[no-any-return]
    return special.softmax(scaled, axis=1)  # type: ignore[no-any-return]


def fit_temperature(probabilities: Array, target: Array, task: str = "single") -> float:
    """The temperature under which the labels are most likely (Guo et al. 2017).

    ``1 / T = argmin_b  sum_i nll(b * logits_i, target_i) + b - 1 - ln b``, convex in ``b``. What follows the sum is a
    Gamma prior on ``b`` with its mode at one: it weighs about as much as one clip, so that a handful of validation
    clips that are all right does not make the model sure of everything. No clips at all give one.

    Args:
        probabilities: ``[N, C]``, not calibrated.
        target: ``[N, C]``: one-hot, votes that sum to one, or several ones.
        task: ``single`` and ``soft`` use the cross-entropy, ``multi`` a binary one a label.

    Returns:
        T, within 0.01 .. 100.
    """
    from scipy import optimize, special

    logits = logits_of(probabilities, task)

    def loss(log_b: float) -> float:
        b = math.exp(log_b)
        if task == "multi":
            likelihood = np.logaddexp(0, b * logits) - target * b * logits
        else:
            likelihood = special.logsumexp(b * logits, axis=1) - b * (target * logits).sum(axis=1)
        return float(likelihood.sum()) + b - 1 - log_b

    found = optimize.minimize_scalar(loss, bounds=np.log(_RANGE), method="bounded", options={"xatol": 1e-8})
    return math.exp(-float(found.x))


# --------------------------------------------------------------------------------------------------------------------
# Confidence: how often it is right, and what it costs to answer less


def top_label(probabilities: Array, target: Array, task: str = "single") -> tuple[Array, NDArray[np.bool_]]:
    """Confidence ``[N]`` of the label that would be given, and ``[N]`` whether it is right.

    Args:
        probabilities, target: ``[N, C]``.
        task: for ``multi`` the label is right when it is one of the clip's.
    """
    said = probabilities.argmax(axis=1)
    rows = np.arange(len(said))
    right = target[rows, said] > 0.5 if task == "multi" else said == target.argmax(axis=1)
    return probabilities[rows, said], right


def events(probabilities: Array, target: Array, task: str = "single") -> tuple[Array, NDArray[np.bool_]]:
    """Stated probabilities and whether what they speak of came true: of the label that is given, or, for ``multi``, of
    every label of every clip.
    """
    if task == "multi":
        return probabilities.ravel(), target.ravel() > 0.5
    return top_label(probabilities, target)


def reliability(confidence: Array, outcome: NDArray[Any], bins: int = 15) -> dict[str, list[float]]:
    """Mean confidence, share of hits and clips of each equal-width bin that holds any (DeGroot & Fienberg 1983).

    Args:
        confidence: ``[N]`` within 0..1.
        outcome: ``[N]``, one where the event came true.
        bins: number of bins; that of the expected calibration error, so that the diagram shows what it adds up.

    Returns:
        ``{"confidence": [...], "accuracy": [...], "n": [...]}``.

    Example:
        >>> reliability(np.array([0.81, 0.83, 0.31]), np.array([1, 0, 1]))
        {'confidence': [0.31, 0.82], 'accuracy': [1.0, 0.5], 'n': [1, 2]}
    """
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(place, minlength=bins)
    some = count > 0
    means = [np.bincount(place, weights=w, minlength=bins)[some] / count[some] for w in (confidence, outcome)]
    first, second = ([round(float(v), 4) for v in mean] for mean in means)
    return {"confidence": first, "accuracy": second, "n": count[some].tolist()}


def risk_coverage(confidence: Array, correct: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Error rate among the answered clips for every share of clips that can be answered (Geifman & El-Yaniv 2017).

    Args:
        confidence: ``[N]``; clips with the same one are answered together.
        correct: ``[N]``.

    Returns:
        coverage, risk: ``[K]`` each, from the most confident clips alone to all of them.

    Example:
        >>> risk_coverage(np.array([0.9, 0.5, 0.7, 0.5]), np.array([True, False, True, True]))
        (array([0.25, 0.5 , 1.  ]), array([0.  , 0.  , 0.25]))
    """
    order = np.argsort(-confidence, kind="stable")
    last = np.flatnonzero(np.diff(confidence[order], append=-np.inf))
    wrong = np.cumsum(~correct[order])[last]
    return (last + 1) / len(confidence), wrong / (last + 1)


def aurc(coverage: Array, risk: Array) -> float:
    """Area under the risk-coverage curve: the mean risk over the thresholds of the clips (Geifman et al. 2019)."""
    return float(np.diff(coverage, prepend=0.0) @ risk)


def thinned(coverage: Array, risk: Array, points: int = 50) -> dict[str, list[float]]:
    """A risk-coverage curve of at most so many points, for a file; the last, of all clips, is kept."""
    keep = np.unique(np.linspace(0, len(coverage) - 1, min(points, len(coverage))).round().astype(int))
    return {name: [round(float(v), 4) for v in curve[keep]] for name, curve in (("coverage", coverage), ("risk", risk))}


def error_bound(errors: int, n: int, delta: float) -> float:
    """The error rate that ``errors`` among ``n`` independent clips exclude with probability ``1 - delta``.

    Clopper & Pearson 1934, one-sided; the same as lemma 3.1 of Geifman & El-Yaniv 2017.

    Example:
        >>> round(error_bound(0, 28, 0.05), 3)
        0.101
    """
    from scipy import stats

    return 1.0 if errors >= n else float(stats.beta.ppf(1 - delta, errors + 1, n - errors))


def abstention_threshold(
    confidence: Array, correct: NDArray[np.bool_], error: float, *, assurance: float = ASSURANCE
) -> float | None:
    """The lowest confidence at which the answered clips keep a wished error rate, assured by a bound.

    Selection with guaranteed risk (Geifman & El-Yaniv 2017, algorithm 1): a binary search over the confidences, each
    step with its share of the allowed failure. The plain empirical error would be exceeded on new clips about every
    second time, so the bound is used; its price is coverage, and with few clips that no threshold passes: ``m`` clips
    without one error assure ``error`` only from about ``ln(steps / (1 - assurance)) / error`` of them on.

    It holds for new clips drawn independently as these were. Clips of one speaker are alike: with few validation
    speakers, other people may well exceed it.

    Args:
        confidence, correct: ``[N]`` of validation clips.
        error: wished error rate among the answered clips.
        assurance: probability with which the wished rate holds.

    Returns:
        A clip is answered when its confidence is at least this; ``None`` when no threshold assures the wished rate.
    """
    values = np.unique(confidence)
    steps = len(values).bit_length()
    low, high, found = 0, len(values) - 1, None
    while low <= high:
        middle = (low + high) // 2
        answered = confidence >= values[middle]
        wrong = int((answered & ~correct).sum())
        if error_bound(wrong, int(answered.sum()), (1 - assurance) / steps) <= error:
            found, high = float(values[middle]), middle - 1
        else:
            low = middle + 1
    return found


# --------------------------------------------------------------------------------------------------------------------
# What a checkpoint keeps


@dataclass(frozen=True, slots=True)
class Calibration:
    """Temperatures and thresholds of one model. The empty one changes nothing and always answers.

    Args:
        temperatures: {subset key: T of the logits when a clip has, or shows, just that set of modalities}.
        branches: {modality: T of the branch's own head}.
        max_error: wished error rate among the answered clips; ``None`` always answers.
        thresholds: {subset key: lowest confidence that is answered; ``None`` where none assures ``max_error``, so
            that nothing is}; empty without ``max_error``.
        clips: {subset key: validation clips that have all of its modalities, by which it was fitted}.
    """

    temperatures: Mapping[str, float] = field(default_factory=dict)
    branches: Mapping[Modality, float] = field(default_factory=dict)
    max_error: float | None = None
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    clips: Mapping[str, int] = field(default_factory=dict)

    def temperature(self, key: str) -> float:
        """Of a set of modalities; one where none was fitted."""
        return self.temperatures.get(key, 1.0)

    def answers(self, key: str, confidence: float) -> bool:
        """Whether a label of this confidence is given, for a clip that shows just this set of modalities."""
        if self.max_error is None:
            return True
        threshold = self.thresholds.get(key)
        return threshold is not None and confidence >= threshold

    def apply(
        self, key: str, probabilities: Array, presence: Mapping[Modality, NDArray[np.bool_]], task: str = "single"
    ) -> Array:
        """Calibrate ``[N, C]`` probabilities of one subset, each clip by what it has of it."""
        return temper(probabilities, np.asarray([self.temperature(k) for k in shown_keys(key, presence)]), task)

    def notes(self) -> list[str]:
        """What a reader must know: sets that never answer, and sets without validation clips."""
        found = []
        never = [k for k, threshold in self.thresholds.items() if threshold is None]
        if never:
            counts = sorted({self.clips.get(k, 0) for k in never})
            span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
            found.append(
                f"max_error {self.max_error:g} cannot be assured for {', '.join(never)} by {span} validation clips: "
                f"every label given by just these is {UNCERTAIN!r}; allow a larger max_error, or validate on more clips"
            )
        blank = [k for k, count in self.clips.items() if not count]
        if blank:
            found.append(f"no validation clip has all modalities of {', '.join(blank)}: not calibrated")
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """The inverse of :meth:`to_json`.

        Raises:
            ValueError: not such values; says which.
        """
        try:
            made = cls(**values)
            numbers = [*made.temperatures.values(), *made.branches.values()]
            shares = [v for v in (made.max_error, *made.thresholds.values()) if v is not None]
            dict(made.clips)
        except (TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"calibration: {error}") from None
        for value in (*numbers, *shares):
            if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise ValueError(f"calibration: {value!r} is neither a temperature nor a confidence")
        if 0 in numbers:
            raise ValueError("calibration: a temperature is zero")
        return made


def shown_keys(key: str, presence: Mapping[Modality, NDArray[np.bool_]]) -> list[str]:
    """For each clip the key of what it has of a subset; empty where it has nothing of it.

    Example:
        >>> shown_keys("TS", {"text": np.array([True, False]), "speech": np.array([True, True])})
        ['TS', 'S']
    """
    members = [m for m in SUBSETS[key] if m in presence]
    patterns = zip(*(presence[m] for m in members), strict=True)
    return [subset_key([m for m, here in zip(members, pattern, strict=True) if here]) for pattern in patterns]


def fit_calibration(
    probabilities: Mapping[str, Array],
    branches: Mapping[Modality, Array],
    presence: Mapping[Modality, NDArray[np.bool_]],
    target: Array,
    *,
    task: str = "single",
    max_error: float | None = None,
) -> Calibration:
    """Fit all temperatures and thresholds on validation clips, each subset on those that have all of it.

    Args:
        probabilities: {subset key: ``[N, C]``}, not calibrated.
        branches: {modality: ``[N, C]``} of the branches' own heads.
        presence: {modality: ``[N]``}.
        target: ``[N, C]``.
        task: ``single``, ``soft`` or ``multi``.
        max_error: wished error rate among the answered clips.
    """
    temperatures: dict[str, float] = {}
    thresholds: dict[str, float | None] = {}
    clips: dict[str, int] = {}
    for key, values in probabilities.items():
        rows = np.logical_and.reduce([presence[m] for m in SUBSETS[key]])
        clips[key] = int(rows.sum())
        temperatures[key] = fit_temperature(values[rows], target[rows], task)
        if max_error is not None:
            calibrated = temper(values[rows], temperatures[key], task)
            thresholds[key] = abstention_threshold(*top_label(calibrated, target[rows], task), max_error)
    heads = {m: fit_temperature(values[presence[m]], target[presence[m]], task) for m, values in branches.items()}
    return Calibration(temperatures, heads, max_error, thresholds, clips)
