"""The rules for text: one minimal pair for each, in English and Chinese, and VADER itself as the oracle of the sign."""

from __future__ import annotations

import itertools

import pytest
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from multiemo.rules.findings import EMOTIONS, Findings
from multiemo.rules.label_sets import label_shares
from multiemo.rules.lexicon.words import Entry, Lexicon
from multiemo.rules.text import read_text


def strongest(found: Findings) -> str | None:
    return max(found.scores, key=lambda e: found.scores[e]) if found.scores else None


FOUNDING = [
    ("我很开心", "happy", 1),
    ("我真的很兴奋", "happy", 1),
    ("我很生气", "angry", -1),
    ("我感到无聊", "disgusted sad", -1),
]


@pytest.mark.parametrize(("text", "emotions", "sign"), FOUNDING)
def test_the_founding_example(text: str, emotions: str, sign: int) -> None:
    found = read_text(text)
    assert found.valence * sign > 0.3
    assert set(found.scores) == set(emotions.split())
    polarity = label_shares(found, ["negative", "positive"])
    assert max(polarity, key=polarity.__getitem__) == ("positive" if sign > 0 else "negative")
    word = next(
        reason for reason in found.reasons if reason.rule.endswith(f"expresses {' and '.join(emotions.split()[::-1])}")
    )
    assert text[word.first : word.last] == word.part


def test_boredom_has_a_label_of_its_own_where_the_set_has_one() -> None:
    labels = ["happy", "excited", "angry", "bored"]
    best = [max(s, key=s.__getitem__) for s in (label_shares(read_text(text), labels) for text, *_ in FOUNDING)]
    assert best == ["happy", "excited", "angry", "bored"]


#: (rule, less happy or sadder, happier)
ORDER = [
    ("negation", "I am not happy", "I am happy"),
    ("negation in a contraction", "I don't feel happy", "I feel happy"),
    ("degree", "I am happy", "I am very happy"),
    ("weak degree", "I am a bit happy", "I am happy"),
    ("negated degree", "I am not happy", "I am not very happy"),
    ("what follows 'but'", "I'm happy but sad", "I'm sad but happy"),
    ("concession", "although I was happy, I left", "I was happy, I left"),
    ("capitals", "that is great", "that is GREAT"),
    ("drawn-out letters", "I am happy", "I am haaappy"),
    ("exclamation", "I am happy.", "I am happy!!"),
    ("question", "Are you happy?", "You are happy."),
    ("a negation joined by 'or'", "not happy or excited", "not bored or sad"),
    ("否定", "我不高兴", "我高兴"),
    ("程度", "我高兴", "我非常高兴"),
    ("弱程度", "我有点高兴", "我高兴"),
    ("否定在程度前", "我不高兴", "我不是很高兴"),
    ("双重否定", "我不高兴", "我不是不高兴"),
    ("但是", "我很高兴，但是很难过", "我很难过，但是很高兴"),
    ("虽然", "虽然我很高兴，我走了", "我很高兴，我走了"),
    ("补语", "我开心", "我开心死了"),
    ("感叹号", "我开心。", "我开心！！"),
    ("吗", "你开心吗", "你开心"),
    ("也许", "如果我开心", "我开心"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "lower", "higher"), ORDER, ids=[rule for rule, *_ in ORDER])
def test_a_minimal_pair(rule: str, lower: str, higher: str) -> None:
    low, high = read_text(lower), read_text(higher)
    assert low.valence < high.valence - 0.01
    happier = {e: high.scores.get(e, 0.0) - low.scores.get(e, 0.0) for e in ("happy", "sad")}
    assert happier["happy"] > happier["sad"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I am not happy", "sad"),
        ("I'm not angry", "neutral"),
        ("我没有生气", "neutral"),
        ("别担心", "neutral"),
        ("非常不开心", "sad"),
        ("我不喜欢", "disgusted"),
        ("你喜不喜欢他", "happy"),  # a question, not a negation
        ("我不得不说，太好了", "happy"),
        ("I can't wait to see you", "happy"),
        ("not only happy but proud", "happy"),
        ("No, I am happy", "happy"),
        ("没有，我很高兴", "happy"),
        ("what?!", "surprised"),
        ("He did it?!", "surprised"),
        ("oh my god", "surprised"),
        ("I'm so scared", "fearful"),
        ("吓死我了", "fearful"),
        ("真恶心", "disgusted"),
        ("that is disgusting", "disgusted"),
        ("没想到", "surprised"),
        ("他死了", "sad"),
        ("annoyingly", "angry"),
        ("😡", "angry"),
        ("这电影😡", "angry"),
        ("ok :(", "sad"),
        ("QAQ", "sad"),
        ("I&#39;m so bored but &hearts; happy", "happy"),
        ("我很開心", "happy"),
        ("１２３ ｈａｐｐｙ", "happy"),
        ("今天happy", "happy"),
    ],
)
def test_the_strongest_emotion(text: str, expected: str) -> None:
    assert strongest(read_text(text)) == expected


#: (text, the strongest emotion; none if no rule fires): whose negation it is, weak negations, comparisons, "like".
SENTENCES = [
    ("I am not angry and not sad", "neutral"),
    ("I am not happy and not sad", "sad"),
    ("not happy and not proud", "sad"),
    ("I'm not scared and not worried anymore", "neutral"),
    ("He wasn't angry and wasn't annoyed", "neutral"),
    ("I don't hate him and I don't fear him", "neutral"),
    ("She was not proud and not pleased", "sad"),
    ("They are not happy or excited", "sad"),
    ("I'm not angry and I'm happy", "happy"),
    ("I was not angry or sad", "neutral"),
    ("I have never been so happy", "happy"),
    ("I have never been so scared in my life", "fearful"),
    ("I've never seen him so angry", "angry"),
    ("We have never been more proud of you", "happy"),
    ("She had never felt this lonely", "sad"),
    ("I've never had such fun", "happy"),
    ("I couldn't be more excited", "happy"),
    ("I was never happy there", "sad"),
    ("I was never that happy", "sad"),
    ("I am not so happy", "sad"),
    ("I like this", "happy"),
    ("I don't like this", "sad"),
    ("I don't like that", "sad"),
    ("I don't like it", "sad"),
    ("I really like this", "happy"),
    ("I don't really like that", "sad"),
    ("I hope you like this", "happy"),
    ("Do you like this one?", "happy"),
    ("Nobody likes this", "sad"),
    ("They didn't like that at all", "sad"),
    ("Why are you like this", None),
    ("Why am I like this", None),
    ("He has never been like this", None),
    ("I've never seen you like this", None),
    ("Why would you talk to me like that", None),
    ("Would you like this?", None),
    ("It sounds like that", None),
    ("People like this should stay home", None),
    ("the likes of him", None),
    ("我不难过也不生气", "neutral"),
    ("我不开心也不生气", "sad"),
    ("他没有生气也没有难过", "neutral"),
    ("他没有失望也没有后悔", "neutral"),
    ("我不害怕也不担心", "neutral"),
    ("他没有生气或难过", "neutral"),
    ("我不开心而且很难过", "sad"),
    ("我不太开心", "sad"),
    ("我今天不怎么高兴", "sad"),
    ("我不大高兴", "sad"),
    ("他不怎么喜欢这份工作", "sad"),
    ("我不是很满意", "sad"),
    ("这事不算有趣", "sad"),
    ("我没那么害怕", "neutral"),
    ("心情不好", "sad"),
    ("我心情很不好", "sad"),
    ("最近心情不太好", "sad"),
    ("今天过得不好", "sad"),
    ("不太好", "sad"),
    ("我过得一点都不好", "sad"),
    ("这个菜不好吃", "sad"),
    ("不好意思", "fearful"),
    ("这话不好说", None),
    ("你好不好", None),
    ("我从来没有这么开心过", "happy"),
    ("我从来没这么开心", "happy"),
    ("从没这么生气", "angry"),
    ("她从未如此失望", "sad"),
    ("我从来没见过他这么紧张", "fearful"),
    ("没有比这更让人恶心的了", "disgusted"),
    ("没有比这更开心的了", "happy"),
    ("我从来不生气", "neutral"),
    ("我从来没有生气", "neutral"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SENTENCES, ids=[text for text, _ in SENTENCES])
def test_a_sentence_means_what_it_says(text: str, expected: str | None) -> None:
    assert strongest(read_text(text)) == expected


@pytest.mark.parametrize("text", ["I am not happy and not sad", "我不开心也不难过", "not happy or sad"])
def test_each_feeling_has_one_negation(text: str) -> None:
    assert sum("around" in reason.rule for reason in read_text(text).reasons) == 2
    assert not any("cancel" in reason.rule for reason in read_text(text).reasons)


@pytest.mark.parametrize("weak", ["不太", "不怎么", "不大", "不算", "不是很", "不是太", "不那么", "没那么"])
def test_a_negated_degree_turns_weakly(weak: str) -> None:
    assert read_text(f"我{weak}开心").scores == pytest.approx({"sad": 0.6 * read_text("我不开心").scores["sad"]})


def test_a_feeling_that_never_was_as_strong_is_stronger() -> None:
    assert read_text("I have never been this happy").scores == {"happy": 1.25}
    assert read_text("从来没有这么开心").scores["happy"] > read_text("这么开心").scores["happy"]


@pytest.mark.parametrize(
    "text",
    ["", "  ", "the table", "爱好广泛", "我恐怕不行", "他靠近操场", "I feel like a walk", "good morning", "https://happy.org",
     "@happy hello", "12 + 3"],
)  # fmt: skip
def test_words_without_feeling_fire_no_rule(text: str) -> None:
    found = read_text(text)
    assert not found.reasons
    assert not found.scores
    assert (found.valence, found.arousal) == (0.0, 0.0)


#: Sentences whose polarity is plain; VADER says which.
PLAIN = [
    "I love this movie",
    "I hate this movie",
    "This is a wonderful day",
    "This is a terrible day",
    "The food was not good",
    "The food wasn't bad",
    "He is a liar and a cheat",
    "She is kind and generous",
    "What a disaster",
    "What a success",
    "I'm extremely disappointed",
    "We had a great time",
    "It was boring",
    "That was hilarious",
    "The war was horrible",
    "They won the prize",
    "They lost everything",
    "I am not happy with this",
    "Never trust him",
    "You're the best friend",
    "The plot was good, but the acting was awful",
    "The acting was awful, but the plot was good",
    "I am very sad",
    "It hurts",
    "Thank you so much",
    "This sucks",
    "An elegant and beautiful house",
    "He was murdered",
    "It's a miracle",
    "The service is poor and slow",
    "I enjoyed every minute",
    "I regret it deeply",
]


def test_the_sign_is_that_of_vader() -> None:
    vader = SentimentIntensityAnalyzer()
    theirs = {text: vader.polarity_scores(text)["compound"] for text in PLAIN}
    assert all(abs(score) > 0.05 for score in theirs.values())
    assert [text for text in PLAIN if read_text(text).valence * theirs[text] <= 0] == []


def test_the_effects_of_the_reasons_add_up_to_the_scores() -> None:
    text = "虽然今天很累，但是我真的非常开心！！ I'm not sad, just a bit bored... WHAT?! 😂"
    found = read_text(text)
    assert len(found.reasons) > 8
    for emotion in EMOTIONS:
        total = sum(reason.effect.get(emotion, 0.0) for reason in found.reasons)
        assert total == pytest.approx(found.scores.get(emotion, 0.0), abs=2e-3)
    sizes = [sum(map(abs, reason.effect.values())) for reason in found.reasons]
    assert sizes == sorted(sizes, reverse=True)


def test_reasons_name_the_place_in_the_original_text() -> None:
    text = "RT @bob &quot;Yo&quot; 我很開心！ ＧＲＥＡＴ"
    places = {reason.part: text[reason.first : reason.last] for reason in read_text(text).reasons}
    assert places == {"开心": "開心", "很": "很", "!": "！", "GREAT": "ＧＲＥＡＴ"}
    rules = [r.rule for r in read_text("I am not happy").reasons]
    assert "'not' turns 'happy' around" in rules


def test_a_long_text_does_not_become_certain_by_its_length() -> None:
    once, often = read_text("I am happy."), read_text("I am happy. " * 16)
    assert often.scores["happy"] == pytest.approx(4 * once.scores["happy"], rel=1e-3)


@pytest.mark.parametrize(
    ("text", "language"),
    [("Das war gut, die Katze ist nicht tot und ich bin so froh", None), ("die war gut", "de"), ("高兴です", "ja")],
)
def test_a_language_without_a_list_is_said_to_have_none(text: str, language: str | None) -> None:
    found = read_text(text, language=language)
    assert not found.scores
    assert any("no built-in list for the language" in limit for limit in found.limits)
    assert read_text(f"{text} 😂", language=language).scores == {"happy": 1.0}


def test_a_lexicon_of_the_user_applies_to_any_language_and_wins() -> None:
    own = Lexicon.of(
        "mine", [Entry("froh", {"happy": 1.0}, 0.8, None, "mine"), Entry("happy", {"sad": 1.0}, None, None, "mine")]
    )
    found = read_text("Ich bin froh", language="de", lexicon=own)
    assert (found.scores, found.reasons[0].source) == ({"happy": 1.0}, "mine")
    assert strongest(read_text("happy", lexicon=own)) == "sad"
    assert strongest(read_text("happy")) == "happy"
    sneer = Lexicon.of("mine", [Entry("like", {"disgusted": 1.0}, None, None, "mine")])
    assert read_text("I like this", lexicon=sneer).scores == {"disgusted": 1.0}


def test_hostile_texts_are_read_in_reasonable_time() -> None:
    pieces = ["😂" * 500, "不" * 2000, "&#39;" * 900, "not " * 900 + "happy", "a" * 20000, "(" * 2000, "!?" * 900]
    for piece in itertools.chain(pieces, ["\ud800", "\x00", "&#55357;&#56832;"]):
        read_text(piece)
