"""The classic regressors of one modality, for valence, arousal and dominance; scikit-learn does the work.

Ridge regression where there are words or feature statistics, RBF support vector regression over acoustic functionals
and HOG, one a dimension, on the inputs of :mod:`multiemo.benchmark.baselines.classifiers` and with scikit-learn's own
settings but for ``alpha = 10`` where few clips meet many correlated columns. They learn the value, not the concordance.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multiemo.benchmark.baselines.classifiers import MOST, Columns, Recipe, Terms, take_rows

Array = NDArray[np.float64]


def regress(recipe: Recipe, train: Any, target: Array, test: Any) -> Array:
    """Fit on train, ask about test.

    Args:
        recipe: what is fitted.
        train, test: texts, or vectors ``[N, K]`` in which NaN is unknown.
        target: ``[len(train), C]``; NaN where a clip does not know a dimension.

    Returns:
        ``[len(test), C]`` within -1..1; of a dimension that varies nowhere in train its mean, and NaN where nobody
        knows it.
    """
    transform = recipe.transform()
    learnt = transform.fit_transform(train)
    asked = transform.transform(test)
    said = np.full((asked.shape[0], target.shape[1]), np.nan)
    for c, column in enumerate(target.T):
        known = np.flatnonzero(~np.isnan(column))
        if recipe.most is not None and len(known) > recipe.most:
            known = np.sort(np.random.default_rng(0).permutation(known)[: recipe.most])
        if not len(known):
            continue
        if np.ptp(column[known]) == 0:
            said[:, c] = column[known[0]]
        else:
            fitted = recipe.estimator().fit(take_rows(learnt, known), column[known])
            said[:, c] = np.clip(fitted.predict(asked), -1, 1)
    return said


def _support_vectors() -> Any:
    from sklearn.svm import SVR  # type: ignore[import-untyped]

    return SVR(cache_size=500)


def _ridge(**options: float) -> Any:
    from sklearn.linear_model import Ridge  # type: ignore[import-untyped]

    return Ridge(**options)


#: {kind of input: how it is regressed}.
REGRESSIONS: dict[str, Recipe] = {
    "text": Recipe("TF-IDF + ridge regression", Terms, _ridge, tempered=False),
    "speech": Recipe("acoustic functionals + SVR", Columns, _support_vectors, tempered=False, most=MOST),
    "face": Recipe("HOG + SVR", Columns, _support_vectors, tempered=False, most=MOST),
    "features": Recipe("feature statistics + ridge regression", Columns, partial(_ridge, alpha=10.0), tempered=False),
}
