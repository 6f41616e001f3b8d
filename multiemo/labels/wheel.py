"""Emotion words by family, and the group of each word in a label set.

The tree of ``wheel.txt`` has three levels: basic emotion, cluster, word (Shaver et al. 1987; Parrott 2001). The groups
of open-vocabulary emotion recognition (Lian et al. 2024, "Open-vocabulary multimodal emotion recognition"; AffectGPT's
MER-UniBench) are subtrees of such a tree. Here they depend on the label set: each label is the group of the largest
subtree that contains no other label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from multiemo.labels.maps import POLARITY
from multiemo.labels.sets import canonical

#: Citation of the tree, for reports.
WHEEL_SOURCE = "the tree of emotion words of Shaver et al. 1987 (Parrott 2001)"
#: Words that stand for a whole basic emotion besides its own name.
_HEADS = {"happiness": "joy"}
#: {basic emotion: label of ``ekman7``}, to find its polarity.
_EMOTIONS = {
    "love": "love", "joy": "happy", "anger": "angry", "sadness": "sad", "fear": "fearful", "neutral": "neutral",
    "boredom": "bored", "gratitude": "gratitude", "admiration": "admiration",
}  # fmt: skip
_OURS = "+"
_NO_FEELING = "-"


@dataclass(frozen=True, slots=True)
class WheelPlace:
    """The place of a word in the tree.

    Args:
        basic: basic emotion, such as ``anger``.
        cluster: cluster in it, such as ``irritation``.
        word: word of the tree, such as ``annoyance`` for "annoyed".
    """

    basic: str
    cluster: str
    word: str

    @property
    def levels(self) -> tuple[tuple[str, ...], ...]:
        """Paths of the word, its cluster and its basic emotion."""
        return (self.basic, self.cluster, self.word), (self.basic, self.cluster), (self.basic,)

    @property
    def heads(self) -> Iterator[tuple[str, ...]]:
        """Paths of the subtrees that are named after the word."""
        if self.word in (self.basic, self.cluster):
            yield self.basic, self.cluster
        if _HEADS.get(self.word, self.word) == self.basic:
            yield (self.basic,)


@cache
def emotion_wheel() -> Mapping[str, WheelPlace | None]:
    """{word or phrase, English in lower case or Chinese: its place}; ``None`` for phrases that express no feeling."""
    found: dict[str, WheelPlace | None] = {}
    basic = cluster = ""
    for line in files("multiemo.labels").joinpath("wheel.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            basic, _, cluster = line.strip("[]").removeprefix(_OURS).partition(" / ")
        elif basic == _NO_FEELING and line:
            found.update(dict.fromkeys(line.split(", ")))
        elif line and not line.startswith("#"):
            word, _, forms = line.partition(":")
            place = WheelPlace(basic, cluster, word)
            names = (word, *forms.replace("|", ",").split(","))
            found.update({name.strip(): place for name in names if name.strip()})
    return MappingProxyType(found)


class WheelGroups:
    """The groups of emotion words that a label set defines.

    A word belongs to the label that owns the smallest subtree around it. A label owns the largest subtree that contains
    no other label, and the subtrees that are named after it. In a set of polarities, basic emotions belong to their
    polarity. A word that no label owns is a group of its own basic emotion, such as ``love``.

    Args:
        labels: labels of the set.

    Example:
        >>> annoyed, worried = emotion_wheel()["annoy"], emotion_wheel()["worried"]
        >>> ekman, mer = WheelGroups(["happy", "angry", "fearful"]), WheelGroups(["happy", "angry", "worried"])
        >>> ekman.group(annoyed), ekman.group(worried), mer.group(worried), mer.group(emotion_wheel()["scared"])
        ('angry', 'fearful', 'worried', 'worried')
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        wheel = emotion_wheel()
        self._known = {label: place for label in labels if (place := _place_of(label, wheel)) is not None}
        self._owners: dict[tuple[str, ...], str] = {}
        for depth in range(3):
            inside: dict[tuple[str, ...], list[str]] = {}
            for label, place in self._known.items():
                inside.setdefault(place.levels[depth], []).append(label)
            self._owners.update({path: names[0] for path, names in inside.items() if len(set(names)) == 1 or not depth})
        for label, place in self._known.items():
            self._owners.update(dict.fromkeys(place.heads, label))
        for basic, emotion in _EMOTIONS.items():
            if POLARITY.get(emotion) in self.labels:
                self._owners.setdefault((basic,), POLARITY[emotion])

    def group(self, place: WheelPlace) -> str:
        """The label that a word belongs to, or its basic emotion if no label owns it."""
        return next((self._owners[path] for path in place.levels if path in self._owners), place.basic)

    def without_place(self) -> tuple[str, ...]:
        """Labels that the tree does not contain, so that texts must be searched for their own names."""
        return tuple(label for label in self.labels if label not in self._known)


def _place_of(label: str, wheel: Mapping[str, WheelPlace | None]) -> WheelPlace | None:
    """The place of a label in any spelling."""
    plain = label.strip().lower()
    return wheel.get(plain) or wheel.get(canonical(plain))
