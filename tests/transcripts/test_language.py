"""The language of a transcript, by its words and by its name."""

from __future__ import annotations

import pytest

from multiemo.transcripts import language_of, read_transcript
from tests.support.captions import SRT, write


# --- language
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("I don't know what you mean by that.", "en"),
        ("Ich weiß nicht, was du damit meinst.", "de"),
        ("Je ne sais pas ce que vous voulez dire.", "fr"),
        ("No sé lo que quieres decir con eso.", "es"),
        ("Não sei o que você quer dizer com isso.", "pt"),
        ("Non so cosa vuoi dire con questo.", "it"),
        ("Ik weet niet wat je daarmee bedoelt.", "nl"),
        ("Jag vet inte vad du menar med det.", "sv"),
        ("Nie wiem, co masz przez to na myśli.", "pl"),
        ("Bununla ne demek istediğini bilmiyorum ama bu çok iyi.", "tr"),
        ("Tôi không biết anh muốn nói gì.", "vi"),
        ("Я не знаю, что ты имеешь в виду.", "ru"),
        ("Я не знаю, що ти маєш на увазі.", "uk"),
        ("我不知道你是什么意思，OK？", "zh"),
        ("どういう意味か分かりません", "ja"),
        ("무슨 뜻인지 모르겠어요", "ko"),
        ("أنا لا أعرف ما هذا", "ar"),
        ("Δεν ξέρω τι εννοείς", "el"),
        ("Hmm... Barcelona!", None),
        ("42 :-)", None),
        ("", None),
    ],
)
def test_language_of(text, code):
    assert language_of(text) == code


def test_the_name_tells_a_language_that_the_words_do_not(tmp_path):
    assert read_transcript(write(tmp_path, "a.fra.srt", "00:01 --> 00:02\nBarcelona\n")).language == "fr"
    assert read_transcript(write(tmp_path, "b.fr.srt", SRT)).language == "en"
