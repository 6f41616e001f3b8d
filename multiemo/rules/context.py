"""What the context makes of a feeling word: degree, negation, contrast, emphasis and questions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from multiemo.rules.cleaning import Cleaned
from multiemo.rules.findings import RuleReason
from multiemo.rules.lexicon.words import Entry
from multiemo.rules.matching import KnownWord

#: How far before a feeling its degree or negation may be, in English words (VADER's three) and Chinese characters.
_ENGLISH_REACH, _CHINESE_REACH = 4, 8
#: What a negation leaves of the valence, with the sign turned (VADER's factor).
_NEGATED_VALENCE = -0.74
#: What a negation leaves of the arousal.
_NEGATED_AROUSAL = 0.3
#: What a negation makes of a pleasant word: this share of its strength as sadness; of another word: as neutral.
_NOT_HAPPY, _NOT_OTHER = 0.6, 0.5
#: What is left of a word whose degree is negated ("not very happy"), and of one that is negated twice.
_NEGATED_DEGREE, _TWICE = 0.6, 0.8
#: VADER's factor of "never so happy", and the words by which the feeling is compared.
_NEVER_SO = 1.25
_COMPARED = re.compile(r"\b(?:so|such|this|more)\b|这么|这样|那么|那样|如此|更", re.IGNORECASE)
#: Subjects of a clause of its own, which a negation of the clause before does not reach ("not angry and I am sad").
_SUBJECT = re.compile(r"\b(?:i|you|he|she|it|we|they)\b", re.IGNORECASE)
#: VADER's factors of what is said before and after "but".
_BEFORE, _AFTER = 0.5, 1.5
_SET_ASIDE, _CAPITALS, _DRAWN_OUT, _ASKED, _TENTATIVE = 0.6, 1.25, 1.2, 0.6, 0.8
_EXCLAMATION, _MOST_EXCLAMATIONS = 0.1, 3
_SENTENCE = 60
_VADER = "Hutto & Gilbert 2014"
_GRAMMAR = "multiemo grammar"


@dataclass(slots=True)
class Feeling:
    """A feeling word and what it comes to.

    Args:
        item: the word.
        emotions: {emotion: strength}, as changed so far.
        valence: as changed so far.
        arousal: as changed so far.
        steps: (rule in words, item that it refers to, effect, source) of each change.
    """

    item: KnownWord
    emotions: dict[str, float]
    valence: float
    arousal: float
    steps: list[tuple[str, KnownWord, dict[str, float], str]] = field(default_factory=list)

    @classmethod
    def of(cls, item: KnownWord, entry: Entry) -> Feeling:
        """The feeling that a word expresses by itself."""
        feeling = cls(item, {}, entry.valence or 0.0, entry.arousal or 0.0)
        names = " and ".join(sorted(entry.emotions, key=lambda e: -entry.emotions[e]))
        feeling._become(dict(entry.emotions), f"'{item.text}' expresses {names}", item, entry.source)
        return feeling

    def scale(self, factor: float, rule: str, part: KnownWord, source: str) -> None:
        """Strengthen or weaken the feeling.

        Args:
            factor: factor of its strength, valence and arousal.
            rule: the rule, with ``{}`` for the word.
            part: the word or mark that does it.
            source: where the rule comes from.
        """
        self.valence *= factor
        self.arousal *= factor
        changed = {emotion: strength * factor for emotion, strength in self.emotions.items()}
        self._become(changed, rule.format(f"'{self.item.text}'"), part, source)

    def turn(self, part: KnownWord, strength: float = 1.0) -> None:
        """Turn the feeling around, as a negation does.

        Args:
            part: the negation.
            strength: how clearly.
        """
        changed: dict[str, float] = {}
        for emotion, value in self.emotions.items():
            other, share = ("sad", _NOT_HAPPY) if emotion == "happy" else ("neutral", _NOT_OTHER)
            changed[other] = changed.get(other, 0.0) + value * share * strength
        self.valence *= _NEGATED_VALENCE * strength
        self.arousal *= _NEGATED_AROUSAL * strength
        source = _VADER if part.english else _GRAMMAR
        self._become(changed, f"'{part.text}' turns '{self.item.text}' around", part, source)

    def _become(self, emotions: Mapping[str, float], rule: str, part: KnownWord, source: str) -> None:
        keys = dict.fromkeys((*self.emotions, *emotions))
        effect = {e: emotions.get(e, 0.0) - self.emotions.get(e, 0.0) for e in keys}
        self.emotions = dict(emotions)
        self.steps.append((rule, part, {e: v for e, v in effect.items() if v}, source))

    def reasons(self, cleaned: Cleaned) -> list[RuleReason]:
        """The rules that led here, in order, with places in the original text."""
        found = []
        for rule, part, effect, source in self.steps:
            first, last = cleaned.original(part.first, part.last)
            found.append(RuleReason(rule=rule, part=part.text, effect=effect, source=source, first=first, last=last))
        return found


def apply_context(items: Sequence[KnownWord], cleaned: Cleaned) -> list[Feeling]:
    """The feelings of a text, after every rule.

    Args:
        items: known words and marks of the text, in order.
        cleaned: the text.
    """
    found: list[Feeling] = []
    shouts = cleaned.text.isupper()
    for i, item in enumerate(items):
        if item.entry is None or not (item.entry.emotions or item.entry.valence):
            continue
        feeling = Feeling.of(item, item.entry)
        if not item.symbol:
            _degree_and_negation(feeling, items, i, cleaned.text)
        if item.english and item.text.isupper() and len(item.text) > 1 and not shouts:
            feeling.scale(_CAPITALS, "capitals strengthen {}", item, _VADER)
        if any(item.first <= place < item.last for place in cleaned.drawn_out):
            feeling.scale(_DRAWN_OUT, "{} is drawn out, which strengthens it", item, _GRAMMAR)
        _clauses(feeling, items, i)
        _end_of_sentence(feeling, items, i)
        found.append(feeling)
    return found


def _degree_and_negation(feeling: Feeling, items: Sequence[KnownWord], i: int, text: str) -> None:
    """Apply the degrees and negations before a feeling, and in Chinese the degree right after it.

    Args:
        feeling: the feeling.
        items: known words and marks.
        i: index of the feeling's word.
        text: the cleaned text.
    """
    before = []
    for item in _before(items, i, text):
        if item.does("never") and _COMPARED.search(text, item.last, feeling.item.first):
            source = _VADER if item.english else _GRAMMAR
            feeling.scale(_NEVER_SO, f"'{item.text}' compares {{}}, which strengthens it", item, source)
        else:
            before.append(item)
    negations = [k for k, item in enumerate(before) if item.negates]
    for k, item in enumerate(before):
        if item.does("degree") and not (negations and k > negations[-1]):
            _scale_by_degree(feeling, item)
    if i + 1 < len(items) and items[i + 1].does("after"):
        _scale_by_degree(feeling, items[i + 1])
    if not negations:
        return
    last = before[negations[-1]]
    if len(negations) % 2 == 0:
        feeling.scale(_TWICE, f"'{before[negations[-2]].text}' and '{last.text}' cancel before {{}}", last, _GRAMMAR)
        return
    weak = any(item.does("degree") for item in before[negations[-1] + 1 :])
    feeling.turn(last, min(_strength(last), _NEGATED_DEGREE if weak else 1.0))


def _strength(word: KnownWord) -> float:
    return 1.0 if word.function is None else word.function.strength


def _scale_by_degree(feeling: Feeling, degree: KnownWord) -> None:
    strength = _strength(degree)
    word = "strengthens" if strength > 1 else "weakens"
    feeling.scale(strength, f"'{degree.text}' {word} {{}}", degree, _VADER if degree.english else _GRAMMAR)


def _before(items: Sequence[KnownWord], i: int, text: str) -> list[KnownWord]:
    """The degrees and negations that reach a feeling, in order of the text.

    They must be in the same clause and near. One before another feeling reaches past it only if the two are joined
    ("not happy or proud"), and then only if it is a negation and none is nearer ("not angry and not sad").

    Args:
        items: known words and marks.
        i: index of the feeling's word.
        text: the cleaned text.
    """
    here = items[i]
    reach = _ENGLISH_REACH if here.english else _CHINESE_REACH
    found: list[KnownWord] = []
    joined = crossed = False
    for item in reversed(items[max(0, i - reach) : i]):
        if item.mark or item.does("contrast") or here.position - item.position > reach:
            break
        if item.entry is not None and item.entry.emotions:
            if not joined or any(nearer.negates for nearer in found):
                break
            crossed = True
        elif (item.negates and not _asks_either(item, here, text)) or (item.does("degree") and not crossed):
            found.append(item)
        joined = item.does("join") and not _SUBJECT.search(text, item.last, here.first)
    return found[::-1]


def _asks_either(negation: KnownWord, feeling: KnownWord, text: str) -> bool:
    """Whether a negation stands in a question of the form 开不开心 ("happy or not?")."""
    first = negation.first
    return first > 0 and negation.last == feeling.first and text[first - 1] == feeling.text[0]


def _clauses(feeling: Feeling, items: Sequence[KnownWord], i: int) -> None:
    """Apply the contrasts of the sentence, or of the next one if it begins with "but", and concessions."""
    start, end = _sentence(items, i)
    later = next((item for item in items[i + 1 : end] if item.does("contrast")), None)
    if later is None and end + 1 < len(items) and items[end].ends_sentence and items[end + 1].does("contrast"):
        opens = items[end + 1].position == items[end].position + 1
        later = items[end + 1] if opens else None
    earlier = next((item for item in reversed(items[start:i]) if item.does("contrast") and item.position > 0), None)
    if later is not None:
        feeling.scale(_BEFORE, f"{{}} counts less before '{later.text}'", later, _VADER)
    elif earlier is not None:
        feeling.scale(_AFTER, f"{{}} counts more after '{earlier.text}'", earlier, _VADER)
    for item in reversed(items[start:i]):
        if item.mark:
            break
        if item.does("concession"):
            feeling.scale(_SET_ASIDE, f"'{item.text}' sets {{}} aside", item, _GRAMMAR)
            break


def _end_of_sentence(feeling: Feeling, items: Sequence[KnownWord], i: int) -> None:
    """Apply exclamation marks, questions and tentative words."""
    start, end = _sentence(items, i)
    mark = items[end] if end < len(items) and items[end].ends_sentence else None
    exclamations = 0 if mark is None else min(_MOST_EXCLAMATIONS, mark.mark.count("!"))
    if mark is not None and exclamations:
        feeling.scale(1 + _EXCLAMATION * exclamations, f"'{mark.text}' strengthens {{}}", mark, _VADER)
    asks = next((item for item in items[i + 1 : end] if item.does("asks")), None)
    if asks is None and mark is not None and "?" in mark.mark and not exclamations:
        asks = mark
    if asks is not None and set(feeling.emotions) != {"surprised"}:
        feeling.scale(_ASKED, f"'{asks.text}' makes {{}} a question", asks, _GRAMMAR)
    tentative = next((item for item in items[start:end] if item.does("softens")), None)
    if tentative is not None:
        feeling.scale(_TENTATIVE, f"'{tentative.text}' makes {{}} tentative", tentative, _GRAMMAR)


def _sentence(items: Sequence[KnownWord], i: int) -> tuple[int, int]:
    """The sentence of an item: index of its first item, and of the mark that ends it (or one past the last item).

    Transcripts may have no marks, so a sentence has at most :data:`_SENTENCE` known words on either side.
    """
    first, last = max(0, i - _SENTENCE), min(len(items), i + 1 + _SENTENCE)
    start = next((k + 1 for k in range(i - 1, first - 1, -1) if items[k].ends_sentence), first)
    return start, next((k for k in range(i + 1, last) if items[k].ends_sentence), last)
