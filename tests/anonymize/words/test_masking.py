"""Masked texts and transcripts."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiemo.anonymize.words.masking import Masker
from multiemo.anonymize.words.patterns import find_words
from multiemo.errors import ConfigError
from multiemo.transcripts import Cue, Transcript

#: Fragments that patterns look for, so that random texts hit their edges.
FRAGMENTS = (
    "Ada", "John", "joe", "Rachel's", "my name is ", "Dr. ", "named ", "I ", "the ", "THE ", "@", ".", ". ", ", ", " ",
    "\n", "[", "]", "[NAME]", "[NUMBER]", "1", "23", "+", "(", ")", "-", "'", "’", ":", "/", "www.", "http://", ".com",
    "a@b.co", "one ", "two", "and ", "twenty", "王", "小", "小明", "我叫", "我是", "先生", "老师", "一", "二百", "é",
    "_",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=14).map("".join)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_masking_twice_is_masking_once(text: str) -> None:
    once = Masker("mask").mask(text)
    assert Masker("mask").mask(once) == once


@settings(max_examples=30, deadline=None)
@given(TEXTS)
def test_only_what_is_found_changes(text: str) -> None:
    spans = find_words(text)
    made = Masker("mask").mask(text)
    if not spans:
        assert made == text
    kept, at = [], 0
    for start, end, _ in spans:
        kept.append(text[at:start])
        at = end
    kept.append(text[at:])
    assert len(made) == sum(map(len, kept)) + sum(len(kind) + 2 for _, _, kind in spans)
    assert not any(character.isdigit() for character in made if character in "0123456789")


@settings(max_examples=30, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_a_transcript_is_masked_like_its_text(parts: list[str]) -> None:
    cues = [Cue(float(i), i + 1.0, part.strip()) for i, part in enumerate(parts) if part.strip()]
    transcript = Transcript.of(cues, "test", language="en")
    made = Masker("mask").mask_transcript(transcript)
    plain = Masker("mask").mask(transcript.text)
    assert "".join(made.text.split()) == "".join(plain.split())
    assert {(cue.start, cue.end) for cue in made.cues} <= {(cue.start, cue.end) for cue in cues}


def test_names_over_several_words_and_speakers() -> None:
    words = ["my", "name", "is", "Ada", "Lovelace", "call", "555", "123", "4567", "now"]
    cues = [Cue(i / 2, i / 2 + 0.5, word, "Ada" if i < 5 else "Bob") for i, word in enumerate(words)]
    masker = Masker("mask")
    made = masker.mask_transcript(Transcript.of(cues, "test", language="en"))
    assert [(cue.start, cue.text) for cue in made.cues] == [
        (0.0, "my"), (0.5, "name"), (1.0, "is"), (1.5, "[NAME]"), (2.5, "call"), (3.0, "[PHONE]"), (4.5, "now"),
    ]  # fmt: skip
    assert [cue.speaker for cue in made.cues] == ["speaker 1"] * 4 + ["speaker 2"] * 3
    assert masker.counts == {"NAME": 1, "PHONE": 1}


def test_kept_words() -> None:
    transcript = Transcript.of([Cue(0.0, 1.0, "I am Ada Lovelace", "Ada")], "test")
    masker = Masker("keep")
    assert masker.mask("call 555") == "call 555"
    assert masker.mask_transcript(transcript) is transcript
    assert not masker.counts


def test_presidio_is_needed_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(
        ConfigError, match=r'presidio_analyzer: pip install "multiemo\[presidio\]"; or use --words mask'
    ):
        Masker("presidio")


def fake_presidio(monkeypatch: pytest.MonkeyPatch, *models: str) -> list[dict[str, object]]:
    """Stands in for presidio and spaCy; returns the configurations that were asked for."""
    asked: list[dict[str, object]] = []

    class AnalyzerEngine:
        def __init__(self, *, nlp_engine: object, supported_languages: list[str]) -> None:
            assert "en" in supported_languages

        def analyze(self, *, text: str, language: str) -> list[SimpleNamespace]:
            start = text.find("lisbon")
            kinds = ("LOCATION", "DATE_TIME")
            return [SimpleNamespace(start=start, end=start + 6, entity_type=kind) for kind in kinds if start >= 0]

    class NlpEngineProvider:
        def __init__(self, *, nlp_configuration: dict[str, object]) -> None:
            asked.append(nlp_configuration)

        def create_engine(self) -> object:
            return object()

    for name, members in {
        "presidio_analyzer": {"AnalyzerEngine": AnalyzerEngine},
        "presidio_analyzer.nlp_engine": {"NlpEngineProvider": NlpEngineProvider},
        "spacy": {"util": SimpleNamespace(get_installed_models=lambda: list(models))},
    }.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return asked


def test_presidio_adds_to_the_patterns_with_the_largest_installed_model(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_presidio(monkeypatch, "en_core_web_lg", "en_core_web_sm", "zh_core_web_sm")
    assert Masker("presidio").mask("he moved to lisbon with 2 cats") == "he moved to [NAME] with [NUMBER] cats"
    models = [{"lang_code": "en", "model_name": "en_core_web_lg"}, {"lang_code": "zh", "model_name": "zh_core_web_sm"}]
    assert asked == [{"nlp_engine_name": "spacy", "models": models}]


def test_presidio_downloads_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_presidio(monkeypatch)
    with pytest.raises(ConfigError, match="python -m spacy download en_core_web_lg"):
        Masker("presidio")
