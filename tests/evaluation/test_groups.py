"""Errors by group, on predictions whose errors are planted."""

from __future__ import annotations

import numpy as np
import pytest

from multiemo.evaluation.groups import errors_by_group
from multiemo.types import Clip


def planted(wrong: dict[str, float], seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[Clip]]:
    """Clips of men and women, whose label is wrong with the probability given for their sex."""
    rng = np.random.default_rng(seed)
    truth, predicted, rows = [], [], []
    for s in range(8):
        sex = ("female", "male")[s % 2]
        for i in range(30):
            label = i % 3
            truth.append(label)
            predicted.append((label + 1) % 3 if rng.random() < wrong[sex] else label)
            facts = {"sex": sex, "age": str(20 + 5 * s)}
            rows.append(Clip(id=f"{s}-{i}", corpus="c", speaker=f"s{s}", attributes=facts))
    return np.array(truth), np.array(predicted), rows


def test_the_worst_group_comes_first_and_its_difference_is_right() -> None:
    truth, predicted, clips = planted({"female": 0.05, "male": 0.4})
    found = errors_by_group("single", truth, predicted, [c.speaker or "" for c in clips], clips)
    sexes = [g for g in found.groups if g.attribute == "sex"]
    assert [g.value for g in sexes] == ["male", "female"]
    assert (sexes[0].n, sexes[0].speakers) == (120, 4)
    right = [np.mean((truth == predicted)[[c.attributes["sex"] == sex for c in clips]]) for sex in ("male", "female")]
    assert [g.figure for g in sexes] == pytest.approx(right)  # as many clips of each label: UAR is accuracy
    assert sexes[0].difference == pytest.approx(right[0] - right[1])
    assert sexes[0].difference_interval[1] < 0
    assert {g.value for g in found.groups if g.attribute == "age"} == {"18-29", "30-44", "45-59"}
    for attribute in ("speaker", "age", "sex"):
        own = [g.figure for g in found.groups if g.attribute == attribute]
        assert own == sorted(own)
    assert found.figure == "uar"
    assert not [g for g in found.groups if g.attribute == "corpus"]  # there is only one


@pytest.mark.slow
def test_no_difference_is_found_where_there_is_none() -> None:
    inside = 0
    for seed in range(20):
        truth, predicted, clips = planted({"female": 0.2, "male": 0.2}, seed)
        found = errors_by_group("single", truth, predicted, [c.speaker or "" for c in clips], clips)
        low, high = next(g for g in found.groups if g.attribute == "sex").difference_interval
        inside += low <= 0 <= high
    assert inside >= 17


def test_small_groups_are_counted_and_unknown_ones_left_out() -> None:
    truth, predicted, clips = planted({"female": 0.1, "male": 0.1})
    rows = [
        Clip(id=c.id, corpus="c", language="zh" if i < 4 else None if i < 60 else "en") for i, c in enumerate(clips)
    ]
    found = errors_by_group("single", truth, predicted, ["x"] * len(rows), rows)
    (english,) = found.groups
    assert (english.value, english.n) == ("en", len(rows) - 60)
    assert found.notes == ["language: 1 groups with fewer than 10 clips (4 clips in all) have no figure of their own"]


def test_several_runs_and_dimensions() -> None:
    truth, predicted, clips = planted({"female": 0.1, "male": 0.3})
    runs = np.stack([predicted, np.where(np.arange(len(truth)) < 10, -1, predicted)])
    found = errors_by_group("single", truth, runs, [c.speaker or "" for c in clips], clips)
    assert found.groups[0].n >= 30
    rng = np.random.default_rng(0)
    rated, noise = rng.normal(0, 0.3, (len(truth), 3)), rng.normal(0, 1, (len(truth), 3))
    values = rated + noise * np.array([[0.5 if c.attributes["sex"] == "male" else 0.05] for c in clips])
    graded = errors_by_group("dimensions", rated, values, [c.speaker or "" for c in clips], clips)
    assert graded.figure == "ccc"
    assert [g.value for g in graded.groups if g.attribute == "sex"] == ["male", "female"]


def test_a_group_is_compared_over_the_labels_that_both_sides_have() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 0], 40)  # the second group has the easy label only
    predicted = np.where(rng.random(120) < np.where(truth == 0, 0.05, 0.7), 1 - truth, truth)
    clips = [Clip(id=str(i), corpus="c", speaker=str(i % 8), attributes={"script": "ab"[i >= 80]}) for i in range(120)]
    found = errors_by_group("single", truth, predicted, [c.speaker or "" for c in clips], clips)
    easy = next(g for g in found.groups if (g.attribute, g.value) == ("script", "b"))
    right = predicted == truth
    assert easy.figure == pytest.approx(right[80:].mean())
    assert easy.difference == pytest.approx(right[80:].mean() - right[:40].mean())
    votes = np.eye(2)[truth]
    assert errors_by_group("soft", votes, votes, [c.speaker or "" for c in clips], clips).groups[0].difference == 0
