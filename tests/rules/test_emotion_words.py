"""Emotion words of descriptions: forms, negation, lists and Chinese."""

from __future__ import annotations

import pytest

from multiemo.rules.emotion_words import emotion_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("She sounds irritated and a bit sad.", ["irritation", "sadness"]),
        ("He answers angrily; his worries show", ["anger", "worry"]),
        ("not angry", []),
        ("He isn't angry or upset; he is calm.", ["calm"]),
        ("neither angry, nor sad", []),
        ("shows no signs of anger, sadness, or fear; neutral", ["neutral"]),
        ("no anger, but sad or fearful", ["sadness", "fear"]),
        ("I'm not angry. Sad or afraid.", ["sadness", "fear"]),
        ("not happy, sad", ["sadness"]),
        ("sad rather than angry", ["sadness"]),
        ("not only angry but also sad", ["anger", "sadness"]),
        ("does not seem to be happy", []),
        ("in spite of it all, lovely", []),
        ("the content of the speech", []),
        ("good, great, thank you :)", []),
        ("他不生气", []),
        ("没有愤怒、悲伤或恐惧", []),
        ("不是生气，而是失望", ["disappointment"]),
        ("她既憤怒又難過", ["anger", "sadness"]),
        ("He is not angry and not sad", []),
        ("She is neither calm nor happy and not sad", []),
        ("She is not angry and she is sad", ["sadness"]),
        ("他既不生气也不难过", []),
        ("他不生气而且很难过", ["sadness"]),
        ("他不太生气", []),
        ("I have never seen her so angry", ["anger"]),
        ("他有点烦躁，不开心", ["irritation", "sadness"]),
    ],
)
def test_negated_words_do_not_count(text: str, words: list[str]) -> None:
    assert [word.place.word for word in emotion_words(text)] == words


def test_degrees_weigh_words_and_names_are_found_as_they_are() -> None:
    strengths = {word.place.word: word.strength for word in emotion_words("very angry and a bit sad")}
    assert strengths["anger"] > 1 > strengths["sadness"]
    assert [w.place.basic for w in emotion_words("Very negative, not powerful", ("very negative", "powerful"))] == [
        "very negative"
    ]
