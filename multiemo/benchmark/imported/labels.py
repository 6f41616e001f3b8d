"""From another system's labels and words to the labels of a set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from multiemo.labels import LABEL_SETS, counted_as, find_label
from multiemo.labels.wheel import WheelGroups
from multiemo.rules.emotion_words import EmotionWord, emotion_words


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an answer means in the label set.

    Args:
        label: the label; ``None`` if no label of the set covers the answer.
        groups: groups of its emotion words: labels, and basic emotions that no label covers.
    """

    label: str | None
    groups: frozenset[str]


class LabelReader:
    """Finds the labels that answers of another system mean, and records how.

    Args:
        labels: labels of the set.

    Attributes:
        mapped: {answer: label}, for answers that are not spelled like a label.
        outside: {answer: number of clips}, for answers that no label covers.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.mapped: dict[str, str] = {}
        self.outside: Counter[str] = Counter()
        self._groups = WheelGroups(labels)
        named = next((name for name, known in LABEL_SETS.items() if set(known) == set(labels)), None)
        self._published = counted_as(named) if named is not None else {}
        self._meanings: dict[str, Meaning] = {}

    def find(self, answer: str) -> str | None:
        """The label that a category of another system means, if any.

        The label set's own spelling comes first, then the published maps between label sets, then the tree of emotion
        words, if all words of the answer belong to one label.

        Args:
            answer: the category as the other system writes it.
        """
        found = find_label(answer, self.labels) or self._mapped(answer)
        if found is not None and answer != found:
            self.mapped[answer] = found
        return found

    def label(self, answer: str) -> str | None:
        """As :meth:`find`; an answer that no label covers is counted in ``outside``."""
        found = self.find(answer)
        if found is None:
            self.outside[answer] += 1
        return found

    def word(self, answer: str) -> Meaning:
        """The label and the groups of one of several emotion words.

        Args:
            answer: the word or phrase.
        """
        label = self.label(answer)
        return Meaning(label, frozenset([label]) if label is not None else self._said(answer).groups)

    def words(self, answer: str) -> Meaning:
        """The groups of a free text, and the label with the strongest words; of equally strong ones the first.

        Args:
            answer: free text in English or Chinese.
        """
        found = self._said(answer)
        if found.label is None:
            self.outside[answer] += 1
        return found

    def _mapped(self, answer: str) -> str | None:
        known = find_label(answer, tuple(self._published))
        if known is not None:
            return self._published[known]
        groups = self._said(answer).groups
        return next(iter(groups)) if len(groups) == 1 and groups <= set(self.labels) else None

    def _said(self, answer: str) -> Meaning:
        if answer not in self._meanings:
            self._meanings[answer] = self._meaning(emotion_words(answer, self._groups.without_place()))
        return self._meanings[answer]

    def _meaning(self, words: Sequence[EmotionWord]) -> Meaning:
        strength: dict[str, float] = {}
        for word in words:
            group = self._groups.group(word.place)
            strength[group] = strength.get(group, 0.0) + word.strength
        labels = [group for group in strength if group in self.labels]
        return Meaning(max(labels, key=lambda label: strength[label], default=None), frozenset(strength))
