"""Attribution to modalities against shapiq, and the additive prediction against Bayes' rule."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from multiemo.explanation.modalities import additive_prediction, attribute_clips, interactions, modality_attribution
from multiemo.explanation.modality_summary import Attributed, summarise
from multiemo.types import MODALITIES, SUBSETS, Modality, subset_key

LABELS = ("a", "b", "c", "d")


def random_game(seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Random probabilities with every subset, and a prior."""
    rng = np.random.default_rng(seed)
    return {k: rng.dirichlet(np.ones(4)) for k in SUBSETS}, rng.dirichlet(np.ones(4))


def oracle(by_subset: dict[str, np.ndarray], prior: np.ndarray, present: list[Modality], label: int, index: str):
    """shapiq's exact values of an index."""
    shapiq = pytest.importorskip("shapiq")

    def game(coalitions: np.ndarray) -> np.ndarray:
        rows = []
        for row in np.atleast_2d(coalitions):
            key = subset_key([m for m, here in zip(present, row, strict=True) if here])
            rows.append(by_subset[key][label] if key else prior[label])
        return np.array(rows)

    return shapiq.ExactComputer(game, n_players=len(present))(index, order=1 if index == "SV" else 2)


@pytest.mark.parametrize("present", [["text", "speech", "face"], ["text", "face"]])
@pytest.mark.parametrize("seed", range(3))
def test_values_and_interactions_are_those_of_shapiq(seed: int, present: list[Modality]) -> None:
    by_subset, prior = random_game(seed)
    found = modality_attribution(by_subset, prior, present, LABELS, 2)
    values, pairs = (oracle(by_subset, prior, present, 2, index) for index in ("SV", "SII"))
    for i, m in enumerate(present):
        assert found.contribution[m] == pytest.approx(values[(i,)], abs=2e-6)
    for i, j in combinations(range(len(present)), 2):
        assert found.interaction[f"{present[i]}+{present[j]}"] == pytest.approx(pairs[(i, j)], abs=2e-6)
    assert sum(found.contribution.values()) == pytest.approx(found.probability - found.baseline, abs=5e-6)


def test_modalities_that_enter_alike_get_the_same() -> None:
    by_subset, prior = random_game(7)
    by_subset |= {"S": by_subset["T"], "SF": by_subset["TF"]}
    found = modality_attribution(by_subset, prior, list(MODALITIES), LABELS, 0)
    assert found.contribution["text"] == pytest.approx(found.contribution["speech"])
    assert found.interaction["text+face"] == pytest.approx(found.interaction["speech+face"])


def test_effects_that_add_up_do_not_interact() -> None:
    effects = dict(zip(MODALITIES, (0.1, -0.05, 0.2), strict=True))
    by_subset = {k: np.array([0.3 + sum(effects[m] for m in SUBSETS[k])]) for k in SUBSETS}
    found = interactions(by_subset, np.array([0.3]), list(MODALITIES), 0)
    assert list(found.values()) == pytest.approx([0, 0, 0])


@pytest.mark.parametrize("task", ["single", "multi"])
def test_additive_prediction_is_bayes_rule_for_independent_modalities(task: str) -> None:
    rng = np.random.default_rng(0)
    prior = np.array([0.5, 0.3, 0.2])
    likelihoods = {m: rng.uniform(0.1, 1, (2, 3)) for m in MODALITIES}

    def posterior(members: tuple[Modality, ...]) -> np.ndarray:
        yes = prior * np.prod([likelihoods[m][0] for m in members], axis=0)
        if task == "single":
            return yes / yes.sum()
        return yes / (yes + (1 - prior) * np.prod([likelihoods[m][1] for m in members], axis=0))

    by_subset = {k: posterior(members) for k, members in SUBSETS.items()}
    found = additive_prediction(by_subset, prior, list(MODALITIES), task)
    np.testing.assert_allclose(found, by_subset["TSF"], atol=1e-9)


def test_a_label_that_training_lacks_gets_no_evidence() -> None:
    by_subset = {k: np.array([0.2, 0.3, 0.5]) for k in SUBSETS}
    assert additive_prediction(by_subset, np.array([0.5, 0.5, 0.0]), list(MODALITIES))[2] < 1e-5


def test_a_corpus_is_summarised_by_label_with_what_each_clip_has() -> None:
    games = [random_game(seed) for seed in range(6)]
    prior = games[0][1]
    by_subset = {k: np.stack([game[k] for game, _ in games]) for k in SUBSETS}
    here = np.ones(6, dtype=bool)
    presence: dict[Modality, np.ndarray] = {"text": here, "speech": here.copy(), "face": here.copy()}
    presence["text"][0] = False
    for m in MODALITIES:
        presence[m][5] = False
    found = attribute_clips(by_subset, presence, prior, LABELS, [0, 0, 1, 1, 1, 2])
    assert found[5] is None
    kept = [Attributed.of(a, "ab"[i % 2]) for i, a in enumerate(found) if a is not None]
    summary = summarise(kept)
    assert summary.overall.contribution["text"].clips == 4
    assert set(summary.by_label) == {"a", "b"}
    values = [a.contribution["face"] for a in found[2:5] if a is not None]
    face = summary.by_label["b"].contribution["face"]
    assert face.signed.mean == pytest.approx(np.mean(values), abs=1e-5)
    assert face.size.mean == pytest.approx(np.mean(np.abs(values)), abs=1e-5)
    assert face.size.interval[0] <= face.size.mean <= face.size.interval[1]
