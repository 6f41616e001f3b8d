"""The text input."""

from __future__ import annotations

from multiemo.inputs import build_input
from multiemo.inputs.material import ClipMaterial, Utterance
from multiemo.types import Absent, Clip, TextSpec


def reader(**options):
    return build_input("text", TextSpec(vocab_size=600, **options), texts=lambda: ["good day", "what now"] * 9)


def test_it_reads_the_words_of_a_row_and_earlier_turns():
    entry = reader(context=2)
    assert entry.earlier_turns == 2
    assert entry.request is None
    assert entry.source(Clip(id="a", corpus="x", text="good day"), "text") == "good day"
    assert entry.source(Clip(id="a", corpus="x"), "text") == Absent("the row has no text")
    taken = entry.take(ClipMaterial("good day", [(True, "what now")]))
    assert taken == Utterance("good day", [(True, "what now")])
    assert len(entry.prepare(taken).tensor) > len(entry.make(Utterance("good day")).tensor)


def test_why_there_are_none():
    assert reader().read(ClipMaterial()) == Absent("no transcript was given")
    assert reader().read(ClipMaterial(missing={"text": "no words here"})) == Absent("no words here")
    assert reader().read(ClipMaterial("  ")) == Absent("empty text")


def test_the_tokenizer_is_saved_beside_the_weights(tmp_path):
    entry = reader()
    entry.save(tmp_path)
    again = build_input("text", entry.spec, assets=tmp_path)
    said = ClipMaterial("good day")
    assert again.read(said).tensor.tolist() == entry.read(said).tensor.tolist()
