"""A user's copy of an academic lexicon; the files here hold made-up ratings in the published formats."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest

from multiemo.errors import ConfigError
from multiemo.rules.lexicon.files import lexicon_digest, read_lexicon
from multiemo.rules.text import read_text

DUTIR = [
    ["词语", "词性种类", "词义数", "词义序号", "情感分类", "强度", "极性", "辅助情感分类", "强度", "极性"],
    ["脏乱", "adj", 1, 1, "NN", 7, 2, None, None, None],
    ["战祸", "noun", 1, 1, "NC", 9, 2, None, None, None],
    ["喜孜孜", "adj", 1, 1, "PA", 5, 1, None, None, None],
]


def workbook(path: Path, rows: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_dutir_as_a_workbook_and_as_csv(tmp_path: Path) -> None:
    table = tmp_path / "情感词汇本体.csv"
    table.write_bytes("\n".join(",".join("" if c is None else str(c) for c in row) for row in DUTIR).encode("gb18030"))
    for path in (workbook(tmp_path / "情感词汇本体.xlsx", DUTIR), table):
        entries = read_lexicon(path).entries
        assert set(entries) == {"脏乱", "战祸", "喜孜孜"}
        assert max(entries["战祸"].emotions, key=entries["战祸"].emotions.__getitem__) == "fearful"
        assert entries["战祸"].valence == pytest.approx(-0.8)
        assert entries["喜孜孜"].valence is not None
        assert 0 < entries["喜孜孜"].valence < 0.8
    assert not read_text("一场战祸").scores
    assert set(read_text("一场战祸", lexicon=path).scores) == {"fearful"}
    assert set(read_text("没有战祸", lexicon=str(path)).scores) == {"neutral"}


def test_hownet_lists_in_gb18030(tmp_path: Path) -> None:
    for name, words in (("正面情感词语（中文）", ["挚爱", "垂青"]), ("负面评价词语（中文）", ["拖沓"])):
        text = f"中文{name[:6]}\t{len(words)}\r\n" + "".join(f"{word} \r\n" for word in words)
        (tmp_path / f"{name}.txt").write_bytes(text.encode("gb18030"))
    (tmp_path / "程度级别词语（中文）.txt").write_bytes("最\r\n".encode("gb18030"))
    entries = read_lexicon(tmp_path).entries
    assert {word: entry.valence for word, entry in entries.items()} == {"挚爱": 0.5, "垂青": 0.5, "拖沓": -0.5}
    assert read_text("挚爱", lexicon=tmp_path).valence > 0 > read_text("拖沓", lexicon=tmp_path).valence


def test_cvaw_rates_valence_and_arousal_of_traditional_words(tmp_path: Path) -> None:
    path = tmp_path / "CVAW_all_SD.csv"
    path.write_text(
        "No.\tWord\tValence_Mean\tValence_SD\tArousal_Mean\n1\t乏力\t2.6\t0.7\t3.0\n2\t歡騰\t8.2\t0.5\t8.0\n", "utf-8"
    )
    entries = read_lexicon(path).entries
    assert (entries["乏力"].valence, entries["乏力"].arousal) == (pytest.approx(-0.6), pytest.approx(-0.5))
    assert max(entries["乏力"].emotions, key=entries["乏力"].emotions.__getitem__) == "sad"
    assert read_text("歡騰", lexicon=path).arousal > 0.5
    assert read_text("欢騰", lexicon=path).scores.keys() == {"happy"}


def test_emolex_joins_the_lines_of_a_word(tmp_path: Path) -> None:
    path = tmp_path / "NRC-Emotion-Lexicon-Wordlevel-v0.92.txt"
    lines = [("quagmire", "anger", 0), ("quagmire", "fear", 1), ("quagmire", "negative", 1), ("quagmire", "sadness", 1)]
    path.write_text("".join(f"{w}\t{e}\t{f}\n" for w, e, f in lines), "utf-8")
    entry = read_lexicon(path).entries["quagmire"]
    assert (entry.emotions, entry.valence) == ({"fearful": 0.8, "sad": 0.8}, -0.5)


def test_a_list_in_the_format_of_vader(tmp_path: Path) -> None:
    path = tmp_path / "german.txt"
    path.write_text('froh\t2.4\t0.6\t[2, 3]\ntraurig\t-2.0\t0.5\t[-2, -2]\n":"\t1.0\t0.5\t[1]\n', "utf-8")
    assert read_text("Ich bin so froh", language="de", lexicon=path).valence > 0.4
    assert read_text("Ich bin traurig", language="de", lexicon=path).valence < -0.4


WRONG = {
    "missing": (None, "does not exist"),
    "unknown format": ("a;b\nc;d\n", "is no lexicon in a known format"),
    "empty": ("", "an empty file"),
    "class": ("词语,情感分类,强度,极性\n好,PX,5,1\n", r"line 2: 情感分类: 'PX' is none of PA"),
    "strength": ("词语,情感分类,强度,极性\n好,PA,99,1\n", r"line 2: 强度: must be a number within 0 and 9, got '99'"),
    "polarity": ("词语,情感分类,强度,极性\n好,PA,5,7\n", r"line 2: 极性: '7'"),
    "missing cell": ("词语,情感分类,强度,极性\n好,PA\n", r"line 2: column 3 is empty"),
    "rating": ("word\t9.5\t1\n", "line 1: the mean rating: must be a number within -4 and 4"),
    "flag": ("a\tanger\t0\nb\tanger\t2\n", "line 2: the association must be 0 or 1, not '2'"),
    "emotion": ("a\tanger\t0\nb\twrath\t1\n", "line 2: 'wrath' is none of anger"),
    "cvaw": ("Word,Valence_Mean,Arousal_Mean\n好,12,3\n", "line 2: Valence_Mean: must be a number within 1 and 9"),
    "nothing rated": ("a\tanger\t0\n", "has no words with an emotion"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_lexicon_is_said_with_file_and_line(case: str, tmp_path: Path) -> None:
    text, message = WRONG[case]
    path = tmp_path / "lexicon.txt"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message) as raised:
        read_lexicon(path)
    assert str(path) in str(raised.value)


def test_a_folder_without_word_lists(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no word list of HowNet"):
        read_lexicon(tmp_path)


def test_the_digest_changes_with_a_byte_and_with_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("froh\t2.4\n", "utf-8")
    one, folder = lexicon_digest(path), lexicon_digest(tmp_path)
    path.write_text("froh\t2.5\n", "utf-8")
    assert lexicon_digest(path) != one
    assert lexicon_digest(tmp_path) != folder
