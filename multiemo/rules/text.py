"""Emotion of a text by rules: lexicon words, and what negation, degree, contrast and marks make of them.

The rules are those of VADER (Hutto & Gilbert 2014, "VADER: A parsimonious rule-based model for sentiment analysis of
social media text", ICWSM) for English, and their counterparts for Chinese, applied to emotions as well as to valence:

- A word of the lexicon adds its emotions. Degrees before it, in Chinese also after it, strengthen or weaken it.
- A negation shortly before it turns it around: what is not happy is rather sad, what is not sad is rather calm. Two
  negations cancel. A negated degree ("not very happy") turns it around weakly.
- What comes after "but" counts more, what comes before counts less; a clause with "although" counts less.
- Capitals, drawn-out words and exclamation marks strengthen, questions weaken.

The effects of n words are divided by the square root of n, so that long texts do not become certain by their length.
The sum of the effects of all reasons is the score of each emotion.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from multiemo.rules.cleaning import Cleaned, clean
from multiemo.rules.context import Feeling, apply_context
from multiemo.rules.findings import EMOTIONS, Findings, RuleReason
from multiemo.rules.lexicon.files import read_lexicon
from multiemo.rules.lexicon.words import Lexicon
from multiemo.rules.matching import KnownWord, WordLists
from multiemo.transcripts.language import language_of, short_code

#: Languages of the built-in lists; Cantonese shares the Chinese one.
_CHINESE, _ENGLISH = ("zh", "yue"), ("en",)
#: VADER's normalisation of a sum of ratings (alpha 15 for ratings within -4..4), for ratings within -1..1.
_ALPHA = 15 / 16
_IRONY = "irony, and what is only implied, are not recognised"
#: Score of surprise of a question mark together with an exclamation mark.
_INTERROBANG = 0.6


def read_text(text: str, *, language: str | None = None, lexicon: Lexicon | Path | str | None = None) -> Findings:
    """What the rules find in a text.

    Args:
        text: the text, in English, Chinese or both.
        language: code of its language; ``None`` finds it by script and common words.
        lexicon: a lexicon, or the path of one that :func:`multiemo.rules.lexicon.files.read_lexicon` reads. Its words
            are added to the built-in lists, and apply to any language.

    Returns:
        Scores, valence and arousal, and each rule that fired, with its place in ``text``.

    Raises:
        ConfigError: the lexicon is missing or has an unknown format.

    Example:
        >>> found = read_text("I am not happy!")
        >>> [reason.rule for reason in found.reasons]
        ["'not' turns 'happy' around", "'happy' expresses happy", "'!' strengthens 'happy'"]
        >>> found.scores, found.valence < 0
        ({'sad': 0.66}, True)
    """
    own = read_lexicon(Path(lexicon)) if isinstance(lexicon, str | Path) else lexicon
    code = language_of(text) if language is None else short_code(language)
    vocabulary = WordLists(
        english=code in (None, *_ENGLISH, *_CHINESE), chinese=code in (None, *_ENGLISH, *_CHINESE), own=own
    )
    cleaned = clean(text)
    items = vocabulary.items(cleaned)
    feelings = apply_context(items, cleaned)
    reasons = [reason for feeling in feelings for reason in feeling.reasons(cleaned)]
    reasons += _interrobangs(items, cleaned)
    scale = 1 / math.sqrt(max(1, len(feelings)))
    limits = [_IRONY]
    if not vocabulary.english:
        known = "only the words of the given lexicon" if own is not None else "only emoji and emoticons"
        limits.insert(0, f"there is no built-in list for the language {code!r}: {known} are read")
    elif not reasons:
        limits.insert(0, "no word of the text is in the lexicon")
    return _findings(reasons, feelings, scale, limits)


def _findings(
    reasons: Sequence[RuleReason], feelings: Sequence[Feeling], scale: float, limits: Sequence[str]
) -> Findings:
    """Add up the reasons, scaled."""
    scaled = [
        RuleReason(
            rule=reason.rule,
            part=reason.part,
            effect={e: round(v * scale, 4) for e, v in reason.effect.items()},
            source=reason.source,
            first=reason.first,
            last=reason.last,
        )
        for reason in reasons
    ]
    total: Counter[str] = Counter()
    for reason in scaled:
        total.update(reason.effect)
    valence, arousal = sum(f.valence for f in feelings), sum(f.arousal for f in feelings)
    order = sorted(scaled, key=lambda reason: -sum(map(abs, reason.effect.values())))
    return Findings(
        {e: round(total[e], 4) for e in EMOTIONS if total[e] > 1e-3},
        valence=round(valence / math.sqrt(valence**2 + _ALPHA), 4),
        arousal=round(arousal / math.sqrt(arousal**2 + _ALPHA), 4),
        reasons=tuple(order),
        limits=tuple(limits),
    )


def _interrobangs(items: Sequence[KnownWord], cleaned: Cleaned) -> list[RuleReason]:
    """A reason for each "?!"."""
    found = []
    for item in items:
        if "?" in item.mark and "!" in item.mark:
            first, last = cleaned.original(item.first, item.last)
            effect = {"surprised": _INTERROBANG}
            rule = f"'{item.text}' asks in surprise"
            found.append(
                RuleReason(rule=rule, part=item.text, effect=effect, source="punctuation", first=first, last=last)
            )
    return found
