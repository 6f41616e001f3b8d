"""What intervals and tests promise, checked on simulated speakers: coverage, rejection under the null, power.

A simulated speaker is recognised better or worse than others (a normal effect on the logit of the recall of every
label, and a smaller one of its own for each label); errors go to the other labels alike. The population value is the
mean over endlessly many such speakers. Shares are compared within three standard errors of their Monte Carlo.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from multiemo import metrics

CLASSES = 8


@dataclass(frozen=True)
class Design:
    """A kind of corpus and model.

    Args:
        logits: mean logit of the recall of the first and of the last label; the others lie between.
        spread: standard deviation of a speaker's effect.
        own: standard deviation of a speaker's effect on one label.
        clips: of each label and speaker.
        ragged: speakers differ in size (lognormal, 0.8) and labels in frequency (0.35 .. 0.02).
    """

    logits: tuple[float, float] = (0.5, 0.5)
    spread: float = 0.5
    own: float = 0.5
    clips: int = 6
    ragged: bool = False

    @property
    def means(self) -> np.ndarray:
        return np.linspace(*self.logits, CLASSES)

    @property
    def population(self) -> float:
        """The unweighted average recall over all speakers (Gauss-Hermite quadrature)."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(61)
        logits = self.means[:, None] + np.hypot(self.spread, self.own) * nodes
        return float(((1 / (1 + np.exp(-logits))) @ (weights / weights.sum())).mean())

    def draw(self, rng, speakers):
        """Truth, what is said, and names; ``speakers`` of them."""
        recall, truth, owner = self.people(rng, speakers)
        return truth, say(rng, truth, recall[owner, truth]), [f"s{i}" for i in owner]

    def people(self, rng, speakers):
        """Recall ``[G, C]``, and of every clip its label and its speaker."""
        effects = rng.normal(0, self.spread, (speakers, 1)) + rng.normal(0, self.own, (speakers, CLASSES))
        recall = 1 / (1 + np.exp(-(self.means + effects)))
        counts = np.full((speakers, CLASSES), self.clips)
        if self.ragged:
            sizes = np.exp(rng.normal(np.log(40), 0.8, speakers)).astype(int).clip(5)
            counts = rng.multinomial(sizes, [0.35, 0.2, 0.15, 0.1, 0.08, 0.06, 0.04, 0.02])
        owner, truth = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
        return recall, truth, owner


def say(rng, truth, recall):
    """The true label as often as its recall, else any other one."""
    wrong = (truth + rng.integers(1, CLASSES, len(truth))) % CLASSES
    return np.where(rng.random(len(truth)) < recall, truth, wrong)


DESIGNS = {
    "alike": Design(),
    "easy": Design((2.5, 2.5), spread=1.0),
    "varied": Design((-1.5, 1.5), spread=1.0),
    "independent": Design((-0.5, 1.0), spread=0.0, own=0.0, clips=8),
    "ragged": Design((1.5, -1.0), spread=0.7, ragged=True),
}


def coverage(design, speakers, trials, seed=0, resamples=200):
    rng = np.random.default_rng([seed, speakers])
    inside = 0
    for trial in range(trials):
        low, high = metrics.interval(*design.draw(rng, speakers), CLASSES, resamples=resamples, seed=trial)
        inside += low <= design.population <= high
    return inside / trials


def error(share, trials):
    return 3 * np.sqrt(share * (1 - share) / trials)


def two_systems(design, rng, speakers, apart=0.5, gain=0.0):
    """Truth, what two systems say, and names.

    Each speaker is recognised better or worse by both, and by each of them alone (``apart``: standard deviation of that
    effect). With ``gain``, added to the logits of the first, zero, the two are the same over all speakers.
    """
    recall, truth, owner = design.people(rng, speakers)
    logits = np.log(recall / (1 - recall))
    said = []
    for more in (gain, 0.0):
        own = 1 / (1 + np.exp(-(logits + more + rng.normal(0, apart, (speakers, 1)))))
        said.append(say(rng, truth, own[owner, truth]))
    return truth, *said, [f"s{i}" for i in owner]


def rejected(speakers, trials, *, design=DESIGNS["alike"], alpha=0.05, by_clip=False, seed=0, **how):
    """Share of paired tests with a p-value of at most alpha."""
    rng = np.random.default_rng([seed, speakers])
    hits = 0
    for trial in range(trials):
        truth, one, two, names = two_systems(design, rng, speakers, **how)
        names = [str(i) for i in range(len(truth))] if by_clip else names
        hits += metrics.paired_test(truth, one, two, names, CLASSES, resamples=199, seed=trial).p <= alpha
    return hits / trials


# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speakers", [2, 5, 12])
def test_intervals_hold_the_truth_where_often_nobody_is_wrong(speakers):
    found = coverage(Design((5.5, 5.5), spread=1.0, clips=1), speakers, 150, resamples=60)
    assert found >= 0.93 - error(0.93, 150), found  # intervals of no width: 0.09, 0.21 and 0.47


@pytest.mark.parametrize(
    ("name", "speakers"), [("alike", 3), ("alike", 6), ("varied", 20), ("easy", 4), ("ragged", 8), ("independent", 10)]
)
def test_intervals_hold_the_truth_about_as_often_as_they_say(name, speakers):
    found = coverage(DESIGNS[name], speakers, 200)
    assert 0.93 - error(0.93, 200) <= found, found  # percentiles of the draws: 0.76 with three speakers


@pytest.mark.slow
@pytest.mark.parametrize("speakers", [3, 4, 5, 6, 8, 12, 20, 40])
@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_coverage_is_93_to_97_per_cent(name, speakers):
    found, trials = coverage(DESIGNS[name], speakers, 1000), 1000
    lowest = 0.92 if name == "easy" else 0.93  # near the ceiling speakers are skewed
    highest = 0.99 if name == "ragged" and speakers < 8 else 0.97  # few speakers of very different size: wide
    assert lowest - error(lowest, trials) <= found <= highest + error(highest, trials), found


@pytest.mark.slow
@pytest.mark.parametrize(("speakers", "share"), [(3, 0.76), (8, 0.90)])
def test_percentiles_of_the_draws_would_be_too_narrow(speakers, share):
    design, trials, inside = DESIGNS["alike"], 500, 0
    rng = np.random.default_rng(speakers)
    for _ in range(trials):
        truth, said, names = design.draw(rng, speakers)
        owner = np.unique(names, return_inverse=True)[1]
        weights = rng.multinomial(speakers, np.full(speakers, 1 / speakers), 500).astype(float)
        drawn = metrics.label_measure(CLASSES).figures(truth, said, owner, weights)["uar"]
        low, high = np.quantile(drawn, [0.025, 0.975])
        inside += low <= design.population <= high
    assert inside / trials <= share + error(share, trials)


@pytest.mark.slow
@pytest.mark.parametrize(("speakers", "share"), [(3, 0.97), (8, 0.96), (20, 0.92), (40, 0.87)])
def test_coverage_where_one_speaker_alone_has_a_label(speakers, share):
    design, harder, trials, inside = DESIGNS["alike"], Design((-1.0, -1.0)), 500, 0
    rng = np.random.default_rng(speakers)
    population = (7 * design.population + harder.population) / 8
    for trial in range(trials):
        recall, truth, owner = design.people(rng, speakers)
        recall[:, 7] = harder.people(rng, speakers)[0][:, 7]
        kept = (truth != 7) | (owner == 0)
        truth, owner = truth[kept], owner[kept]
        said = say(rng, truth, recall[owner, truth])
        low, high = metrics.interval(truth, said, [f"s{i}" for i in owner], CLASSES, resamples=200, seed=trial)
        inside += low <= population <= high
    assert inside / trials == pytest.approx(share, abs=0.01 + error(share, trials))


@pytest.mark.slow
@pytest.mark.parametrize("speakers", [3, 6, 12, 24])
def test_coverage_of_macro_f1_and_of_a_mean_over_seeds(speakers):
    design, measure, trials = DESIGNS["varied"], metrics.label_measure(CLASSES), 500
    rng = np.random.default_rng(speakers)
    gains = (-0.2, 0.0, 0.3)  # seeds differ in how good they are, and all meet the same speakers

    def runs(people):
        recall, truth, owner = design.people(rng, people)
        logits = np.log(recall / (1 - recall))
        said = [say(rng, truth, (1 / (1 + np.exp(-(logits + gain))))[owner, truth]) for gain in gains]
        return truth, np.stack(said), [f"s{i}" for i in owner]

    truth, said, _ = runs(20000)
    population = np.mean([list(measure.plain(truth, run).values()) for run in said], axis=0)
    inside = np.zeros(len(population))
    for trial in range(trials):
        found = metrics.estimates(measure, *runs(speakers), resamples=200, seed=trial).values()
        inside += [e.low <= value <= e.high for e, value in zip(found, population, strict=True)]
    assert (inside / trials >= 0.93 - error(0.93, trials)).all(), inside / trials
    assert (inside / trials <= 0.98 + error(0.98, trials)).all(), inside / trials


def test_a_label_that_one_speaker_alone_has_widens_the_interval_and_does_not_move_it():
    rng = np.random.default_rng(2)
    truth, predicted, names = DESIGNS["alike"].draw(rng, 12)
    kept = (truth != 7) | (np.asarray(names) == "s3")
    predicted = np.where(truth == 7, 0, predicted)  # that label is never found
    truth, predicted, names = truth[kept], predicted[kept], np.asarray(names)[kept].tolist()
    found = metrics.estimates(metrics.label_measure(CLASSES), truth, predicted, names)["uar"]
    others = truth != 7
    rest = metrics.estimates(
        metrics.label_measure(CLASSES), truth[others], predicted[others], np.asarray(names)[others].tolist()
    )["uar"]
    assert found.value == pytest.approx(rest.value * 7 / 8)
    assert found.low < found.value < found.high
    assert (found.low + found.high) / 2 == pytest.approx(found.value, abs=0.01)
    assert found.high - found.low > rest.high - rest.low


@pytest.mark.parametrize("speakers", [4, 8])
def test_a_difference_that_is_none_is_found_as_seldom_as_alpha_says(speakers):
    assert rejected(speakers, 200) <= 0.05 + error(0.05, 200)


def test_swapping_clips_of_the_same_speakers_would_find_what_is_not_there():
    assert rejected(6, 60, by_clip=True) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("speakers", [2, 3, 4, 5, 6, 8, 12, 24])
@pytest.mark.parametrize("name", ["alike", "ragged"])
@pytest.mark.parametrize("apart", [0.0, 0.5])
def test_rejection_under_the_null_is_at_most_alpha(speakers, name, apart):
    found = rejected(speakers, 1000, design=DESIGNS[name], apart=apart)
    assert found <= 0.055 + error(0.055, 1000), found
    assert found > 0.002, "a test that never speaks is no test"


@pytest.mark.slow
@pytest.mark.parametrize("speakers", [5, 12, 24])
def test_the_detectable_difference_is_found_four_times_out_of_five(speakers):
    rng, trials = np.random.default_rng(speakers), 400
    draws = [two_systems(DESIGNS["alike"], rng, speakers, gain=0.0) for _ in range(50)]
    tests = [metrics.paired_test(*draw, CLASSES, resamples=300) for draw in draws]
    wanted = np.sqrt(np.mean([metrics.minimum_detectable_difference(test) ** 2 for test in tests]))
    design = DESIGNS["alike"]
    both = replace(design, spread=np.hypot(design.spread, 0.5))

    def better(gain):
        return replace(both, logits=tuple(m + gain for m in both.logits)).population - both.population

    gains = np.linspace(0, 4, 401)
    gain = float(np.interp(wanted, [better(g) for g in gains], gains))
    found = rejected(speakers, trials, gain=gain, seed=1)
    assert found == pytest.approx(0.8, abs=0.07 + error(0.8, trials)), (found, wanted)


def test_the_t_quantiles_are_those_of_scipy():
    low, high = metrics.interval(*DESIGNS["alike"].draw(np.random.default_rng(0), 5), CLASSES, resamples=500)
    found = metrics.estimates(
        metrics.label_measure(CLASSES), *DESIGNS["alike"].draw(np.random.default_rng(0), 5), resamples=500
    )["uar"]
    slope = 1 / (found.value * (1 - found.value))
    half = stats.t.ppf(0.975, 4) * found.error * slope
    middle = np.log(found.value / (1 - found.value))
    assert (low, high) == pytest.approx(tuple(1 / (1 + np.exp(-(middle + d))) for d in (-half, half)))


def dimension_case(rng, owner, speakers):
    truth = rng.normal(0, 0.4, len(owner)) + rng.normal(0, 0.1, speakers)[owner]
    follows = (0.6 + rng.normal(0, 0.15, speakers))[owner] * truth
    return truth, follows + rng.normal(0, 0.12, speakers)[owner] + rng.normal(0, 0.25, len(owner))


def several_case(rng, owner, speakers):
    truth = (rng.random((len(owner), 6)) < [0.4, 0.3, 0.2, 0.15, 0.1, 0.08]) * 1.0
    found = (1.5 + rng.normal(0, 0.5, (speakers, 1)))[owner] * truth + rng.normal(0, 0.4, (speakers, 6))[owner]
    return truth, 1 / (1 + np.exp(-(found - 1.2 + rng.normal(size=truth.shape))))


def votes_case(rng, owner, speakers):
    felt = rng.dirichlet(np.full(6, 0.6), len(owner))
    skill = (1 / (1 + np.exp(-(0.3 + rng.normal(0, 0.6, speakers)))))[owner, None]
    return rng.multinomial(8, felt) / 8, skill * felt + (1 - skill) * rng.dirichlet(np.ones(6), len(owner))


@pytest.mark.slow
@pytest.mark.parametrize("speakers", [3, 5, 8, 12, 24])
@pytest.mark.parametrize(
    ("case", "measure"),
    [
        (dimension_case, metrics.dimension_measure()),
        (several_case, metrics.multi_measure()),
        (votes_case, metrics.vote_measure(6)),
    ],
)
def test_coverage_of_the_figures_of_other_tasks(case, measure, speakers):
    trials = 400
    population = measure.plain(*case(np.random.default_rng(99), np.repeat(np.arange(10000), 30), 10000))
    inside = dict.fromkeys(population, 0)
    rng, owner = np.random.default_rng(speakers), np.repeat(np.arange(speakers), 30)
    for trial in range(trials):
        found = metrics.estimates(
            measure, *case(rng, owner, speakers), [f"s{i}" for i in owner], resamples=200, seed=trial
        )
        for name, e in found.items():
            inside[name] += e.low <= population[name] <= e.high
    for name, hits in inside.items():
        assert 0.93 - error(0.93, trials) <= hits / trials <= 0.99 + error(0.99, trials), (name, hits / trials)
