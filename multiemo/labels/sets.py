"""Named, ordered label sets of the field, sets that a user declares, and the spelling of categories.

Categories have one canonical spelling, which every corpus adapter uses.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from multiemo.errors import ConfigError

#: Named, ordered label sets.
LABEL_SETS: dict[str, tuple[str, ...]] = {
    # Ekman's six and neutral, in the spelling of this package.
    "ekman7": ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"),
    # Ekman 1992, "An argument for basic emotions", Cognition and Emotion 6.
    "ekman6": ("angry", "disgusted", "fearful", "happy", "sad", "surprised"),
    # Livingstone & Russo 2018, in the order of the codes 01-08 in the file names.
    "ravdess8": ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised"),
    # Goodfellow et al. 2013, in the order of the codes 0-6 of the published CSV.
    "fer7": ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral"),
    # Poria et al. 2019.
    "meld7": ("neutral", "surprised", "fearful", "sad", "happy", "disgusted", "angry"),
    # BAAI 2025.
    "emotiontalk7": ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"),
    # Burkhardt et al. 2005.
    "emodb7": ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "bored"),
    # Cao et al. 2014.
    "cremad6": ("neutral", "happy", "sad", "angry", "fearful", "disgusted"),
    # Busso et al. 2008: all categories except "other", and the two subsets that are usually reported.
    "iemocap9": (
        "angry", "happy", "sad", "neutral", "frustrated", "excited", "fearful", "surprised", "disgusted",
    ),
    "iemocap4": ("angry", "happy", "sad", "neutral"),
    "iemocap6": ("happy", "sad", "neutral", "angry", "excited", "frustrated"),
    # Lotfian & Busso 2019: all classes except "other", in the order of its documentation.
    "msppodcast8": (
        "angry", "sad", "happy", "surprised", "fearful", "disgusted", "contemptuous", "neutral",
    ),
    # Busso et al. 2017.
    "mspimprov4": ("angry", "happy", "sad", "neutral"),
    # Zhou et al. 2022.
    "esd5": ("neutral", "happy", "sad", "angry", "surprised"),
    # Lian et al. 2023, MER 2023.
    "mer6": ("neutral", "angry", "happy", "sad", "worried", "surprised"),
    # Zahiri & Choi 2018: the inner ring of Willcox's feeling wheel, and neutral.
    "emorynlp7": ("joyful", "mad", "peaceful", "neutral", "sad", "powerful", "scared"),
    # Barsoum et al. 2016 (FER+), in the order of the columns of fer2013new.csv, without "unknown" and "NF".
    "ferplus8": (
        "neutral", "happy", "surprised", "sad", "angry", "disgusted", "fearful", "contemptuous",
    ),
    # Mollahosseini et al. 2019, in the order of the codes 0-7.
    "affectnet8": (
        "neutral", "happy", "sad", "surprised", "fearful", "disgusted", "angry", "contemptuous",
    ),
    # Li et al. 2017, in the order of the codes 1-7 of the basic emotions.
    "rafdb7": ("surprised", "fearful", "disgusted", "happy", "sad", "angry", "neutral"),
    # Lucey et al. 2010, in the order of the codes 0-7; the seven classes omit neutral.
    "ckplus8": (
        "neutral", "angry", "contemptuous", "disgusted", "fearful", "happy", "sad", "surprised",
    ),
    "ckplus7": ("angry", "contemptuous", "disgusted", "fearful", "happy", "sad", "surprised"),
    # Demszky et al. 2020, in the order of labels.txt.
    "goemotions28": (
        "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
        "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy",
        "love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise",
        "neutral",
    ),
    # The five states of the embedded synthetic corpus.
    "demo5": ("neutral", "happy", "sad", "angry", "fearful"),
    "polarity2": ("negative", "positive"),
    "polarity3": ("negative", "neutral", "positive"),
    # Socher et al. 2013 (SST-5).
    "polarity5": ("very negative", "negative", "neutral", "positive", "very positive"),
    # Zadeh et al. 2016: the seven points of CMU-MOSI's scale, -3 to 3.
    "polarity7": (
        "strongly negative", "negative", "weakly negative", "neutral", "weakly positive", "positive",
        "strongly positive",
    ),
}  # fmt: skip

#: Prefix of the name of a declared set: ``custom:happy,sad,bored``.
CUSTOM = "custom:"

#: Other spellings in published corpora -> canonical ones. A set's own names take precedence (:func:`find_label`).
ALIASES: dict[str, str] = {
    "anger": "angry", "ang": "angry", "disgust": "disgusted", "dis": "disgusted", "fear": "fearful", "fea": "fearful",
    "happiness": "happy", "joy": "happy", "hap": "happy", "sadness": "sad", "surprise": "surprised",
    "sur": "surprised", "neu": "neutral", "boredom": "bored", "exc": "excited", "excitement": "excited",
    "fru": "frustrated", "frustration": "frustrated", "contempt": "contemptuous",
}  # fmt: skip


def label_set(name: str, *, where: str = "label_set") -> tuple[str, ...]:
    """The labels of a set, in order.

    Args:
        name: a name of ``LABEL_SETS``, or a declared set: ``custom:`` followed by the labels, separated by commas
            without spaces.
        where: config key, for messages.

    Raises:
        ConfigError: the set is unknown, or a declared one has fewer than two labels, an empty or repeated label, or a
            label with spaces around it.

    Example:
        >>> label_set("polarity3")
        ('negative', 'neutral', 'positive')
        >>> label_set("custom:happy,sad,bored")
        ('happy', 'sad', 'bored')
    """
    if name in LABEL_SETS:
        return LABEL_SETS[name]
    if name.startswith(CUSTOM):
        labels = _declared(name)
        problem = _declaration_problem(labels)
        if problem:
            raise ConfigError(f"{where}: {name!r} {problem}; write it like {CUSTOM}happy,sad,bored")
        return labels
    close = difflib.get_close_matches(name, LABEL_SETS, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ConfigError(
        f"{where}: unknown label set {name!r}; {hint}choices: {', '.join(sorted(LABEL_SETS))}, or your own, like "
        f"{CUSTOM}happy,sad,bored"
    )


@lru_cache
def _declared(name: str) -> tuple[str, ...]:
    return tuple(name.removeprefix(CUSTOM).split(","))


def _declaration_problem(labels: tuple[str, ...]) -> str | None:
    """The first problem with the labels of a declared set, or ``None``."""
    if len(labels) < 2:
        return "has fewer than two labels"
    for label in labels:
        if not label:
            return "has an empty label"
        if label != label.strip():
            return f"has spaces around the label {label!r}"
    repeated = [label for label in labels if labels.count(label) > 1]
    return f"has the label {repeated[0]!r} twice" if repeated else None


def canonical(label: str) -> str:
    """The canonical spelling of a category: lower case, aliases resolved.

    Example:
        >>> canonical("Joy"), canonical("SURPRISE"), canonical("calm")
        ('happy', 'surprised', 'calm')
    """
    plain = label.strip().lower()
    return ALIASES.get(plain, plain)


def find_label(word: str, labels: Sequence[str]) -> str | None:
    """Find the label that a word means. Returns ``None`` if there is no such label, or more than one.

    The names of the set take precedence: first the exact spelling, then any case, then the :data:`ALIASES`, which are
    applied in both directions (``anger`` matches ``angry`` and vice versa).

    Args:
        word: a label as a corpus or a user writes it; surrounding spaces are ignored.
        labels: labels of the set.

    Example:
        >>> find_label("Joy", ["joy", "contempt"]), find_label("CONTEMPT", ["joy", "contempt"])
        ('joy', 'contempt')
        >>> find_label("Joy", ["happy", "sad"]), find_label("angry", ["Anger", "Fear"])
        ('happy', 'Anger')
        >>> find_label("calm", ["happy", "sad"]) is None
        True
    """
    word = unicodedata.normalize("NFC", word.strip())
    if word in labels:
        return word
    for spelled in (_folded, canonical):
        for meant in (_folded(word), _folded(canonical(word))):
            found = [label for label in labels if spelled(label) == meant]
            if found:
                return found[0] if len(found) == 1 else None
    return None


def _folded(word: str) -> str:
    """Normalise the case of a word and the encoding of its accents."""
    return unicodedata.normalize("NFC", word.strip()).casefold()
