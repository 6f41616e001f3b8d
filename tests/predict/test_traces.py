"""Sound and faces that are kept for drawing."""

from __future__ import annotations

import numpy as np
import pytest

from multiemo.predict.traces import Traces


def test_traces_are_thinned_by_maximum_and_median():
    found = Traces(
        np.array([0, 0.1, 0.4, 0.2, 0.1], np.float32), np.array([np.nan, 100, 300, np.nan, np.nan], np.float32)
    )
    times, loud = found.loudness(3)
    assert times.tolist() == pytest.approx([0.02, 0.06, 0.1])
    assert (loud**2).tolist() == pytest.approx([0.25, 1, 0.25])
    assert np.nan_to_num(found.melody(3)[1]).tolist() == [100, 300, 0]
    assert [len(x) for x in (*Traces().loudness(9), *Traces().melody(9))] == [0, 0, 0, 0]
    silent = Traces(np.zeros(9, np.float32), np.full(9, np.nan, np.float32))
    assert [t.audible for t in (found, Traces(), silent)] == [True, False, False]
