"""Explicit maps between label sets: the target of every source label, or that it is lost.

A registered map takes precedence. Without one, a label keeps its name if the target set contains it, and is lost
otherwise. Nothing else is guessed from names. If one of the two sets is declared by a user, whose spelling may differ,
names are matched regardless of case, and by their aliases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from multiemo.errors import ConfigError
from multiemo.labels.sets import CUSTOM, LABEL_SETS, find_label, label_set

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

_TO_EKMAN: dict[str, str] = {
    # RAVDESS describes calm as a second baseline besides neutral (Livingstone & Russo 2018, "Emotional categories").
    "calm": "neutral",
    # As in the usual four classes of IEMOCAP, and in GoEmotions' ekman_mapping.json (excitement -> joy).
    "excited": "happy",
    # Synonyms, from the feeling wheel of EmoryNLP.
    "joyful": "happy", "mad": "angry", "scared": "fearful",
}  # fmt: skip

#: {emotion: positive, negative or neutral}.
POLARITY: dict[str, str] = {
    "neutral": "neutral", "calm": "neutral", "happy": "positive", "excited": "positive", "sad": "negative",
    "angry": "negative", "fearful": "negative", "disgusted": "negative", "bored": "negative",
    "frustrated": "negative", "worried": "negative", "contemptuous": "negative",
    # The coarse labels of EmoryNLP (Zahiri & Choi 2018, section 3).
    "joyful": "positive", "peaceful": "positive", "powerful": "positive", "mad": "negative", "scared": "negative",
    # GoEmotions' sentiment_mapping.json. Its ambiguous labels (surprise, realization, ...) are lost. So is surprise in
    # other sets, because it may be positive or negative.
    **dict.fromkeys(
        ("admiration", "amusement", "approval", "caring", "desire", "excitement", "gratitude", "joy", "love",
         "optimism", "pride", "relief"),
        "positive",
    ),
    **dict.fromkeys(
        ("anger", "annoyance", "disappointment", "disapproval", "disgust", "embarrassment", "fear", "grief",
         "nervousness", "remorse", "sadness"),
        "negative",
    ),
}  # fmt: skip

#: The seven points of CMU-MOSI's scale as five: clipped to -2..2, as is usual for five-class accuracy.
_SEVEN_TO_FIVE: dict[str, str] = {
    **dict.fromkeys(("strongly negative", "negative"), "very negative"), "weakly negative": "negative",
    "neutral": "neutral",
    "weakly positive": "positive", **dict.fromkeys(("positive", "strongly positive"), "very positive"),
}  # fmt: skip

_POLARITIES = ("polarity2", "polarity3", "polarity5", "polarity7")
_EMOTIONS = tuple(name for name in LABEL_SETS if name not in _POLARITIES)
#: Sets that consist of Ekman's categories, in any order.
_EKMAN = tuple(n for n in _EMOTIONS if set(LABEL_SETS["ekman6"]) <= set(LABEL_SETS[n]) <= set(LABEL_SETS["ekman7"]))


def _within(pairs: Mapping[str, str], source: str, target: str) -> dict[str, str]:
    """Labels of ``source`` that keep their name or have a pair, if ``target`` contains the result."""
    named = {label: label for label in LABEL_SETS[source]}
    paired = {label: pairs[label] for label in LABEL_SETS[source] if label in pairs and label not in LABEL_SETS[target]}
    return {label: to for label, to in {**named, **paired}.items() if to in LABEL_SETS[target]}


#: {(source set, target set): {source label: target label}}; a missing label is lost.
MAPS: dict[tuple[str, str], Mapping[str, str]] = {
    **{(source, target): _within(_TO_EKMAN, source, target) for source in _EMOTIONS for target in _EKMAN},
    **{
        ("goemotions28", target): _within(_GOEMOTIONS_TO_EKMAN, "goemotions28", target)
        for target in _EMOTIONS
        if target != "goemotions28"
    },
    # Excitement is counted as happiness (5531 turns), as is usual with four classes of IEMOCAP.
    **{(source, "iemocap4"): _within({"excited": "happy"}, source, "iemocap4") for source in ("iemocap9", "iemocap6")},
    **{
        (source, target): {k: POLARITY[k] for k in LABEL_SETS[source] if POLARITY.get(k) in LABEL_SETS[target]}
        for source in _EMOTIONS
        for target in ("polarity2", "polarity3")
    },
    **{
        ("polarity5", target): _within({"very negative": "negative", "very positive": "positive"}, "polarity5", target)
        for target in ("polarity2", "polarity3")
    },
    ("polarity7", "polarity5"): _SEVEN_TO_FIVE,
    **{
        ("polarity7", target): {
            label: sign for label in LABEL_SETS["polarity7"] if (sign := label.rsplit(" ", 1)[-1]) in LABEL_SETS[target]
        }
        for target in ("polarity2", "polarity3")
    },
    # A coarse sign does not determine the strength.
    ("polarity2", "polarity5"): {},
    ("polarity2", "polarity7"): {},
    ("polarity3", "polarity5"): {"neutral": "neutral"},
    ("polarity3", "polarity7"): {"neutral": "neutral"},
    # Each end of the five-point scale covers two points of the seven-point scale.
    ("polarity5", "polarity7"): {
        "negative": "weakly negative",
        "neutral": "neutral",
        "positive": "weakly positive",
    },
}


@dataclass(frozen=True, slots=True)
class LabelMap:
    """A map from one label set to another.

    Args:
        source: name of the set that labels come from.
        target: name of the set that they are mapped to.
        kept: {source label: target label}.
        lost: {source label without an equivalent in ``target``: number of clips with it}; 0 if no counts were given.
    """

    source: str
    target: str
    kept: Mapping[str, str]
    lost: Mapping[str, float]


def label_map(source: str, target: str, counts: Mapping[str, float] = MappingProxyType({})) -> LabelMap:
    """The map from one label set to another, with the labels that are lost.

    Args:
        source: name of the set that labels come from.
        target: name of the set that they are mapped to.
        counts: {source label: number of clips with it}, to quantify the loss.

    Raises:
        ConfigError: a set is unknown, or a counted label is not in the source set.

    Example:
        >>> found = label_map("ravdess8", "iemocap4", {"calm": 192, "happy": 192})
        >>> found.kept["happy"], found.lost["calm"], found.lost["fearful"]
        ('happy', 192, 0)
    """
    labels = label_set(source, where="source label set")
    unknown = [label for label in counts if label not in labels]
    if unknown:
        raise ConfigError(f"counts: {unknown[0]!r} is not in label set {source}: {', '.join(labels)}")
    targets = {label: map_label(label, source, target) for label in labels}
    return LabelMap(
        source,
        target,
        kept={label: mapped for label, mapped in targets.items() if mapped is not None},
        lost={label: counts.get(label, 0) for label, mapped in targets.items() if mapped is None},
    )


def map_label(label: str, source: str | None, target: str) -> str | None:
    """Map one label from the set ``source`` to the set ``target``.

    Args:
        label: label of the source set.
        source: name of the source set; ``None`` if unknown.
        target: name of the target set.

    Returns:
        The target label, or ``None`` if the label is lost.

    Raises:
        ConfigError: the target set is unknown.

    Example:
        >>> map_label("calm", "ravdess8", "ekman7")
        'neutral'
        >>> map_label("bored", "emodb7", "ekman7") is None
        True
        >>> map_label("happy", "ekman7", "custom:Joy,Anger")
        'Joy'
    """
    explicit = MAPS.get((source, target)) if source is not None and source != target else None
    if explicit is not None:
        return explicit.get(label)
    labels = label_set(target)
    if label in labels or not (target.startswith(CUSTOM) or (source or "").startswith(CUSTOM)):
        return label if label in labels else None
    return find_label(label, labels)


def counted_as(target: str) -> dict[str, str]:
    """{label of any named set: what the published maps count it as in the set ``target``}.

    Args:
        target: name of a label set.

    Example:
        >>> found = counted_as("ekman7")
        >>> found["excited"], found["annoyance"], found["calm"]
        ('happy', 'angry', 'neutral')
    """
    return {label: to for name in LABEL_SETS for label, to in MAPS.get((name, target), {}).items()}
