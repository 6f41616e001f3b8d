"""Attackers that name people, against people whose traits are known."""

from __future__ import annotations

import numpy as np
import pytest

from multiemo.privacy.reidentification import attacks

PEOPLE, CLIPS, WIDTH = 12, 10, 24


def people(trait: float, nuisance: float) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """{clip: embedding}, {clip: person}: a trait of the person, a strong nuisance in few dimensions, and noise."""
    rng = np.random.default_rng(0)
    person = {f"{p}-{c}": f"p{p}" for p in range(PEOPLE) for c in range(CLIPS)}
    traits = rng.normal(size=(PEOPLE, WIDTH)) * trait
    directions = rng.normal(size=(2, WIDTH))
    made = {
        clip: traits[int(name[1:])] + rng.normal(size=2) @ directions * nuisance + rng.normal(size=WIDTH)
        for clip, name in person.items()
    }
    return made, person


def by_knowledge(original: dict, protected: dict, person: dict, attacked: list[str] | None = None) -> dict:
    found = attacks("a", "speech", original, protected, person, attacked or [f"p{i}" for i in range(PEOPLE)])
    return {a.knowledge: a for a in found}


def test_an_informed_attacker_learns_to_ignore_what_varies_within_people() -> None:
    embeddings, person = people(1.0, 4.0)
    found = by_knowledge(embeddings, embeddings, person)
    assert found["semi-informed"].eer.value < found["lazy-informed"].eer.value - 0.05
    assert found["ignorant"] | {"knowledge": ""} == found["lazy-informed"] | {"knowledge": ""}, "nothing is protected"
    assert (found["ignorant"].people, found["ignorant"].clips) == (PEOPLE, PEOPLE * CLIPS // 2)


def test_a_fixed_transformation_stops_only_an_ignorant_attacker() -> None:
    embeddings, person = people(2.0, 0.0)
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(WIDTH, WIDTH)))
    found = by_knowledge(embeddings, {clip: turn @ x for clip, x in embeddings.items()}, person)
    assert found["ignorant"].eer.value > 0.3
    assert found["lazy-informed"].eer.value < 0.1
    assert found["semi-informed"].eer.value < 0.1


def test_embeddings_without_traits_give_chance() -> None:
    embeddings, person = people(0.0, 1.0)
    for attack in by_knowledge(embeddings, embeddings, person).values():
        assert attack.eer.value == pytest.approx(0.5, abs=0.1)
        assert attack.accuracy.value < 0.3


def test_only_people_with_two_clips_can_be_attacked() -> None:
    embeddings, person = people(1.0, 0.0)
    alone = {clip: x for clip, x in embeddings.items() if person[clip] in ("p0", "p1") or clip == "2-0"}
    assert {a.people for a in by_knowledge(alone, alone, person).values()} == {2}
    assert not by_knowledge(alone, alone, person, ["p0", "p2"])
