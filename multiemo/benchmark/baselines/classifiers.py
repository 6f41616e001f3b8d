"""Classic classifiers of one modality, with probabilities, built on scikit-learn.

Every classifier returns decision values. Those of a logistic regression are log-probabilities. Those of a support
vector machine become log-probabilities by a temperature that is fitted on out-of-fold values of train, with folds by
speaker. Unlike Platt scaling, a temperature changes no decision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.calibration import fit_temperature
from multiemo.errors import ManifestError

#: Folds within train whose held-out decision values fit the temperature.
INNER_FOLDS = 5
#: Largest number of train clips for a support vector machine, whose time grows with the square of that number.
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """A classic classifier or regressor (:mod:`multiemo.benchmark.baselines.regressors`) of one modality.

    Args:
        name: name for tables.
        transform: creates a scikit-learn transformer of the inputs.
        estimator: creates a scikit-learn classifier with decision values, or a regressor.
        tempered: whether the decision values are not log-probabilities and need a temperature.
        most: largest number of train clips; ``None`` for all.
    """

    name: str
    transform: Callable[[], Any]
    estimator: Callable[[], Any]
    tempered: bool
    most: int | None = None


def classify(
    recipe: Recipe, train: Any, target: Array, speakers: Sequence[str], test: Any, *, task: str = "single"
) -> Array:
    """Fit a classifier on train and predict test.

    Args:
        recipe: the classifier.
        train, test: texts, or vectors ``[N, K]`` in which NaN is unknown.
        target: ``[len(train), C]``, with at least :func:`least` labels that :func:`learnable` finds. For votes, the
            first of the most frequent labels is used.
        speakers: speakers of the train clips; the folds for the temperature do not divide them.
        task: ``single``, ``soft`` or ``multi``.

    Returns:
        ``[len(test), C]`` probabilities: zero for labels that train lacks, and one, for ``multi``, for labels that all
        train clips have.
    """
    if recipe.most is not None and len(target) > recipe.most:
        kept = _draw(target, recipe.most)
        train, target, speakers = take_rows(train, kept), target[kept], [speakers[i] for i in kept]
    temperature = _temperature(recipe, train, target, speakers, task) if recipe.tempered else 1.0
    return _probabilities(_scores(recipe, train, target, test, task), temperature, task)


def learnable(target: Array, task: str = "single") -> NDArray[np.int64]:
    """Columns of the labels that occur; for ``multi``, without those that every clip has."""
    if task == "multi":
        share = (target > 0.5).mean(axis=0)
        return np.flatnonzero((share > 0) & (share < 1))
    return np.unique(target.argmax(axis=1))


def least(task: str) -> int:
    """The smallest number of labels that must be learnable."""
    return 1 if task == "multi" else 2


def _draw(target: Array, most: int) -> NDArray[np.int64]:
    """Draw ``most`` rows, stratified by label with at least one row per label, always the same ones."""
    label = target.argmax(axis=1)
    order = np.random.default_rng(0).permutation(len(label))
    place = np.empty(len(label))
    for c in np.unique(label):
        members = order[label[order] == c]
        place[members] = np.arange(len(members)) / len(members)
    return np.sort(np.argsort(place, kind="stable")[:most])


def _scores(recipe: Recipe, train: Any, target: Array, test: Any, task: str) -> Array:
    """Decision values, ``[len(test), C]``.

    They are minus infinity for labels that train lacks, and for ``multi`` infinity for labels that every clip has.
    """
    transform = recipe.transform()
    train_columns = transform.fit_transform(train)
    test_columns = transform.transform(test)
    if task == "multi":
        positive = target > 0.5
        constant = np.where(positive.any(axis=0), np.inf, -np.inf)
        scores = np.tile(constant, (test_columns.shape[0], 1))
        for c in learnable(target, task):
            scores[:, c] = recipe.estimator().fit(train_columns, positive[:, c]).decision_function(test_columns)
        return scores
    classifier = recipe.estimator().fit(train_columns, target.argmax(axis=1))
    decided = classifier.decision_function(test_columns)
    if decided.ndim == 1:  # of two labels, for the second
        decided = np.stack([-decided / 2, decided / 2], axis=1)
    scores = np.full((test_columns.shape[0], target.shape[1]), -np.inf)
    scores[:, classifier.classes_] = decided
    return scores


def _probabilities(scores: Array, temperature: float, task: str) -> Array:
    """Convert decision values ``[N, C]`` to probabilities; infinite values become zero or one at any temperature."""
    from scipy import special  # type: ignore[import-untyped]

    scaled = scores / temperature
    return np.asarray(special.expit(scaled) if task == "multi" else special.softmax(scaled, axis=1))


def _temperature(recipe: Recipe, values: Any, target: Array, speakers: Sequence[str], task: str) -> float:
    """The temperature that maximises the likelihood of held-out train clips; 1 if nothing can be held out.

    Folds do not divide speakers if there are several. A held-out clip is skipped if the other folds lack its label,
    since it does not depend on the temperature.
    """
    from sklearn.model_selection import GroupKFold  # type: ignore[import-untyped]

    multi = task == "multi"
    truth = target > 0.5 if multi else np.arange(target.shape[1]) == target.argmax(axis=1)[:, None]
    groups = list(speakers) if len(set(speakers)) > 1 else [str(i) for i in range(len(target))]
    folds = min(INNER_FOLDS, len(set(groups)))
    predicted: list[Array] = []
    observed: list[Array] = []
    for inside, outside in GroupKFold(folds).split(target, groups=groups) if folds > 1 else ():
        varying = learnable(target[inside], task)
        if len(varying) < least(task):
            continue
        scores = _scores(recipe, take_rows(values, inside), target[inside], take_rows(values, outside), task)
        p, t = _probabilities(scores, 1.0, task), truth[outside].astype(float)
        fair = t[:, varying].any(axis=1)
        predicted.append(p[:, varying].reshape(-1, 1) if multi else p[fair])
        observed.append(t[:, varying].reshape(-1, 1) if multi else t[fair])
    return fit_temperature(np.concatenate(predicted), np.concatenate(observed), task) if predicted else 1.0


def take_rows(values: Any, rows: NDArray[np.int64]) -> Any:
    """Select rows of N texts, or of vectors ``[N, K]``."""
    return [values[i] for i in rows] if isinstance(values, list) else values[rows]


# --------------------------------------------------------------------------------------------------------------------
# Transformers and estimators


class Terms:
    """TF-IDF of words and of characters side by side; a view without a term that occurs in two texts is left out."""

    def fit_transform(self, texts: Sequence[str]) -> Any:
        """Learn the vocabulary of N texts and return their terms, ``[N, terms]``.

        Raises:
            ManifestError: no term occurs in two texts.
        """
        from scipy import sparse
        from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]

        self._views = []
        columns = []
        for view in (
            TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b|[!?]+"),
            TfidfVectorizer(analyzer="char", ngram_range=(1, 4), min_df=2, sublinear_tf=True),
        ):
            with suppress(ValueError):  # the vocabulary is empty
                columns.append(view.fit_transform(texts))
                self._views.append(view)
        if not columns:
            raise ManifestError(
                f"classic baselines: no word or character occurs in two of the {len(texts)} train texts, so no "
                "vocabulary can be learnt; add texts, or set benchmark.baselines=false"
            )
        return sparse.hstack(columns, format="csr")

    def transform(self, texts: Sequence[str]) -> Any:
        """Terms of other texts, ``[N, terms]``."""
        from scipy import sparse

        return sparse.hstack([view.transform(texts) for view in self._views], format="csr")


class Columns:
    """Standardised columns: unknown values become the mean, and columns that are constant in train are left out."""

    def fit_transform(self, vectors: NDArray[np.float32]) -> Any:
        """Learn means and deviations of vectors ``[N, K]`` and return their standardised columns."""
        from sklearn.impute import SimpleImputer  # type: ignore[import-untyped]
        from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

        self._imputer = SimpleImputer(keep_empty_features=True)
        known = self._imputer.fit_transform(vectors)
        varies = np.ptp(known, axis=0) > 0
        self._kept = np.flatnonzero(varies if varies.any() else ~varies)
        self._scaler = StandardScaler()
        return self._scaler.fit_transform(known[:, self._kept])

    def transform(self, vectors: NDArray[np.float32]) -> Any:
        """Standardised columns of other vectors."""
        return self._scaler.transform(self._imputer.transform(vectors)[:, self._kept])


def _support_vectors() -> Any:
    from sklearn.svm import SVC  # type: ignore[import-untyped]

    return SVC(C=3.0, class_weight="balanced", cache_size=500)


def _regression(**options: float) -> Any:
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    return LogisticRegression(max_iter=2000, class_weight="balanced", **options)


#: Key of the recipe for every kind of input that has no recipe of its own: statistics over time.
UNKNOWN = "features"
#: {kind of input: its classifier}.
RECIPES: dict[str, Recipe] = {
    "text": Recipe("TF-IDF + logistic regression", Terms, _regression, tempered=False),
    "speech": Recipe("acoustic functionals + SVM", Columns, _support_vectors, tempered=True, most=MOST),
    "face": Recipe("HOG + SVM", Columns, _support_vectors, tempered=True, most=MOST),
    "features": Recipe(
        "feature statistics + logistic regression", Columns, partial(_regression, C=0.1), tempered=False
    ),
}
