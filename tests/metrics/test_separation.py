"""AUROC of pairs of clips against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from multiemo.metrics.separation import separation


def test_area_is_that_of_scikit_learn_with_ties_and_its_interval_narrows_with_speakers() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for speakers in (5, 50):
        low, high = rng.normal(0, 1, 400).round(1), rng.normal(1, 1, 300).round(1)
        names = [rng.integers(0, speakers, n).astype(str) for n in (400, 300, 300)]
        value, least, most = separation(low, names[0], high, (names[1], names[2]))
        truth = np.repeat([0, 1], [400, 300])
        assert value == pytest.approx(roc_auc_score(truth, np.concatenate([low, high])))
        assert least < value < most
        widths.append(most - least)
    assert widths[1] < widths[0]
