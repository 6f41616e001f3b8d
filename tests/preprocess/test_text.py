from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from multiemo.errors import CheckpointError, ConfigError
from multiemo.preprocess.text import TextPreprocessor, clean, train_tokenizer
from multiemo.types import TEXT_SPECIALS, Absent, TextSpec

ENGLISH = ["I can't believe it!", "what a good day", "no, not again", "you know what I mean", "good good day"] * 8
CHINESE = ["我真的很高兴。", "你怎么了？", "不要再说了！", "真的吗？我不知道"] * 8
CLS, SEP, SELF, OTHER = (TEXT_SPECIALS.index(t) for t in ("[CLS]", "[SEP]", "[SELF]", "[OTHER]"))


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(ENGLISH + CHINESE, 600)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("You must\x92ve \x93left\x94\x85", 'You must\'ve "left"...'),
        ("Itâ€™s â€œfineâ€\x9d", 'It\'s "fine"'),
        ("cafÃ© and café", "café and café"),
        ("真的吗？！！！！！　好", "真的吗?!!! 好"),
        ("好。他说《家》、和", "好。他说《家》、和"),
        ("Ｈｅｌｌｏ", "Hello"),
        ("sooooooo 1000000 !!!!!", "sooo 1000000 !!!"),
        ("哈哈哈哈哈哈", "哈哈哈"),
        ("see https://a.b/c?d=1 or www.x.org @me_1 a@b.org", "see http or http @user a@b.org"),
        ("a\tb\r\n\u200b\ufeffc\x00\x1f", "a b c"),
        ("half \ud83d surrogate", "half surrogate"),
        ("😀😀😀😀😀 ❤️❤️❤️❤️ 👩‍👧", "😀😀😀 ❤️❤️❤️ 👩‍👧"),
        ("\u3000 \n ", ""),
    ],
)
def test_clean(raw, expected):
    assert clean(raw) == expected
    assert clean(clean(raw)) == expected


def test_real_meld_quotes_are_repaired(real_data: Path):
    text = (real_data / "meld" / "train_sent_emo.csv").read_text(encoding="utf-8")
    assert "’" in text
    assert not set("’‘“”\x92\x85") & set(clean(text))


def test_training_is_deterministic_and_bounded(tokenizer):
    again = train_tokenizer(iter(ENGLISH + CHINESE), 600)
    assert again.to_str() == tokenizer.to_str()
    assert tokenizer.get_vocab_size() <= 600
    assert [tokenizer.id_to_token(i) for i in range(len(TEXT_SPECIALS))] == list(TEXT_SPECIALS)


def test_characters_never_merge_and_survive_a_save(tmp_path: Path):
    spec = TextSpec(vocab_size=600, characters=True)
    read = TextPreprocessor.train(spec, ENGLISH + CHINESE)
    assert len(read("我真的很高兴。")) == len("我真的很高兴。") + 2
    assert len(read("猫")) == 3 + 2  # never seen: its bytes
    read.save(tmp_path)
    assert torch.equal(TextPreprocessor.from_assets(spec, tmp_path)("what? 真的"), read("what? 真的"))
    few = train_tokenizer(["abcdef"] * 3 + ["a"], 512, characters=True)
    assert few.get_vocab_size() == len(TEXT_SPECIALS) + 256 + len("▁abcdef")
    with pytest.raises(ConfigError, match="every training text is empty"):
        train_tokenizer(["", " "], 600, characters=True)


def test_every_character_is_representable(tokenizer):
    for text in ("鑫淼", "Привет", "😀", "naïve", "ｶﾅ"):
        ids = tokenizer.encode(clean(text), add_special_tokens=False).ids
        assert ids
        assert TEXT_SPECIALS.index("[UNK]") not in ids


def test_words_of_both_languages_are_tokens(tokenizer):
    assert tokenizer.encode("good", add_special_tokens=False).tokens == ["▁good"]
    assert "真的" in tokenizer.get_vocab()


def test_a_spelt_out_special_is_plain_text(tokenizer):
    ids = TextPreprocessor(TextSpec(), tokenizer)("good [SEP] <0x41> [MASK]")
    assert (ids < len(TEXT_SPECIALS)).nonzero().flatten().tolist() == [0, len(ids) - 1]


@pytest.mark.parametrize("size", [0, 511])
def test_a_vocabulary_too_small_is_refused(size):
    with pytest.raises(ConfigError, match=f"vocab_size: {size}"):
        train_tokenizer(ENGLISH, size)


def test_no_training_text_is_refused():
    with pytest.raises(ConfigError, match="every training text is empty"):
        train_tokenizer(["", "  \n"], 600)


def test_layout_puts_the_utterance_first_and_the_nearest_turn_next(tokenizer):
    read = TextPreprocessor(TextSpec(context=2), tokenizer)
    ids = read("good", context=[(True, "forgotten"), (True, "day"), (False, "know"), (False, "  ")])
    assert [tokenizer.id_to_token(i) for i in ids.tolist()] == ["[CLS]", "▁good", "[SEP]", "[OTHER]", "▁know", "[SEP]"]
    ids = read("good", context=[(True, "forgotten"), (True, "day"), (False, "know")]).tolist()
    assert [i for i in ids if i in (SELF, OTHER)] == [OTHER, SELF]
    assert ids.count(SEP) == 3


def test_context_is_ignored_unless_wanted(tokenizer):
    read = TextPreprocessor(TextSpec(context=0), tokenizer)
    assert torch.equal(read("good", context=[(True, "day")]), read("good"))


def test_context_is_cut_before_the_text(tokenizer):
    read = TextPreprocessor(TextSpec(context=3, max_tokens=8), tokenizer)
    turns = [(True, "you know"), (False, "what I mean good day")]
    short, long = read("good day", turns).tolist(), read("good " * 50, turns).tolist()
    assert len(short) == len(long) == 8
    assert short[:4] == read("good day").tolist()
    assert long[0] == CLS
    assert long[-1] == SEP
    assert OTHER not in long
    assert SELF not in short


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\u200b", "\ufffd"])
def test_empty_text_is_absent(tokenizer, text):
    assert TextPreprocessor(TextSpec(), tokenizer)(text) == Absent("empty text")


def test_emoji_only_is_present_when_the_tokenizer_can_spell_it(tokenizer):
    ids = TextPreprocessor(TextSpec(), tokenizer)("😡😡")
    assert ids.dtype == torch.int64
    assert len(ids) > 2


def test_max_tokens_without_room_is_refused(tokenizer):
    with pytest.raises(ConfigError, match="max_tokens: 2"):
        TextPreprocessor(TextSpec(max_tokens=2), tokenizer)


def test_saved_and_loaded_again(tokenizer, tmp_path: Path):
    spec = TextSpec(context=1)
    read = TextPreprocessor(spec, tokenizer)
    read.save(tmp_path / "assets")
    again = TextPreprocessor.from_assets(spec, tmp_path / "assets")
    for text in ENGLISH[:5] + CHINESE[:4] + ["😡 [SEP]"]:
        assert torch.equal(read(text, [(True, "day")]), again(text, [(True, "day")]))


@pytest.mark.parametrize("kind", ["trained", "some/model"])
def test_missing_or_damaged_assets(tmp_path: Path, kind):
    with pytest.raises(CheckpointError, match="no usable text tokenizer"):
        TextPreprocessor.from_assets(TextSpec(tokenizer=kind), tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="no usable text tokenizer"):
        TextPreprocessor.from_assets(TextSpec(tokenizer=kind), tmp_path)


@pytest.fixture
def wordpiece(tmp_path: Path) -> Path:
    from transformers import BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "day", "self", "other", ":", "[", "]", "sep"]
    tokenizer = BertTokenizer(vocab={w: i for i, w in enumerate(words)})
    tokenizer.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def test_pretrained_tokenizer(wordpiece: Path, tmp_path: Path):
    spec = TextSpec(tokenizer=str(wordpiece), context=1, max_tokens=12)
    read = TextPreprocessor.from_pretrained(spec)
    assert read("Good day", [(False, "day")]).tolist() == [2, 5, 6, 3, 8, 9, 6, 3]
    assert read("good [SEP]").tolist() == [2, 5, 10, 12, 11, 3]
    assert read("😀") == Absent("the tokenizer has no token for the text '😀'")
    read.save(tmp_path / "assets")
    again = TextPreprocessor.from_assets(
        TextSpec(tokenizer="gone/elsewhere", context=1, max_tokens=12), tmp_path / "assets"
    )
    assert torch.equal(again("Good day", [(False, "day")]), read("Good day", [(False, "day")]))


def test_pretrained_folder_without_tokenizer(tmp_path: Path):
    with pytest.raises(ConfigError, match="text tokenizer: none found in"):
        TextPreprocessor.from_pretrained(TextSpec(tokenizer=str(tmp_path)))


@pytest.mark.slow
def test_the_same_texts_give_the_same_tokenizer_in_another_process():
    code = (
        "from multiemo.preprocess.text import train_tokenizer as t; import hashlib; "
        "texts = [chr(0x4e00 + i) + chr(0x5e00 + i) for i in range(600)] * 2; "  # ties far beyond the alphabet's limit
        "print(hashlib.sha256(t(texts, 700).to_str().encode()).hexdigest())"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    assert len({run.stdout for run in runs}) == 1
