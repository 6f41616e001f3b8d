"""Re-identification: attackers that know some clips of each person, and name the person of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from multiemo.arrays import Array
from multiemo.metrics.verification import recognition
from multiemo.privacy.embeddings import Embeddings
from multiemo.runs.folder.privacy_report import Attack, MeasuredShare
from multiemo.types import Modality

#: Multiple of the mean variance that is added to the within-person covariance, which few clips cannot determine.
_SHRINKAGE = 3.0


def attacks(
    attacker: str,
    modality: Modality,
    original: Embeddings,
    protected: Embeddings,
    person: Mapping[str, str],
    attacked: Sequence[str],
) -> list[Attack]:
    """How well an attacker recognises people, by what it knows.

    Every second clip of a person is known to the attacker, who averages their embeddings; the others are to be
    recognised, among all attacked people, by the cosine. People with fewer than two clips are left out.

    Args:
        attacker: name of the attacker.
        modality: what is attacked.
        original: embeddings of the clips without protection.
        protected: embeddings of the protected clips.
        person: {clip: person}, in the order of the manifest, of attacked and other people.
        attacked: people that are attacked.

    Returns:
        One entry for each kind of knowledge; none with fewer than two people.
    """
    clips: dict[str, list[str]] = {}
    for clip, name in person.items():
        if clip in original and clip in protected:
            clips.setdefault(name, []).append(clip)
    clips = {name: found for name, found in clips.items() if len(found) > 1}
    people = [name for name in attacked if name in clips]
    if len(people) < 2:
        return []
    known = [clips[name][::2] for name in people]
    trials = [(number, c) for number, name in enumerate(people) for c in clips[name][1::2]]
    owner = np.array([number for number, _ in trials])
    tested = np.stack([protected[c] for _, c in trials])

    def enrolled(embeddings: Embeddings) -> Array:
        return np.stack([np.mean([_unit(embeddings[c]) for c in found], axis=0) for found in known])

    scores = {
        "ignorant": _unit(tested) @ _unit(enrolled(original)).T,
        "lazy-informed": _unit(tested) @ _unit(enrolled(protected)).T,
    }
    others = [found for name, found in clips.items() if name not in people]
    backend = Backend([np.stack([protected[c] for c in found]) for found in (*known, *others)])
    scores["semi-informed"] = backend(tested) @ backend(enrolled(protected)).T
    made = []
    for knowledge, values in scores.items():
        found = recognition(values, owner)
        made.append(
            Attack(
                attacker=attacker,
                modality=modality,
                knowledge=knowledge,  # type: ignore[arg-type]
                people=len(people),
                clips=len(trials),
                eer=MeasuredShare(value=found.eer, interval=list(found.eer_interval)),
                accuracy=MeasuredShare(value=found.accuracy, interval=list(found.accuracy_interval)),
            )
        )
    return made


class Backend:
    """Whitening of what varies within a person (WCCN; Hatch, Kajarekar & Stolcke 2006), learnt from people.

    Args:
        people: ``[K, D]`` embeddings of the clips of each person.
    """

    def __init__(self, people: Sequence[Array]) -> None:
        clips = [_unit(found) for found in people]
        self.middle = np.mean([found.mean(axis=0) for found in clips], axis=0)
        within = np.concatenate([found - found.mean(axis=0) for found in clips])
        covariance = within.T @ within / max(len(within) - len(clips), 1)
        level = np.trace(covariance) / len(covariance)
        covariance += max(_SHRINKAGE * level, 1e-12) * np.eye(len(covariance))
        values, vectors = np.linalg.eigh(covariance)
        self.whiten = vectors / np.sqrt(values)

    def __call__(self, embeddings: Array) -> Array:
        """``[N, D]`` transformed embeddings of length 1."""
        return _unit((_unit(embeddings) - self.middle) @ self.whiten)


def _unit(x: Array) -> Array:
    """Vectors of length 1; a zero vector stays."""
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12))
