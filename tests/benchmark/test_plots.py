"""Plots of a benchmark: each is a PNG of the numbers that it was given."""

from __future__ import annotations

import base64

import pytest

from multiemo.benchmark import plots

PLOTS = {
    "points": lambda value: plots.draw_points(
        {"multiemo": {"T": value, "TS": 0.6}, "classic": {"T": 0.3}},
        {"multiemo": {"T": (0.1, 0.7), "TS": (0.5, 0.7)}, "classic": {"T": (0.2, 0.4)}},
        label="UAR",
        reference=("majority class", 0.25),
    ),
    "heat": lambda value: plots.draw_heat({"T": [value, 0.9], "S": [0.1, 0.3]}, ["happy", "sad"]),
    "scatter": lambda value: plots.draw_scatter(
        {"T": (0.01, value), "TS": (0.1, 0.6)}, x="seconds", y="UAR", highlight="TS"
    ),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_a_picture_of_what_it_was_given(name):
    one = PLOTS[name](0.2)
    assert base64.b64decode(one).startswith(b"\x89PNG")
    assert one == PLOTS[name](0.2), "the same numbers give the same file"
    assert one != PLOTS[name](0.5)
