"""Corpora of simulated speakers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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


def error(share, trials):
    return 3 * np.sqrt(share * (1 - share) / trials)
