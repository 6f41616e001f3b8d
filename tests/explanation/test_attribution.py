"""Scores of parts against games whose values are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import shapiq
import torch

from multiemo.explanation import attribution
from multiemo.explanation.attribution import attribute, explain_modality, occlusion
from multiemo.explanation.evidence.base import ClipInput, Evidence
from multiemo.explanation.faithfulness.records import Difference, Faithfulness, ViewFaithfulness
from multiemo.explanation.records import EvidenceMap
from tests.support.explained import GameTarget, GameView


def random_game(parts: int) -> GameTarget:
    """A value for every subset, without any structure."""
    table = torch.randn(2**parts, generator=torch.Generator().manual_seed(parts))
    weights = 2 ** torch.arange(parts)
    return GameTarget(parts, lambda present: table[(present * weights).sum(1)])


@pytest.mark.parametrize("parts", [1, 2, 5, 8])
def test_few_parts_get_exact_shapley_values(parts: int) -> None:
    game = random_game(parts)
    scores, method = attribute(GameView(parts), game)

    def value(present: np.ndarray) -> np.ndarray:
        return game.value(torch.from_numpy(present)).double().numpy()

    oracle = shapiq.ExactComputer(n_players=parts, game=value)("SV")
    assert method == "Shapley values"
    assert scores.tolist() == pytest.approx([oracle[(i,)] for i in range(parts)], abs=1e-5)


def test_a_moderate_number_of_parts_is_sampled_the_same_way_every_time() -> None:
    weights = torch.linspace(-1, 1, 30)
    game = GameTarget(30, lambda present: present.float() @ weights + 3.0 * (present[:, 0] & present[:, 29]).float())
    scores, method = attribute(GameView(30), game)
    again, _ = attribute(GameView(30), game)
    expected = weights.clone()
    expected[[0, 29]] += 1.5  # a pair shares what it adds; each order and its reverse give both halves exactly
    assert method == "Shapley sampling"
    assert torch.allclose(scores, expected, atol=1e-4)
    assert torch.equal(scores, again)


def test_many_parts_are_left_out_one_by_one() -> None:
    weights = torch.arange(400.0)
    game = GameTarget(400, lambda present: present.float() @ weights)
    scores, method = attribute(GameView(400), game)
    assert method == "occlusion"
    assert torch.allclose(scores, weights, atol=0.1)
    assert game.largest <= 64


def test_a_large_input_costs_fewer_and_smaller_batches() -> None:
    game = GameTarget(20, lambda present: present.float().sum(1))
    game.x = torch.zeros(200_000, 1)
    assert attribute(GameView(20), game)[1] == "occlusion"
    assert game.largest <= 20


def test_gradients_come_first_unless_they_are_not_finite() -> None:
    game = random_game(3)
    assert attribute(GameView(3, [1.0, 2.0, 3.0]), game)[0].tolist() == [1.0, 2.0, 3.0]
    assert attribute(GameView(3, [1.0, float("nan"), 3.0]), game)[1] == "Shapley values"


def test_occlusion_is_the_fall_without_one_part() -> None:
    game = GameTarget(2, lambda present: 5.0 * present[:, 0].float() - 2.0 * present.all(1).float())
    assert occlusion(GameView(2), game).tolist() == [3.0, -2.0]


class TwoViews(Evidence):
    """Two views of two parts, and a map that shares the checks of spans of time."""

    def views(self, clip, target):
        cues = GameView(2)
        cues.unit = "cue"
        return [GameView(2), cues]

    def maps(self, clip, target):
        cells = [[0.5, -0.5]]
        return [EvidenceMap(kind="spectrogram", scores=cells, picture=None, start=0, end=1, method="x", trust="failed")]

    def changes(self, clip, target):
        return iter(())


def measured(unit: str, trust: str) -> ViewFaithfulness:
    figure = Difference(mean=0.1, interval=(-0.1, 0.3))
    names = (
        "deletion", "deletion_over_magnitude", "insertion", "insertion_over_magnitude", "comprehensiveness",
        "sufficiency", "similarity_to_shuffled", "stability",
    )  # fmt: skip
    reasons = ["no better than random"] if trust == "failed" else []
    return ViewFaithfulness(
        modality="speech", unit=unit, method="x", clips=9, speakers=5, trust=trust, reasons=reasons,
        **dict.fromkeys(names, figure),
    )  # fmt: skip


@pytest.mark.parametrize(("failed", "passed"), [("time", "cue"), ("cue", "time")])
def test_a_view_that_failed_its_checks_is_hidden_with_the_reason(monkeypatch, failed: str, passed: str) -> None:
    monkeypatch.setattr(attribution, "evidence_of", lambda kind: TwoViews())
    target = GameTarget(2, lambda present: present.float().sum(1))
    target.model, target.names, target.label = SimpleNamespace(task="dimensions"), ("valence",), 0
    clip = ClipInput("speech", SimpleNamespace(spec=SimpleNamespace(kind="speech")), target.x)
    views = [measured(failed, "failed"), measured(passed, "passed")]
    faithfulness = Faithfulness(corpus="c", part="val", clips=9, seed=0, views=views)
    found = explain_modality(clip, target, faithfulness=faithfulness)
    assert [(view.unit, view.trust) for view in found.views] == [(passed, "passed")]
    assert found.hidden[failed] == "no better than random"
    assert found.label == "valence"
    if failed == "time":  # the map shares its checks
        assert found.maps == []
        assert set(found.hidden) == {"time", "spectrogram"}
    else:
        assert [(one.trust, one.checked_as) for one in found.maps] == [("passed", "time")]
    unmeasured = explain_modality(clip, target)
    assert [view.trust for view in unmeasured.views] == ["not measured"] * 2
    assert (unmeasured.hidden, unmeasured.maps[0].trust) == ({}, "not measured")
