"""The classic classifiers of one modality, with probabilities; scikit-learn does the work.

Every classifier gives decision values. Those of a logistic regression are log-probabilities already. A support vector
machine's become some by a temperature that is fitted on out-of-fold values of train, folds by speaker; unlike Platt
scaling that changes no decision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.calibration import fit_temperature
from multiemo.errors import ManifestError

Array = NDArray[np.float64]

#: Folds within train whose held-out decision values fit the temperature.
INNER_FOLDS = 5
#: A support vector machine learns from at most this many clips, drawn from train: its time grows with their square.
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """A classic classifier of one modality, or regressor (:mod:`multiemo.benchmark.baselines.regressors`).

    Args:
        name: for tables.
        transform: makes a scikit-learn transformer of its inputs.
        estimator: makes a scikit-learn classifier with decision values, or a regressor.
        tempered: the decision values are no log-probabilities and need a temperature.
        most: clips that it learns from at most; ``None`` from all.
    """

    name: str
    transform: Callable[[], Any]
    estimator: Callable[[], Any]
    tempered: bool
    most: int | None = None


def classify(
    recipe: Recipe, train: Any, target: Array, speakers: Sequence[str], test: Any, *, task: str = "single"
) -> Array:
    """Fit on train, ask about test.

    Args:
        recipe: what is fitted.
        train, test: texts, or vectors ``[N, K]`` in which NaN is unknown.
        target: ``[len(train), C]``, with at least :func:`least` labels that :func:`learnable` finds. Of votes the first
            of the most frequent labels counts.
        speakers: of the train clips; the folds for the temperature keep them whole.
        task: ``single``, ``soft`` or ``multi``.

    Returns:
        ``[len(test), C]`` probabilities; zero for labels that train lacks (and one, for ``multi``, where it has no
        other).
    """
    if recipe.most is not None and len(target) > recipe.most:
        kept = _draw(target, recipe.most)
        train, target, speakers = take_rows(train, kept), target[kept], [speakers[i] for i in kept]
    temperature = _temperature(recipe, train, target, speakers, task) if recipe.tempered else 1.0
    return _probabilities(_scores(recipe, train, target, test, task), temperature, task)


def learnable(target: Array, task: str = "single") -> NDArray[np.int64]:
    """Columns of labels that occur, and for ``multi`` do not always."""
    if task == "multi":
        share = (target > 0.5).mean(axis=0)
        return np.flatnonzero((share > 0) & (share < 1))
    return np.unique(target.argmax(axis=1))


def least(task: str) -> int:
    """Fewest labels that must be learnable."""
    return 1 if task == "multi" else 2


def _draw(target: Array, most: int) -> NDArray[np.int64]:
    """Rows of ``most`` clips, always the same ones: of each label its share, and of none less than one."""
    label = target.argmax(axis=1)
    order = np.random.default_rng(0).permutation(len(label))
    place = np.empty(len(label))
    for c in np.unique(label):
        members = order[label[order] == c]
        place[members] = np.arange(len(members)) / len(members)
    return np.sort(np.argsort(place, kind="stable")[:most])


def _scores(recipe: Recipe, train: Any, target: Array, test: Any, task: str) -> Array:
    """Decision values ``[len(test), C]``; infinite for labels that train never, or for ``multi`` always, has."""
    transform = recipe.transform()
    learnt = transform.fit_transform(train)
    asked = transform.transform(test)
    if task == "multi":
        positive = target > 0.5
        constant = np.where(positive.any(axis=0), np.inf, -np.inf)
        scores = np.tile(constant, (asked.shape[0], 1))
        for c in learnable(target, task):
            scores[:, c] = recipe.estimator().fit(learnt, positive[:, c]).decision_function(asked)
        return scores
    classifier = recipe.estimator().fit(learnt, target.argmax(axis=1))
    decided = classifier.decision_function(asked)
    if decided.ndim == 1:  # of two labels, for the second
        decided = np.stack([-decided / 2, decided / 2], axis=1)
    scores = np.full((asked.shape[0], target.shape[1]), -np.inf)
    scores[:, classifier.classes_] = decided
    return scores


def _probabilities(scores: Array, temperature: float, task: str) -> Array:
    """``[N, C]`` decision values to probabilities; an infinite one gives zero or one whatever the temperature."""
    from scipy import special  # type: ignore[import-untyped]

    scaled = scores / temperature
    return np.asarray(special.expit(scaled) if task == "multi" else special.softmax(scaled, axis=1))


def _temperature(recipe: Recipe, values: Any, target: Array, speakers: Sequence[str], task: str) -> float:
    """The temperature under which held-out clips of train are most likely; one where nothing can be held out.

    Folds keep speakers whole where there are several. A held-out clip whose label the other folds lack says nothing
    about the temperature and is passed over.
    """
    from sklearn.model_selection import GroupKFold  # type: ignore[import-untyped]

    multi = task == "multi"
    truth = target > 0.5 if multi else np.arange(target.shape[1]) == target.argmax(axis=1)[:, None]
    groups = list(speakers) if len(set(speakers)) > 1 else [str(i) for i in range(len(target))]
    folds = min(INNER_FOLDS, len(set(groups)))
    said: list[Array] = []
    true: list[Array] = []
    for inside, outside in GroupKFold(folds).split(target, groups=groups) if folds > 1 else ():
        varying = learnable(target[inside], task)
        if len(varying) < least(task):
            continue
        scores = _scores(recipe, take_rows(values, inside), target[inside], take_rows(values, outside), task)
        p, t = _probabilities(scores, 1.0, task), truth[outside].astype(float)
        fair = t[:, varying].any(axis=1)
        said.append(p[:, varying].reshape(-1, 1) if multi else p[fair])
        true.append(t[:, varying].reshape(-1, 1) if multi else t[fair])
    return fit_temperature(np.concatenate(said), np.concatenate(true), task) if said else 1.0


def take_rows(values: Any, rows: NDArray[np.int64]) -> Any:
    """Some of N texts, or of ``[N, K]`` vectors."""
    return [values[i] for i in rows] if isinstance(values, list) else values[rows]


# --------------------------------------------------------------------------------------------------------------------
# What they are made of


class Terms:
    """TF-IDF of words and of characters side by side; a view of which no term stands in two texts is left out."""

    def fit_transform(self, texts: Sequence[str]) -> Any:
        """Learn the vocabulary of N texts; ``[N, terms]``.

        Raises:
            ManifestError: there is none.
        """
        from scipy import sparse
        from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]

        self._views = []
        columns = []
        for view in (
            TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b|[!?]+"),
            TfidfVectorizer(analyzer="char", ngram_range=(1, 4), min_df=2, sublinear_tf=True),
        ):
            with suppress(ValueError):  # nothing is left of the vocabulary
                columns.append(view.fit_transform(texts))
                self._views.append(view)
        if not columns:
            raise ManifestError(
                f"classic baselines: no word or character stands in two of the {len(texts)} train texts; there is "
                "nothing to learn words from"
            )
        return sparse.hstack(columns, format="csr")

    def transform(self, texts: Sequence[str]) -> Any:
        """``[N, terms]`` of other texts."""
        from scipy import sparse

        return sparse.hstack([view.transform(texts) for view in self._views], format="csr")


class Columns:
    """Standardised columns: what is unknown becomes the mean, and columns that do not vary in train are left out."""

    def fit_transform(self, vectors: NDArray[np.float32]) -> Any:
        """Learn means and deviations of ``[N, K]``; its standardised columns."""
        from sklearn.impute import SimpleImputer  # type: ignore[import-untyped]
        from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

        self._imputer = SimpleImputer(keep_empty_features=True)
        known = self._imputer.fit_transform(vectors)
        varies = np.ptp(known, axis=0) > 0
        self._kept = np.flatnonzero(varies if varies.any() else ~varies)
        self._scaler = StandardScaler()
        return self._scaler.fit_transform(known[:, self._kept])

    def transform(self, vectors: NDArray[np.float32]) -> Any:
        """The columns of other vectors."""
        return self._scaler.transform(self._imputer.transform(vectors)[:, self._kept])


def _support_vectors() -> Any:
    from sklearn.svm import SVC  # type: ignore[import-untyped]

    return SVC(C=3.0, class_weight="balanced", cache_size=500)


def _regression(**options: float) -> Any:
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    return LogisticRegression(max_iter=2000, class_weight="balanced", **options)


#: The entry of the tables of recipes that serves every kind of input without one of its own: statistics over time.
UNKNOWN = "features"
#: {kind of input: how it is classified}.
RECIPES: dict[str, Recipe] = {
    "text": Recipe("TF-IDF + logistic regression", Terms, _regression, tempered=False),
    "speech": Recipe("acoustic functionals + SVM", Columns, _support_vectors, tempered=True, most=MOST),
    "face": Recipe("HOG + SVM", Columns, _support_vectors, tempered=True, most=MOST),
    "features": Recipe(
        "feature statistics + logistic regression", Columns, partial(_regression, C=0.1), tempered=False
    ),
}
