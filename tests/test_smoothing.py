"""The smoothing against sums over all paths of labels, and what it must leave alone."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from multiemo.calibration import change_of_prior, decide, temper
from multiemo.errors import ConfigError
from multiemo.smoothing import Smoother, Turn, fit_stay

Array = NDArray[np.float64]
Said = tuple[Array | None, float, float]


def smooth(smoother: Smoother, segments: list[Said]) -> list[Array | None]:
    found = [out for segment in segments for out in smoother.push(*segment)]
    return found + smoother.close()


def brute_force(prior: Array, stay_seconds: float, segments: list[Said], at: int) -> Array:
    """Posterior of the label of one segment: the sum over every path of labels of all segments."""
    labels = range(len(prior))
    posterior = np.zeros(len(prior))
    for path in itertools.product(labels, repeat=len(segments)):
        weight = float(prior[path[0]])
        for (_, s0, e0), (_, s1, e1), a, b in zip(segments, segments[1:], path, path[1:], strict=False):
            stay = math.exp(-((s1 + e1) / 2 - (s0 + e0) / 2) / stay_seconds)
            weight *= stay * (a == b) + (1 - stay) * prior[b]
        for (probs, _, _), label in zip(segments, path, strict=True):
            weight *= 1.0 if probs is None else float(probs[label] / prior[label])
        posterior[path[at]] += weight
    return posterior / posterior.sum()


@st.composite
def timelines(draw: st.DrawFn, *, most: int = 5, overlap: bool = False) -> tuple[Array, list[Said]]:
    """A prior and segments of any length, some apart from the one before, some of which nothing is said."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = draw(st.integers(2, 3))
    segments: list[Said] = []
    time = draw(st.floats(0, 5))
    for _ in range(draw(st.integers(1, most))):
        length = draw(st.floats(0.25, 8.0))
        probs = None if draw(st.integers(0, 4)) == 0 else rng.dirichlet(np.full(labels, 0.7)).clip(1e-6)
        segments.append((None if probs is None else probs / probs.sum(), time, time + length))
        time += length * (draw(st.floats(0.2, 1.0)) if overlap else 1) + draw(st.sampled_from((0.0, 0.5, 3.0)))
    return rng.dirichlet(np.full(labels, 3.0)).clip(0.01), segments


@settings(deadline=None, max_examples=60)
@given(timelines(), st.integers(0, 5), st.sampled_from((0.5, 4.0, 10.0, 100.0)))
def test_posteriors_are_sums_over_all_paths(made: tuple[Array, list[Said]], lag: int, stay_seconds: float) -> None:
    prior, segments = made[0] / made[0].sum(), made[1]
    found = smooth(Smoother(prior, stay_seconds=stay_seconds, lag=lag), segments)
    assert len(found) == len(segments)
    for k, (out, (probs, _, _)) in enumerate(zip(found, segments, strict=True)):
        if probs is None:
            assert out is None
            continue
        assert out is not None
        expected = brute_force(prior, stay_seconds, segments[: k + lag + 1], k)
        np.testing.assert_allclose(out, expected, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(timelines(most=12, overlap=True), st.integers(0, 4))
def test_segments_come_out_in_order_and_wait_for_the_lag_only(made: tuple[Array, list[Said]], lag: int) -> None:
    prior, segments = made
    smoother = Smoother(prior, lag=lag)
    for k, segment in enumerate(segments):
        assert len(smoother.push(*segment)) == (1 if k >= lag else 0)
    assert len(smoother.close()) == min(lag, len(segments))
    assert smoother.close() == []


@settings(deadline=None, max_examples=30)
@given(timelines(most=12, overlap=True), st.integers(0, 4))
def test_probabilities_stay_probabilities(made: tuple[Array, list[Said]], lag: int) -> None:
    for out in smooth(Smoother(made[0], lag=lag), made[1]):
        assert out is None or (out.min() >= 0 and out.sum() == pytest.approx(1.0))


@pytest.mark.parametrize("task", ["single", "multi"])
@pytest.mark.parametrize("lag", [0, 2])
def test_one_segment_is_not_changed(lag: int, task: str) -> None:
    prior, probs = np.array([0.7, 0.2, 0.1]), np.array([0.15, 0.6, 0.25])
    alone: list[Said] = [(probs, 3.0, 7.5)]
    for segments in (alone, [(None, 0.0, 3.0), *alone, (None, 7.5, 9.0), (None, 9.0, 10.0)]):
        (out,) = (o for o in smooth(Smoother(prior, lag=lag, task=task), segments) if o is not None)
        np.testing.assert_allclose(out, probs, atol=1e-12)


def test_segments_far_apart_do_not_speak_to_each_other() -> None:
    prior = np.array([0.5, 0.3, 0.2])
    first, second = np.array([0.9, 0.05, 0.05]), np.array([0.1, 0.2, 0.7])
    found = smooth(Smoother(prior), [(first, 0.0, 4.0), (second, 1000.0, 1004.0)])
    np.testing.assert_allclose(found, [first, second], atol=1e-12)


def test_the_prior_said_again_changes_nothing() -> None:
    """A model that knows nothing says the prior; its neighbours must be as if it were silent."""
    prior, sure = np.array([0.6, 0.3, 0.1]), np.array([0.1, 0.8, 0.1])
    spoken = smooth(Smoother(prior), [(sure, 0, 4), (prior, 4, 8), (sure, 8, 12)])
    silent = smooth(Smoother(prior), [(sure, 0, 4), (None, 4, 8), (sure, 8, 12)])
    np.testing.assert_allclose(spoken[0], silent[0])
    np.testing.assert_allclose(spoken[2], silent[2])


def test_a_lone_flicker_gives_way_and_a_change_is_followed() -> None:
    prior, calm, tense = np.array([0.5, 0.5]), np.array([0.8, 0.2]), np.array([0.4, 0.6])
    flicker = smooth(Smoother(prior), [(p, 4.0 * k, 4.0 * k + 4) for k, p in enumerate([calm, calm, tense, calm])])
    assert [int(np.argmax(p)) for p in flicker if p is not None] == [0, 0, 0, 0]
    change = [calm] * 3 + [np.array([0.2, 0.8])] * 3
    followed = smooth(Smoother(prior), [(p, 4.0 * k, 4.0 * k + 4) for k, p in enumerate(change)])
    assert [int(np.argmax(p)) for p in followed if p is not None] == [0, 0, 0, 1, 1, 1]


def test_overlapping_windows_are_not_heard_twice() -> None:
    """Four windows that overlap by three quarters count as their length of new media, not as four witnesses."""
    prior, probs = np.array([0.5, 0.5]), np.array([0.7, 0.3])
    overlapping = smooth(Smoother(prior, stay_seconds=1e6, lag=9), [(probs, float(k), k + 4.0) for k in range(5)])
    apart = smooth(Smoother(prior, stay_seconds=1e6, lag=9), [(probs, 0.0, 4.0), (probs, 4.0, 8.0)])
    assert overlapping[0] is not None
    assert apart[0] is not None
    np.testing.assert_allclose(overlapping[0], apart[0], atol=1e-4)
    same = smooth(Smoother(prior), [(probs, 0.0, 4.0), (probs, 0.0, 4.0)])
    np.testing.assert_allclose(same, [probs, probs])


def test_labels_that_come_and_go_on_their_own_are_smoothed_on_their_own() -> None:
    prior = np.array([0.3, 0.05])
    said = [np.array([0.9, 0.2]), np.array([0.4, 0.1]), np.array([0.8, 0.9])]
    both = smooth(Smoother(prior, task="multi"), [(p, 4.0 * k, 4.0 * k + 4) for k, p in enumerate(said)])
    for label in range(2):
        two = np.array([1 - prior[label], prior[label]])
        alone = smooth(
            Smoother(two), [(np.array([1 - p[label], p[label]]), 4.0 * k, 4.0 * k + 4) for k, p in enumerate(said)]
        )
        for out, expected in zip(both, alone, strict=True):
            assert out is not None
            assert expected is not None
            assert out[label] == pytest.approx(expected[1])


def test_certainties_that_contradict_and_labels_never_seen_are_survived() -> None:
    prior = np.array([1.0, 0.0, 0.0])
    sure = [np.eye(3)[k] for k in (0, 1, 2, 1)]
    for task in ("single", "multi"):
        for out in smooth(Smoother(prior, task=task), [(p, 0.0, 0.0) for p in sure]):
            assert out is not None
            assert np.isfinite(out).all()


@pytest.mark.parametrize(("wrong", "named"), [({"stay_seconds": 0.0}, "0.0"), ({"stay_seconds": math.nan}, "nan"),
                                              ({"lag": -1}, "-1")])  # fmt: skip
def test_wrong_settings_are_named(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} is {named}"):
        Smoother(np.array([0.5, 0.5]), **wrong)  # type: ignore[arg-type]


FREQUENCIES = np.array([0.45, 0.25, 0.15, 0.1, 0.05])


def dialogues(power: float, *, stay: float, count: int = 120, turns: int = 12, seed: int = 0):  # type: ignore[no-untyped-def]
    """Turns of four seconds whose label stays as the chain says, and what a perfect network trained with
    ``class_weights`` of this power says of each: posteriors under the frequencies to the power of ``1 - power``."""
    rng = np.random.default_rng(seed)
    keep = math.exp(-4.0 / stay) if stay else 0.0
    truth = np.empty((count, turns), dtype=int)
    for k in range(turns):
        fresh = rng.choice(5, count, p=FREQUENCIES)
        truth[:, k] = fresh if k == 0 else np.where(rng.random(count) < keep, truth[:, k - 1], fresh)
    x = np.eye(5)[truth] * 1.3 + rng.normal(size=(count, turns, 5))
    learnt = FREQUENCIES ** (1 - power) / (FREQUENCIES ** (1 - power)).sum()
    said = np.exp(1.3 * x) * learnt
    said /= said.sum(-1, keepdims=True)
    rows = np.arange(count * turns).reshape(count, turns)
    placed = [[Turn(int(r), 4.0 * k, 4.0 * k + 4) for k, r in enumerate(row)] for row in rows]
    return said.reshape(-1, 5), np.eye(5)[truth.ravel()], learnt, placed


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("stay", [4.0, 10.0, 25.0])
def test_smoothing_loses_no_accuracy_however_training_weighed_the_labels(power: float, stay: float) -> None:
    raw, target, learnt, placed = dialogues(power, stay=stay)
    calibrated = temper(raw, 1.0, bias=change_of_prior(learnt, FREQUENCIES, 1.0))
    costs = FREQUENCIES**-power
    smoothed = np.concatenate([
        np.array(smooth(Smoother(FREQUENCIES, stay_seconds=stay), [(calibrated[t.row], t.start, t.end) for t in turns]))
        for turns in placed
    ])  # fmt: skip
    truth = target.argmax(1)
    before = (decide(calibrated, costs=costs) == truth).mean()
    assert (decide(smoothed, costs=costs) == truth).mean() >= before
    likely = np.log(smoothed[np.arange(len(truth)), truth]).mean()
    assert likely > np.log(calibrated[np.arange(len(truth)), truth]).mean()
    np.testing.assert_allclose(smoothed.mean(0), target.mean(0), atol=0.03)


def test_dialogues_of_validation_say_for_how_long_labels_last_or_that_they_do_not() -> None:
    for stay, expected in ((10.0, {5.0, 10.0, 20.0}), (0.0, {0.0, 2.5})):
        raw, target, _, placed = dialogues(0.0, stay=stay)
        found, facts = fit_stay(placed, raw, target, FREQUENCIES, lambda p, rows: decide(p))
        assert found in expected
        assert facts["clips"] == len(target)
        assert facts["accuracy"] == pytest.approx((raw.argmax(1) == target.argmax(1)).mean())
        if found:
            assert facts["smoothed_accuracy"] >= facts["accuracy"]
    alternating = np.array([[t if k % 2 else 1 - t for k in range(20)] for t in (0, 1)]).ravel()
    rng = np.random.default_rng(1)
    said = np.where(alternating[:, None] == np.arange(2), 0.55, 0.45) + rng.normal(0, 0.1, (40, 1)) * [1, -1]
    turns = [[Turn(20 * d + k, 4.0 * k, 4.0 * k + 4) for k in range(20)] for d in range(2)]
    found, facts = fit_stay(turns, said, np.eye(2)[alternating], np.array([0.5, 0.5]), lambda p, rows: decide(p))
    assert found == 0.0, "who alternates is not served by smoothing"
    assert facts["smoothed_accuracy"] < facts["accuracy"]
