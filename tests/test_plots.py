"""Every plot is a PNG of the numbers that it was given."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from multiemo import plots


def pixels(text: str) -> np.ndarray:
    from matplotlib.image import imread

    return imread(io.BytesIO(base64.b64decode(text)))


BINS = {"confidence": [0.3, 0.9], "accuracy": [0.2, 0.8], "n": [5, 20]}
CURVE = {"coverage": [0.1, 0.5, 1.0], "risk": [0.0, 0.1, 0.3]}
RECORDS = [{"epoch": e, "val": {"uar": 0.1 * e}, "best": e < 3} for e in (1, 2, 3)]

PLOTS = {
    "bars": lambda: plots.draw_bars({"T": 0.2, "TSF": 0.6}, {"TSF": (0.5, 0.7)}, label="UAR", highlight="TSF",
                               reference=("chance", 0.25)),
    "confusion": lambda: plots.draw_confusion([[3, 1], [0, 0]], ["happy", "sad"]),
    "training": lambda: plots.draw_training({"text": RECORDS, "fuse": RECORDS}),
    "reliability": lambda: plots.draw_reliability({"T": {"raw": BINS, "calibrated": BINS}, "S": {"calibrated": BINS}}),
    "risk_coverage": lambda: plots.draw_risk_coverage({"T": CURVE, "S": CURVE}, points={"S": (0.5, 0.1)},
                                                      max_error=0.2),
}  # fmt: skip


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_a_picture_with_something_on_it(name):
    image = pixels(PLOTS[name]())
    assert image.ndim == 3
    assert image[..., :3].min() < 0.5
    assert (image[..., :3] > 0.98).all(axis=2).mean() > 0.3, "mostly white"


def test_what_is_given_changes_what_is_drawn():
    one = plots.draw_reliability({"T": {"calibrated": BINS}})
    assert one != plots.draw_reliability({"T": {"calibrated": {**BINS, "accuracy": [0.6, 0.1]}}})
    assert plots.draw_risk_coverage({"T": CURVE}) != plots.draw_risk_coverage({"T": CURVE}, max_error=0.2)
    assert one == plots.draw_reliability({"T": {"calibrated": BINS}}), "the same numbers give the same file"


def test_labels_at_line_ends_do_not_overlap():
    placed = plots._separated([0.5, 0.1, 0.51, 0.52], 0.05)
    assert placed == pytest.approx([0.5, 0.1, 0.55, 0.6])


def test_plots_leave_no_figure_open():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    PLOTS["training"]()
    assert plt.get_fignums() == before
