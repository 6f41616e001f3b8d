"""Label sets of the field, and explicit maps between them.

Categories have one canonical spelling; each corpus adapter writes that spelling. A map from one set to another says
for every source label where it goes, or that it is lost (``None``); nothing is guessed from names at run time.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from multiemo.errors import ConfigError

#: Named, ordered label sets.
LABEL_SETS: dict[str, tuple[str, ...]] = {
    # Ekman's six and neutral, in the spelling of this package.
    "ekman7": ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"),
    # Livingstone & Russo 2018, in the order of the codes 01-08 in the file names.
    "ravdess8": ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgusted", "surprised"),
    # Goodfellow et al. 2013, in the order of the codes 0-6 of the published CSV.
    "fer7": ("angry", "disgusted", "fearful", "happy", "sad", "surprised", "neutral"),
    # Poria et al. 2019.
    "meld7": ("neutral", "surprised", "fearful", "sad", "happy", "disgusted", "angry"),
    "polarity3": ("negative", "neutral", "positive"),
    # BAAI 2025.
    "emotiontalk7": ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"),
    # Burkhardt et al. 2005.
    "emodb7": ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "bored"),
    # Cao et al. 2014.
    "cremad6": ("neutral", "happy", "sad", "angry", "fearful", "disgusted"),
    # Demszky et al. 2020, in the order of labels.txt.
    "goemotions28": (
        "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
        "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy",
        "love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise",
        "neutral",
    ),
    # The five states of the embedded synthetic corpus.
    "demo5": ("neutral", "happy", "sad", "angry", "fearful"),
}  # fmt: skip

#: Other spellings met in published corpora -> ours. Used by adapters, never silently at training time.
ALIASES: dict[str, str] = {
    "anger": "angry", "ang": "angry", "disgust": "disgusted", "dis": "disgusted", "fear": "fearful", "fea": "fearful",
    "happiness": "happy", "joy": "happy", "hap": "happy", "sadness": "sad", "surprise": "surprised",
    "surprised": "surprised", "neu": "neutral", "boredom": "bored",
}  # fmt: skip

_GOEMOTIONS_TO_EKMAN: dict[str, str] = {
    # The authors' own ekman_mapping.json (google-research/goemotions).
    **dict.fromkeys(("anger", "annoyance", "disapproval"), "angry"),
    "disgust": "disgusted",
    **dict.fromkeys(("fear", "nervousness"), "fearful"),
    **dict.fromkeys(
        ("joy", "amusement", "approval", "excitement", "gratitude", "love", "optimism", "relief", "pride",
         "admiration", "desire", "caring"),
        "happy",
    ),
    **dict.fromkeys(("sadness", "disappointment", "embarrassment", "grief", "remorse"), "sad"),
    **dict.fromkeys(("surprise", "realization", "confusion", "curiosity"), "surprised"),
    "neutral": "neutral",
}  # fmt: skip

_POLARITY = {
    "neutral": "neutral", "calm": "neutral", "happy": "positive", "sad": "negative", "angry": "negative",
    "fearful": "negative", "disgusted": "negative", "bored": "negative",
}  # fmt: skip

#: {(source set, target set): {source label: target label}}; a label that is missing is lost.
MAPS: dict[tuple[str, str], Mapping[str, str]] = {
    ("goemotions28", "ekman7"): _GOEMOTIONS_TO_EKMAN,
    # RAVDESS calls calm a second baseline beside neutral (Livingstone & Russo 2018, "Emotional categories").
    ("ravdess8", "ekman7"): {**{name: name for name in LABEL_SETS["ekman7"]}, "calm": "neutral"},
    **{
        (source, "polarity3"): {k: v for k, v in _POLARITY.items() if k in LABEL_SETS[source]}
        for source in ("ekman7", "ravdess8", "fer7", "meld7", "emotiontalk7", "emodb7", "cremad6", "demo5")
    },
}


def label_set(name: str, *, where: str = "label_set") -> tuple[str, ...]:
    """The labels of a named set, in order.

    Raises:
        ConfigError: no such set.

    Example:
        >>> label_set("polarity3")
        ('negative', 'neutral', 'positive')
    """
    if name not in LABEL_SETS:
        close = difflib.get_close_matches(name, LABEL_SETS, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(f"{where}: unknown label set {name!r}; {hint}choices: {', '.join(sorted(LABEL_SETS))}")
    return LABEL_SETS[name]


def map_label(label: str, source: str | None, target: str) -> str | None:
    """``label`` of the set ``source`` in the set ``target``, or ``None`` when it is lost there.

    A registered map decides; without one a label keeps its name if the target has it.

    Example:
        >>> map_label("calm", "ravdess8", "ekman7")
        'neutral'
        >>> map_label("bored", "emodb7", "ekman7") is None
        True
    """
    if source == target:
        return label if label in LABEL_SETS[target] else None
    explicit = MAPS.get((source or "", target))
    if explicit is not None:
        return explicit.get(label)
    return label if label in label_set(target) else None


def canonical(label: str) -> str:
    """This package's spelling of a category: lower case, aliases resolved.

    Example:
        >>> canonical("Joy"), canonical("SURPRISE"), canonical("calm")
        ('happy', 'surprised', 'calm')
    """
    plain = label.strip().lower()
    return ALIASES.get(plain, plain)
