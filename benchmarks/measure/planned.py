"""Synthetic clips whose modalities show known emotions, of speakers whom the demo's model has not seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from multiemo.synthetic.corpus import Plan, SyntheticPerson, make_person
from multiemo.synthetic.cues import EMOTIONS
from multiemo.types import MODALITIES, Modality

#: Number of the first speaker; the demo corpus has twenty.
FIRST_SPEAKER = 20
_NEGATIVE = tuple(e for e in EMOTIONS if e not in ("neutral", "happy"))


@dataclass(frozen=True, slots=True)
class Planned:
    """One clip to make.

    Args:
        kind: ``one`` (one modality carries the emotion), ``agree`` (two show it, the third is neutral), ``half`` (of
            the two, one is neutral) or ``contradict`` (they show opposite polarities).
        modalities: the modality that carries the emotion, or the two that are compared.
        person: the speaker.
        plan: what each modality shows.
    """

    kind: str
    modalities: tuple[Modality, ...]
    person: SyntheticPerson
    plan: Plan


def planned_clips(speakers: int, seed: int = 7) -> list[Planned]:
    """The clips of all speakers.

    Args:
        speakers: number of speakers.
        seed: seed of speakers and strengths.
    """
    found = []
    for number in range(FIRST_SPEAKER, FIRST_SPEAKER + speakers):
        person, rng = make_person(number, seed), np.random.default_rng([seed, 4, number])
        found += [*_carried_by_one(person, rng), *_pairs(person, rng)]
    return found


def _carried_by_one(person: SyntheticPerson, rng: np.random.Generator) -> Iterator[Planned]:
    """Each emotion in each modality alone; the other two show neutral."""
    for carrier in MODALITIES:
        for emotion in EMOTIONS[1:]:
            shown = {m: emotion if m == carrier else "neutral" for m in MODALITIES}
            yield Planned("one", (carrier,), person, _plan(emotion, shown, person, rng))


def _pairs(person: SyntheticPerson, rng: np.random.Generator) -> Iterator[Planned]:
    """For each pair of modalities, clips in which they agree, differ by a neutral one, and contradict each other."""
    for first, second in combinations(MODALITIES, 2):
        negative = str(rng.choice(_NEGATIVE))
        for kind, one, two in (
            ("agree", "happy", "happy"),
            ("agree", negative, negative),
            ("half", "happy", "neutral"),
            ("half", "neutral", negative),
            ("contradict", "happy", negative),
            ("contradict", negative, "happy"),
        ):
            shown: dict[Modality, str] = dict.fromkeys(MODALITIES, "neutral") | {first: one, second: two}
            yield Planned(kind, (first, second), person, _plan(one, shown, person, rng))


def _plan(label: str, shown: dict[Modality, str], person: SyntheticPerson, rng: np.random.Generator) -> Plan:
    """A complete clip with strengths as in the demo corpus."""
    strength = {m: person.expressiveness[m] * float(rng.uniform(0.7, 1.0)) for m in MODALITIES}
    return Plan(label, shown, strength, None, "audio")
