"""Which parentheses describe sounds, and which are spoken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiemo.transcripts.cleaning import strip_sounds

SPOKEN = [
    "I told you (a single time) to stop.",
    "He is kind (only human after all) and good",
    "It works (what a sight that was) I guess",
    "I am (sober now) fine",
    "She is (humble) nice",
    "We went to the (crystal) palace",
    "It is (strictly speaking) over",
    "She came (I was singing) home",
    "(My sister said so)",
    "(I can not believe it)",
    "(the train left without them)",
    "(I sing every day.)",
    "他说（其实我很喜欢唱歌）没事",
    "他说（其实他很喜欢唱歌）没事",
    "他（哭笑不得）走了",
    "（我不知道该怎么办）",
    "（只是开玩笑）",
    "我喜欢唱歌(真的，我爱唱歌)",
    "(제가 음악을 정말 좋아해요)",
]
SOUNDS = [
    "(laughs)", "(laughter)", "(LAUGHING)", "(sighs deeply)", "(man coughing)", "(sobbing)", "(cries)", "()",
    "(applause)", "(applauding)", "(soft music playing)", "(sings)", "(humming)", "(snores)", "(snorts)", "(sniffles)",
    "(phone rings)", "(clears throat)", "(speaking Spanish)", "(footsteps)", "(indistinct)", "(crowd cheering)",
    "（笑）", "（大笑）", "（他笑了）", "（电话铃声）", "（远处传来一阵阵的掌声）", "（音乐响起）", "（轻声叹气）",
    "（唱歌）", "（拍手）", "（笑い声）", "（拍手の音）", "(웃음)", "(박수 소리)",
]  # fmt: skip


@pytest.mark.parametrize("text", SPOKEN)
def test_spoken_parentheses_stay(text):
    assert strip_sounds(text) == (text, 0)


@pytest.mark.parametrize("sound", SOUNDS)
def test_sounds_in_parentheses_go_wherever_they_stand(sound):
    for text, left in ((sound, ""), (f"Well {sound} yes", "Well yes"), (f"- {sound}\nyes", "yes")):
        assert strip_sounds(text) == (left, 1)


def test_a_short_line_in_parentheses_is_a_description():
    assert strip_sounds("(door slams)\nWho is there?") == ("Who is there?", 1)


WORDS = ["single", "human", "sight", "sober", "crystal", "humble", "signal", "cryptic", "band", "ringer", "musician"]


@given(words=st.lists(st.sampled_from(WORDS), min_size=4, max_size=8))
def test_words_that_begin_like_sounds_are_spoken(words):
    inside = " ".join(words)
    assert strip_sounds(f"({inside})") == (f"({inside})", 0)
    assert strip_sounds(f"well ({inside}) yes") == (f"well ({inside}) yes", 0)
