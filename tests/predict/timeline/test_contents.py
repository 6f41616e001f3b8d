"""Spans and lanes of an entry."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from multiemo.labels import LABEL_SETS
from multiemo.predict.timeline.contents import NO_LENGTH, Timeline, placed_spans, without_overlaps
from tests.support.entries import entry, said, usual


def test_overlaps_are_cut_in_the_middle_and_order_is_kept():
    rng = np.random.default_rng(0)
    for _ in range(50):
        starts = np.sort(rng.uniform(0, 50, 20)).tolist()
        items = [{"start": s, "end": s + rng.uniform(0, 9)} for s in starts]
        spans = without_overlaps(items)
        assert all(a[1] <= b[0] + 1e-12 for a, b in pairwise(spans))
        assert all(left <= right for left, right in spans)
    assert without_overlaps([{"start": 0, "end": 6}, {"start": 4, "end": 8}]) == [(0.0, 5.0), (5.0, 8.0)]
    assert without_overlaps([{"start": 3, "end": 3}]) == [(3.0, 3.0 + NO_LENGTH)]


def test_shares_fill_the_lane_also_when_several_labels_hold_at_once():
    labels = LABEL_SETS["goemotions28"]
    shown = Timeline.of(entry(said(0, 4, 3, labels=labels)))
    assert len(shown.bands) == 12
    assert shown.bands[-1] == "other"
    assert sum(shown.shares(dict.fromkeys(labels, 0.9))) == pytest.approx(1)
    assert labels[3] in shown.bands, "the most probable has its own"


def test_parts_keep_skipped_spans_in_place():
    assert [(p.left, p.index) for p in placed_spans(usual())] == [(0.5, 0), (4.0, 1), (7.0, None), (9.25, 2)]
