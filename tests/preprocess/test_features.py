from __future__ import annotations

import numpy as np
import pytest
import torch

from multiemo.errors import MediaError
from multiemo.preprocess.features import FeaturePreprocessor
from multiemo.types import Absent, FeatureSpec


def test_rows_are_kept_thinned_or_absent():
    preprocessor = FeaturePreprocessor(FeatureSpec(dim=3, max_steps=10))
    values = np.arange(300, dtype=np.float32).reshape(100, 3)
    assert torch.equal(preprocessor(values[:4]), torch.from_numpy(values[:4]))
    thinned = preprocessor(values)
    assert thinned.shape == (10, 3)
    assert thinned[0, 0] == 0
    assert thinned[-1, 0] == values[-1, 0]
    assert isinstance(preprocessor(values[:0]), Absent)


def test_another_width_is_refused():
    with pytest.raises(MediaError, match="4 columns, but the encoder reads 3"):
        FeaturePreprocessor(FeatureSpec(dim=3))(np.zeros((2, 4), dtype=np.float32))
