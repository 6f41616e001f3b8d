"""Classic regressors of one modality for valence, arousal and dominance, built on scikit-learn.

There is one regressor per dimension: ridge regression on words and feature statistics, RBF support vector regression on
acoustic functionals and HOG. The inputs are those of :mod:`multiemo.benchmark.baselines.classifiers`. The settings are
the defaults of scikit-learn, except for ``alpha = 10`` for few clips with many correlated columns. The regressors
minimise the error of the value; they do not maximise the concordance.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from multiemo.arrays import Array
from multiemo.benchmark.baselines.classifiers import MOST, Columns, Recipe, Terms, take_rows


def regress(recipe: Recipe, train: Any, target: Array, test: Any) -> Array:
    """Fit a regressor on train and predict test.

    Args:
        recipe: the regressor.
        train, test: texts, or vectors ``[N, K]`` in which NaN is unknown.
        target: ``[len(train), C]``; NaN where a dimension of a clip is unknown.

    Returns:
        ``[len(test), C]`` within -1..1: the mean for a dimension that is constant in train, NaN for one that is unknown
        in all of train.
    """
    transform = recipe.transform()
    train_columns = transform.fit_transform(train)
    test_columns = transform.transform(test)
    predicted = np.full((test_columns.shape[0], target.shape[1]), np.nan)
    for c, column in enumerate(target.T):
        known = np.flatnonzero(~np.isnan(column))
        if recipe.most is not None and len(known) > recipe.most:
            known = np.sort(np.random.default_rng(0).permutation(known)[: recipe.most])
        if not len(known):
            continue
        if np.ptp(column[known]) == 0:
            predicted[:, c] = column[known[0]]
        else:
            fitted = recipe.estimator().fit(take_rows(train_columns, known), column[known])
            predicted[:, c] = np.clip(fitted.predict(test_columns), -1, 1)
    return predicted


def _support_vectors() -> Any:
    from sklearn.svm import SVR  # type: ignore[import-untyped]

    return SVR(cache_size=500)


def _ridge(**options: float) -> Any:
    from sklearn.linear_model import Ridge  # type: ignore[import-untyped]

    return Ridge(**options)


#: {kind of input: its regressor}.
REGRESSIONS: dict[str, Recipe] = {
    "text": Recipe("TF-IDF + ridge regression", Terms, _ridge, tempered=False),
    "speech": Recipe("acoustic functionals + SVR", Columns, _support_vectors, tempered=False, most=MOST),
    "face": Recipe("HOG + SVR", Columns, _support_vectors, tempered=False, most=MOST),
    "features": Recipe("feature statistics + ridge regression", Columns, partial(_ridge, alpha=10.0), tempered=False),
}
