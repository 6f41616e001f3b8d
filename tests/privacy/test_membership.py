"""Shadow models by the framework's own trainer, and how well models fit clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from multiemo.errors import ConfigError
from multiemo.privacy.membership import _figures, balanced_halves, fit_of, membership
from multiemo.privacy.models import Branch, branches_of
from multiemo.progress import Progress
from multiemo.types import Clip


def test_every_person_is_in_half_of_the_shadow_models() -> None:
    names = [f"p{i}" for i in range(7)]
    halves = balanced_halves(names, 6)
    assert [sum(name in half for half in halves) for name in names] == [3] * 7
    assert len({frozenset(half) for half in halves}) > 2, "not the same half over and over"


def test_a_better_prediction_fits_better_in_every_task() -> None:
    target = np.array([[0.0, 1.0]])
    for task in ("single", "soft", "multi", "dimensions"):
        good, bad = (fit_of(np.array([p]), target, task)[0] for p in ([0.1, 0.9], [0.6, 0.4]))
        assert good > bad
        assert np.isfinite(fit_of(np.array([[0.0, 1.0]]), target, task)).all()
    assert fit_of(np.array([[0.1, 0.9]]), target, "single")[0] == pytest.approx(np.log(9))


def test_numbers_of_shadow_models_that_leave_a_clip_without_comparison_are_refused(tiny_run: Path) -> None:
    _, branches = branches_of(tiny_run, "cpu", Progress())
    for count in (4, 7):
        with pytest.raises(ConfigError, match="--shadows"):
            membership(branches[0], "test", count, Progress())


@pytest.mark.parametrize("split", ["test", "val"])
def test_models_that_remember_exactly_what_they_were_trained_on_are_found_out(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch, split: str
) -> None:
    """Trainings are replaced by sets of ids: a model fits the clips that it was trained on, and no others."""
    (branch,) = [b for b in branches_of(tiny_run, "cpu", Progress())[1] if b.modality == "text"]
    own = {c.id for c in branch.source.part("train")}
    rng, used = np.random.default_rng(0), []

    def train(self: object, clips: list[Clip], *_: object, seed: int) -> set[str]:
        parts = {part: {c.speaker for c in clips if c.split == part} for part in ("train", "val", "test")}
        assert all(parts.values())
        assert len(set().union(*parts.values())) == sum(map(len, parts.values())), "nobody is in two parts"
        used.append(seed)
        return {c.id for c in clips if c.split == "train"}

    def fit(_: object, model: object, clips: list[Clip]) -> np.ndarray:
        known = model if isinstance(model, set) else own if remembers else set()
        return np.array([5.0 * (c.id in known) for c in clips]) + rng.normal(size=len(clips))

    monkeypatch.setattr(Branch, "trained", train)
    monkeypatch.setattr("multiemo.privacy.membership._fit", fit)
    for remembers in (True, False):
        found = {(f.target, f.level): f for f in membership(branch, split, 6, Progress())}
        assert found["shadows", "clips"].auc.value > 0.9
        assert (found["run", "clips"].shadows, found["shadows", "clips"].shadows) == (6, 4)
        assert found["run", "people"].members == len({c.speaker for c in branch.source.part("train")})
        auc = found["run", "clips"].auc.value
        assert auc > 0.9 if remembers else auc == pytest.approx(0.5, abs=0.25)
    assert used == [1, 2, 3, 4, 5, 6] * 2


@pytest.mark.parametrize(("leak", "expected"), [(0.0, (0.45, 0.55)), (1.5, (0.95, 1.0))])
def test_shadow_models_that_remember_nothing_give_chance_and_others_do_not(
    tiny_run: Path, leak: float, expected: tuple[float, float]
) -> None:
    """Fits depend on membership only by ``leak``; with complements in the attack, no leak gives 0.40."""
    branch, rng, found = branches_of(tiny_run, "cpu", Progress())[1][0], np.random.default_rng(0), []
    owner, names = np.repeat(np.arange(20), 8), [f"p{i:02}" for i in range(20)]
    for trial in range(20):
        inside = np.array([[name in half for name in names] for half in balanced_halves(names, 6, trial)])[:, owner]
        fits = leak * inside + rng.normal(size=len(owner)) + rng.normal(size=inside.shape)
        figures = _figures(branch, fits[0], inside[0], fits, inside, owner)
        found += [f.auc.value for f in figures if (f.target, f.level) == ("shadows", "people")]
    assert expected[0] <= np.mean(found) <= expected[1]
