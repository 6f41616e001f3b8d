"""Transcripts in legacy encodings."""

from __future__ import annotations

import pytest

from multiemo.transcripts import read_transcript
from tests.support.captions import write

# --- encodings
LINES = {
    "gb18030": "我不知道你在说什么。\n你怎么来了？",
    "big5": "我不知道你在說什麼。\n這個人很好！",
    "shift_jis": "何を言っているのか分からない。\nありがとう",
    "cp949": "무슨 말을 하는지 모르겠어요.\n나도 그래",
    "cp1251": "Я не знаю, что ты говоришь.\nДа, конечно!",
    "cp1250": "Przepraszam, że cię skrzywdziłem, ąęśćż źle.\n„Nie wiem, co mówisz”",
    "iso-8859-2": "Przepraszam, że cię skrzywdziłem, ąęśćż źle.\nNie wiem, co mówisz",
    "cp1254": "Çok üzgünüm, şimdi ağlıyorum.\nNe dediğini “bilmiyorum”…",
    "cp1252": "I don’t know “what” you mean…\nÇa va, déjà été à Übersee?",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", *LINES])
def test_encodings(tmp_path, encoding):
    text = LINES.get(encoding, "我不知道 what “it” é.\n好")
    body = f"1\r\n00:00:01,000 --> 00:00:02,000\r\n{text}\r\n"
    for name, content in (("a.srt", body), ("a.txt", text)):
        found = read_transcript(write(tmp_path, name, content.encode(encoding)))
        assert found.text == text.replace("\n", " ")
        assert any(f"read as {encoding}" in n for n in found.notes) == (encoding in LINES)


@pytest.mark.parametrize(("line", "encoding"), [("你好", "gb18030"), ("你好嗎", "big5"), ("café", "cp1252")])
def test_short_texts(tmp_path, line, encoding):
    assert read_transcript(write(tmp_path, "a.txt", line.encode(encoding))).text == line


LATIN = [
    ("cp1250", "Nevím, co říkáš. Příliš žluťoučký kůň"),
    ("iso-8859-2", "Nevím, co říkáš. Příliš žluťoučký kůň"),
    ("cp1250", "Žádné šťastné děvče nečeká."),
    ("cp1250", "Nem tudom, miről beszélsz. Őszintén örülök, hogy eljöttél, kedves nővérem és hű barátnőm"),
    ("cp1250", "Ne znam što želiš. Sretna sam što ćeš doći večeras, đače"),
    ("cp1250", "Nu ştiu ce să fac, îmi pare rău. Eşti în viaţă"),
    ("cp1254", "Seni seviyorum ama bunu yapamayız. Ağabeyim kızıyor"),
    ("cp1250", "Cieszę się, że cię widzę"),
    ("cp1254", "şimdi ağlıyorum"),
    ("cp1252", "Það er ekki rétt hjá þér. Ég veit ekki hvað þú ert að segja"),
    ("cp1252", "Je ne sais pas où tu es allé, ça m’a gênée. Très drôle, naïf"),
    ("cp1252", "No sé qué dices, señor. ¿Dónde está el niño? El 1º año"),
    ("cp1252", "Não sei o que você está dizendo. Põe no lugar, às três horas"),
    ("cp1252", "Perché non è più così? Là c’è la città, però"),
    ("cp1252", "Jag förstår inte vad du säger. Jeg ved ikke, hvad der er på øen, kære"),
    ("cp1252", "Ich weiß nicht, wo die schöne Tür über dem Fluß hängt. 20 £ für 3 m²"),
    ("cp1252", "café, señor Peña, naïve, déjà vu, fiancée, jalapeño, über, façade"),
    ("cp1252", "Guðrún Sigurðardóttir"),
    ("cp1252", "það"),
]


@pytest.mark.parametrize(("encoding", "line"), LATIN)
def test_alphabets_that_share_their_bytes(tmp_path, encoding, line):
    assert read_transcript(write(tmp_path, "a.txt", line.encode(encoding))).text == line


def test_chinese_of_real_people_in_gb18030(tmp_path, real_data):
    import polars

    rows = polars.read_csv(real_data / "emotiontalk" / "emotiontalk.csv")["text"].drop_nulls().to_list()
    texts = [t for t in rows if len(t) >= 4][::40]
    from multiemo.transcripts.encoding import _decode

    wrong = [t for t in texts if _decode(t.encode("gb18030"), tmp_path)[0] != t]
    assert len(texts) > 300
    assert len(wrong) <= 0.01 * len(texts), wrong[:5]


def test_damaged_utf8_is_still_utf8(tmp_path):
    content = ("我不知道你在说什么。" * 20).encode()[:-1] + b"\xff ok"
    found = read_transcript(write(tmp_path, "a.txt", content))
    assert found.text.startswith("我不知道你在说什么。")
    assert found.notes == ("3 byte(s) that are not UTF-8 were left out of a.txt",)
