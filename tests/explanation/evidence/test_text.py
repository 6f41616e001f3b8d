"""Words of texts: their scores, their removal, and their positions in the text as it was written."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from multiemo.calibration import Calibration
from multiemo.explanation.attribution import explain_modality
from multiemo.explanation.evidence.base import ClipInput
from multiemo.explanation.evidence.gates import gradient_scores
from multiemo.explanation.evidence.text import TextEvidence
from multiemo.explanation.evidence.words import split_words
from multiemo.explanation.target import ClipTarget
from multiemo.inputs.material import Utterance
from multiemo.inputs.text import TextInput
from multiemo.model import EmotionModel
from multiemo.preprocess.text import TextPreprocessor
from multiemo.runs.device import Compute
from multiemo.types import Sample
from tests.support.tiny_decoders import CHATML, decoder
from tests.support.tiny_text import SAVERS, TextPretrained, scratch

CPU = Compute(torch.device("cpu"))
TEXTS = ["good day bad day", "I am so happy today", "我很开心 你好吗", "what a great idea!"] * 3
HARD = [
    "great",
    "Sooooooo  good！！ @bob https://t.co/x I&#39;m",
    "👍🏽 good 👨‍👩‍👧 🇩🇪🇫🇷",
    "\ud83d good \ud83d",
    "אני שמח מאוד",
    "我真的很兴奋！",
    "good day " * 200,
]


def explained(encoder, text, earlier=(), task="single"):
    """A clip, its target and its evidence, for a model with random weights."""
    spec = encoder.input_spec
    reader = (
        TextPreprocessor.train(spec, TEXTS) if spec.tokenizer == "trained" else TextPreprocessor.from_pretrained(spec)
    )
    entry = TextInput("text", reader)
    raw = Utterance(text, earlier)
    tensor = entry.make(raw).tensor
    model = EmotionModel({"text": encoder}, 3, task=task).eval()
    sample = Sample("a", "c", "s", {"text": tensor}, {}, None, torch.full((3,), float("nan")))
    target = ClipTarget(model, Calibration(), CPU, sample, "text", 0, ["x", "y", "z"])
    return ClipInput("text", entry, tensor, raw), target


@pytest.fixture(scope="module", params=["bags", "transformer", *SAVERS])
def encoder(request, tmp_path_factory):
    if request.param in SAVERS:
        folder = SAVERS[request.param](tmp_path_factory.mktemp(request.param))
        return TextPretrained(model=str(folder), max_tokens=24, context=1)
    return scratch(layers=0 if request.param == "bags" else 1, context=1)


@pytest.mark.parametrize("text", HARD)
def test_parts_are_spans_of_the_text_as_written(encoder, text) -> None:
    reader_text = text if encoder.input_spec.tokenizer == "trained" or "good" in text else "good day"
    clip, target = explained(encoder, reader_text, [(True, "bad day")])
    for view in TextEvidence().views(clip, target):
        assert view.parts
        for part in view.parts:
            if part.first is not None:
                assert reader_text[part.first : part.last] == part.name
        x, mask = view.without(torch.eye(len(view.parts), dtype=torch.bool))
        assert all(bool(((row != clip.tensor) | ~here).any()) for row, here in zip(x, mask, strict=True))
        everything, mask = view.without(torch.ones(1, len(view.parts), dtype=torch.bool))
        assert everything.shape[1] == len(clip.tensor)
        assert mask.any()


def test_scores_sum_to_the_difference_between_the_text_and_none(encoder) -> None:
    clip, target = explained(encoder, "good day bad day")
    found = explain_modality(clip, target)
    [view] = found.views
    hidden = TextEvidence().views(clip, target)[0].without(torch.ones(1, len(view.parts), dtype=torch.bool))
    with torch.no_grad():
        whole = target(clip.tensor[None], torch.ones(1, len(clip.tensor), dtype=torch.bool))
        none = target(*hidden)
    # On the path of gradients, a hashed n-gram of hidden tokens has a row of its own.
    if view.method != "integrated gradients" or encoder.input_spec.tokenizer != "trained":
        assert sum(p.score for p in view.parts) == pytest.approx(float(whole - none), abs=0.05)


def test_a_linear_bag_of_words_is_scored_in_closed_form() -> None:
    bags = scratch(layers=0, ngram_orders=2).eval()
    x = torch.tensor([2, 20, 21, 22, 3])
    weights = torch.linspace(-1, 1, bags.out_dim)
    target = SimpleNamespace(
        model=SimpleNamespace(encoders={"text": bags}),
        modality="text",
        compute=CPU,
        of_embeddings=lambda embeddings: embeddings @ weights,
    )
    own = torch.tensor([False, True, True, True, False])
    scores = gradient_scores(target, x, 4, own)
    rows, kept = bags.ngrams._ngrams(x[None], torch.ones(1, 5, dtype=torch.bool))
    value = (bags.ngrams.table(rows)[0] @ weights[-8:] / kept.sum().sqrt()).tolist()
    single, pairs = value[:5], value[5:]
    expected = [
        single[1] + pairs[0] + pairs[1] / 2,
        single[2] + pairs[1] / 2 + pairs[2] / 2,
        single[3] + pairs[2] / 2 + pairs[3],
    ]
    assert scores[1:4].tolist() == pytest.approx(expected, abs=1e-5)
    assert scores[[0, 4]].tolist() == [0, 0]


def test_explaining_leaves_the_model_as_it_was() -> None:
    clip, target = explained(scratch(), "good day")
    before = [id(m) for m in target.model.modules()]
    explain_modality(clip, target)
    assert [id(m) for m in target.model.modules()] == before


def test_an_encoder_without_gradients_is_explained_by_removal_and_says_so() -> None:
    encoder = scratch()
    forward = encoder.forward
    clip, target = explained(encoder, "good day")
    encoder.forward = torch.no_grad()(forward)
    for bag in (encoder.ngrams,):
        bag.forward = torch.no_grad()(bag.forward)
    encoder.transformer.forward = torch.no_grad()(encoder.transformer.forward)
    found = explain_modality(clip, target)
    assert found.views[0].method == "Shapley values"
    assert any("no usable gradients" in limit for limit in found.limits)


@pytest.mark.parametrize(
    ("text", "layers", "method"),
    [
        ("good day bad day", 0, "Shapley values"),
        ("good day bad " * 10, 0, "Shapley sampling"),
        ("good day bad " * 40, 0, "integrated gradients"),  # too many parts for three pairs of orders
        ("good day bad day", 1, "integrated gradients"),
    ],
)
def test_bags_are_scored_by_shapley_values_within_the_budget(text, layers, method) -> None:
    clip, target = explained(scratch(layers=layers, max_tokens=256), text)
    found = explain_modality(clip, target)
    assert found.views[0].method == method
    assert found.limits == []


def test_a_tokenizer_without_a_mask_is_named_as_the_reason(tmp_path) -> None:
    folder = SAVERS["t5"](tmp_path)
    clip, target = explained(TextPretrained(model=str(folder), max_tokens=24), "good day")
    view = TextEvidence().views(clip, target)[0]
    assert "no mask or unknown token" in view.baseline
    [limit] = explain_modality(clip, target).limits
    assert "the tokenizer has no mask or unknown token" in limit
    assert "usable gradients" not in limit


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ฉันดีใจ", ["ฉั", "น", "ดี", "ใ", "จ"]),  # Thai
        ("ຂ້ອຍ", ["ຂ້", "ອ", "ຍ"]),  # Lao
        ("ខ្ញុំ", ["ខ្ញុំ"]),  # Khmer: the second consonant is written beneath the first
        ("ပျော်", ["ပျော်"]),  # Burmese
        ("とても嬉しい", list("とても嬉しい")),
    ],
)
def test_other_scripts_without_spaces_are_read_by_character(text, parts) -> None:
    clip, target = explained(scratch(characters=True), text)
    [view] = TextEvidence().views(clip, target)
    assert view.unit == "character"
    assert any("words can be found in Chinese only" in note for note in view.notes)
    assert [w.name for w in split_words(text)[1]] == parts


def test_a_cut_text_says_where_it_ends() -> None:
    clip, target = explained(scratch(), "good day " * 200)
    view = TextEvidence().views(clip, target)[0]
    assert any("cut off" in note for note in view.notes)
    assert view.parts[-1].last < len(clip.raw.text)


def test_an_earlier_turn_is_one_part() -> None:
    clip, target = explained(scratch(context=2), "good", [(False, "bad day"), (True, "a great idea")])
    assert [p.name for p in TextEvidence().views(clip, target)[0].parts] == ["good", "earlier turn 1", "earlier turn 2"]


def test_chinese_is_read_by_character_and_by_word() -> None:
    pytest.importorskip("jieba")
    clip, target = explained(scratch(characters=True), "我真的很兴奋")
    views = TextEvidence().views(clip, target)
    assert [v.unit for v in views] == ["character", "word"]
    assert [p.name for p in views[0].parts] == list("我真的很兴奋")
    assert [p.name for p in views[1].parts] == ["我", "真的", "很", "兴奋"]


def test_without_the_text_parts_are_tokens() -> None:
    clip, target = explained(scratch(), "good day")
    bare = ClipInput("text", clip.entry, clip.tensor)
    assert [p.name for p in TextEvidence().views(bare, target)[0].parts] == ["good", "day"]


@pytest.mark.parametrize("template", [None, CHATML])
def test_marks_and_prefix_of_a_decoder_are_no_parts(tmp_path, template) -> None:
    encoder = decoder(tmp_path, template=template, context=1, prefix="query: ", max_tokens=90)
    clip, target = explained(encoder, "good day!", [(False, "bad")])
    [view] = TextEvidence().views(clip, target)
    assert [p.name for p in view.parts] == ["earlier turn 1", "good", "day", "!"]
    assert view.baseline.startswith("nothing")
    _, mask = view.without(torch.tensor([[False, True, False, False]]))
    assert (~mask[0]).nonzero().flatten().tolist() == [i for i, p in enumerate(view._part_of.tolist()) if p == 1]
    found = explain_modality(clip, target)
    assert all(p.score == p.score for p in found.views[0].parts)
    [alone] = TextEvidence().views(ClipInput("text", clip.entry, clip.tensor, None), target)
    if template is None:  # the words of a template are tokens like others
        assert "".join(p.name for p in alone.parts) == "other:badgoodtoken 22day!"  # token 22 is a space
    assert "q" not in [p.name for p in alone.parts]


def test_a_long_text_of_a_decoder_loses_its_beginning(tmp_path) -> None:
    clip, target = explained(decoder(tmp_path, max_tokens=9), "good day bad day")
    [view] = TextEvidence().views(clip, target)
    assert [p.name for p in view.parts] == ["bad", "day"]
    assert view.notes == ["the model reads 8 of 16 tokens: the text up to character 8 is cut off"]
