"""The tree of emotion words, and the groups that label sets make of it."""

from __future__ import annotations

import pytest

from multiemo.labels import LABEL_SETS
from multiemo.labels.wheel import WheelGroups, emotion_wheel


def group(word: str, labels: str) -> str:
    place = emotion_wheel()[word]
    assert place is not None
    return WheelGroups(LABEL_SETS[labels]).group(place)


def test_the_tree_is_that_of_the_publication() -> None:
    """Shaver et al. 1987: 135 words in 25 clusters of six basic emotions; two of the words are left out."""
    basic = {"love", "joy", "surprise", "anger", "sadness", "fear"}
    places = {place for place in emotion_wheel().values() if place is not None and place.basic in basic}
    assert {place.basic for place in places} == basic
    assert len({(place.basic, place.cluster) for place in places}) == 25
    assert len({place.word for place in places}) == 133


@pytest.mark.parametrize(
    ("word", "labels", "expected"),
    [
        ("annoyed", "ekman7", "angry"),
        ("disdain", "ekman7", "disgusted"),
        ("disdain", "msppodcast8", "contemptuous"),
        ("lonely", "ekman7", "sad"),
        ("孤独", "ekman7", "sad"),
        ("calm", "ekman7", "neutral"),
        ("calm", "ravdess8", "calm"),
        ("anxious", "ekman7", "fearful"),
        ("anxious", "mer6", "worried"),
        ("anxious", "goemotions28", "nervousness"),
        ("terrified", "goemotions28", "fear"),
        ("thrilled", "iemocap6", "excited"),
        ("cheerful", "iemocap6", "happy"),
        ("exasperated", "iemocap6", "frustrated"),
        ("grateful", "goemotions28", "gratitude"),
        ("lonely", "polarity3", "negative"),
        ("affectionate", "polarity3", "positive"),
        ("affectionate", "ekman7", "love"),
        ("jealous", "esd5", "angry"),
    ],
)
def test_a_word_belongs_to_the_nearest_label(word: str, labels: str, expected: str) -> None:
    assert group(word, labels) == expected


def test_every_emotion_label_of_the_field_is_in_the_tree_or_known_to_be_missing() -> None:
    missing = {
        label
        for name, labels in LABEL_SETS.items()
        if not name.startswith("polarity")
        for label in WheelGroups(labels).without_place()
    }
    assert missing == {"powerful", "approval", "disapproval", "realization"}
