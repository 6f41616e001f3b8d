"""The attacker and the table of the benchmark of private training."""

from __future__ import annotations

from argparse import Namespace

import numpy as np

from benchmarks.private_training import identified, table, variants
from multiemo.types import Clip


def test_people_are_identified_by_what_is_theirs_and_by_nothing_else() -> None:
    clips = [Clip(id=str(i), corpus="c", speaker=str(i % 4)) for i in range(160)]
    noise = np.random.default_rng(0).normal(size=(160, 6))
    found = identified(noise + 6 * np.eye(6)[[i % 4 for i in range(160)]], clips)
    assert min(found.values()) > 0.95
    assert max(identified(noise, clips).values()) < 0.4  # chance is a quarter


def test_variants_and_their_means() -> None:
    given = Namespace(training={"epochs": 3}, private={"epochs": 2}, weights=[1.0], epsilons=[8.0])
    assert [name for name, _ in variants(given)] == ["none", "adversary 1", "epsilon 8"]
    rows = [{"variant": "none", "uar": uar, "linear": 0.9, "kernel": 0.8, "seconds": 4.0} for uar in (0.5, 0.6)]
    assert table(rows).splitlines()[-1] == "| none | 2 | 0.550 | 0.500 | 0.600 | 0.900 | 0.800 | 4 |"
