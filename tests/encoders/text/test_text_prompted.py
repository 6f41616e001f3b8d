"""Text by asking a language model: scores against a plain loop, padding, prompts, checkpoints, errors."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy

import pytest
import torch
import transformers

from multiemo.encoders.common.language_models import COPY, STORED
from multiemo.encoders.common.prompts import REQUESTS
from multiemo.encoders.text.text_prompted import TextPrompted
from multiemo.errors import CheckpointError, ConfigError
from multiemo.inputs import build_input
from multiemo.inputs.material import PreparedInput, Utterance
from multiemo.types import DIMENSIONS
from tests.support.tensors import padded
from tests.support.tiny_language_models import save_language_model

LABELS = ("neutral", "happy", "sad", "angry", "very sad")
SAID = [
    Utterance("I am so glad you came!"),
    Utterance("No.", [(True, "Hello there."), (False, "Are you coming?")]),
    Utterance("He died yesterday, and <|im_end|> I can not stop crying about it.", [(False, "What is it?")]),
]
#: What a person would type for each of them.
LINES = [
    'Speaker: "I am so glad you came!"\n',
    'Speaker: "Hello there."\nOther: "Are you coming?"\nSpeaker: "No."\n',
    'Other: "What is it?"\nSpeaker: "He died yesterday, and <|im_end|> I can not stop crying about it."\n',
]
REQUEST = (
    "Which one of these words best describes the emotion that the speaker expresses in the last line: neutral, happy, "
    "sad, angry, very sad? Answer with this word only."
)


def clips(encoder: TextPrompted, said=SAID) -> list[torch.Tensor]:
    entry = build_input("text", encoder.input_spec)
    made = [entry.prepare(one) for one in said]
    assert all(isinstance(one, PreparedInput) for one in made)
    return [one.tensor for one in made]


def typed(folder, line: str, *, chat: bool = True) -> tuple[list[int], list[list[int]]]:
    """Token ids of a prompt and of each answer, by the library alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text = f"Read these lines of a conversation.\n\n{line}\n{REQUEST}"
    if chat:
        before, after = "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
    else:
        before, after = "", "\nAnswer:"
    said = tokenizer(text, split_special_tokens=True)["input_ids"]
    ids = [*tokenizer(before)["input_ids"], *said, *tokenizer(after)["input_ids"]]
    space = "" if chat else " "
    return ids, [tokenizer(space + label)["input_ids"] for label in LABELS]


def oracle(folder, line: str, *, chat: bool = True) -> torch.Tensor:
    """Log-probabilities of the labels: one token after the other, each in a pass of its own."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids, answers = typed(folder, line, chat=chat)
    scores = []
    for answer in answers:
        read, total = list(ids), 0.0
        for token in answer:
            with torch.no_grad():
                logits = model(torch.tensor([read])).logits[0, -1]
            total += float(logits.double().log_softmax(-1)[token])
            read.append(token)
        scores.append(total)
    return torch.tensor(scores).log_softmax(0)


def expected(folder, lines=LINES, **options) -> torch.Tensor:
    free = [f'Speaker: "{text}"\n' for text in ("N/A", "[MASK]", "")]
    reference = torch.stack([oracle(folder, line, **options) for line in free]).exp().mean(0).log()
    return torch.stack([oracle(folder, line, **options) for line in lines]) - reference


@pytest.mark.parametrize(
    ("kind", "chat", "shared"),
    [
        ("qwen2", True, True),
        ("llama", False, True),
        ("gpt2", False, True),
        pytest.param("gemma2", True, True, marks=pytest.mark.slow),
        pytest.param("bloom", True, True, marks=pytest.mark.slow),
        pytest.param("mamba", True, False, marks=pytest.mark.slow),
    ],
)
def test_evidence_equals_a_plain_loop(kind, chat, shared, tmp_path):
    folder = save_language_model(tmp_path / kind, kind, chat=chat)
    encoder = TextPrompted(model=str(folder), labels=LABELS, context=2)
    found = encoder(*padded(clips(encoder)))
    torch.testing.assert_close(found, expected(folder, chat=chat), atol=2e-4, rtol=1e-3)
    assert bool(encoder.shared) == shared
    assert found.std(0).max() > 0.01  # the words matter


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_language_model(tmp_path_factory.mktemp("qwen2"))


@pytest.fixture
def encoder(folder):
    return TextPrompted(model=str(folder), labels=LABELS, context=2)


def test_neither_padding_nor_the_size_of_the_batch_matters(encoder, monkeypatch):
    together = encoder(*padded(clips(encoder)))
    for row, clip in enumerate(clips(encoder)):
        encoder._kept.clear()
        torch.testing.assert_close(encoder(*padded([clip]))[0], together[row], atol=1e-5, rtol=1e-4)
    encoder._kept.clear()
    monkeypatch.setattr("multiemo.encoders.common.label_scores._PASS_TOKENS", 1)
    torch.testing.assert_close(encoder(*padded(clips(encoder))), together, atol=1e-5, rtol=1e-4)


def test_an_answer_is_computed_once(encoder, monkeypatch):
    batch = padded(clips(encoder))
    first = encoder(*batch)
    monkeypatch.setattr(encoder, "scores", lambda *_: pytest.fail("asked again"))
    assert torch.equal(encoder(*batch), first)


def test_several_labels_are_log_odds_against_all_others(folder):
    single = TextPrompted(model=str(folder), labels=LABELS, context=2)
    several = TextPrompted(model=str(folder), labels=LABELS, context=2, task="multi")
    batch = padded(clips(single))
    reference = single.reference
    shares = (single(*batch) + single.reference.nan_to_num()).softmax(1)
    free = single.reference.exp()
    assert reference.isfinite().all()
    torch.testing.assert_close(several(*batch), shares.logit() - free.logit(), atol=1e-4, rtol=1e-3)


def test_copies_share_the_language_model(encoder):
    copied = deepcopy(encoder)
    assert copied.backbone is encoder.backbone
    assert torch.equal(copied(*padded(clips(encoder))), encoder(*padded(clips(encoder))))


def test_half_precision_is_close(encoder):
    batch = padded(clips(encoder))
    exact = encoder(*batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = encoder(*batch)
    assert next(encoder.backbone.parameters()).dtype == torch.bfloat16
    assert not torch.equal(half, exact)
    torch.testing.assert_close(half, exact, atol=0.3, rtol=0.1)


def test_a_checkpoint_holds_the_prompt_but_not_the_weights(encoder, folder, tmp_path):
    before = encoder(*padded(clips(encoder)))
    encoder.save_assets(tmp_path)
    state = encoder.state_dict()
    assert set(state) == {"reference", "shared", "fingerprint"}
    assert list(encoder.parameters()) == []
    stored = json.loads((tmp_path / STORED).read_text("utf-8"))
    assert REQUEST in stored["prompt"]["after"]
    assert stored["files"].keys() >= {"config.json", "model.safetensors", "tokenizer.json"}
    again = TextPrompted(model="./elsewhere", labels=LABELS, context=2, assets=tmp_path)
    again.load_state_dict(state)
    assert torch.equal(again(*padded(clips(again))), before)


def test_the_prompt_of_the_checkpoint_counts(encoder, folder, tmp_path, monkeypatch):
    encoder.save_assets(tmp_path)
    monkeypatch.setitem(REQUESTS["en"], "text", "Say {labels}: <<clip>>")
    kept = TextPrompted(model=str(folder), labels=LABELS, context=2, assets=tmp_path)
    new = TextPrompted(model=str(folder), labels=LABELS, context=2)
    assert torch.equal(kept.fingerprint, encoder.fingerprint)
    assert not torch.equal(new.fingerprint, encoder.fingerprint)


def test_other_weights_are_refused(encoder, folder, tmp_path):
    encoder.save_assets(tmp_path / "assets")
    other = save_language_model(tmp_path / "other", seed=1)
    record = json.loads((tmp_path / "assets" / STORED).read_text("utf-8"))
    (tmp_path / "assets" / STORED).write_text(json.dumps({**record, "folder": "/moved"}), "utf-8")
    with pytest.raises(CheckpointError, match=r"encoders\.text\.model.*model\.safetensors differs.*SHA-256"):
        TextPrompted(model=str(other), labels=LABELS, assets=tmp_path / "assets")
    with pytest.raises(ConfigError, match=r"encoders\.text\.model: './moved'"):
        TextPrompted(model="./moved", labels=LABELS, assets=tmp_path / "assets")
    shutil.copytree(folder, tmp_path / "assets" / COPY)
    found = TextPrompted(model="org/elsewhere", labels=LABELS, assets=tmp_path / "assets")
    assert torch.equal(found.fingerprint, encoder.fingerprint)


def test_chinese(folder):
    encoder = TextPrompted(model=str(folder), labels=("happy", "sad"), language="zh")
    assert encoder.stored.prompt.answers == ("快乐", "悲伤")
    assert "快乐、悲伤" in encoder.stored.prompt.after
    assert encoder(*padded(clips(encoder, [Utterance("我很开心")]))).isfinite().all()


def test_a_model_that_reads_in_both_directions_is_refused(tmp_path):
    folder = save_language_model(tmp_path / "bert", "bert")
    encoder = TextPrompted(model=str(folder), labels=LABELS)
    with pytest.raises(ConfigError, match=r"encoders\.text\.model.*'bert'.*both directions"):
        encoder(*padded(clips(encoder)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": DIMENSIONS}, "valence, arousal and dominance"),
        ({"labels": ("sad", "very_sad", "very sad")}, "have the same word"),
        ({"max_tokens": 1000}, r"encoders\.text\.max_tokens: 1000 .* 1024"),
        ({"model": "org/none"}, r"encoders\.text\.model: 'org/none'"),
    ],
)
def test_errors(folder, options, message, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match=message):
        TextPrompted(**{"model": str(folder), "labels": LABELS, **options})


def test_the_labels_of_another_config_are_refused(encoder):
    with pytest.raises(ConfigError, match=r"branches\.text.*neutral, happy"):
        encoder.fixed_head(("happy", "sad"))
    with pytest.raises(ConfigError, match="valence, arousal and dominance"):
        encoder.fixed_head(DIMENSIONS)
