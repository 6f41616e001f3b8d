"""The page on prompted models shows the prompts that are used."""

from __future__ import annotations

from pathlib import Path

from multiemo.encoders.common.prompts import REQUESTS, SLOT, TURNS


def test_the_page_shows_the_prompts() -> None:
    page = Path("docs/prompted.md").read_text("utf-8")
    said = {
        "en": [(False, "What is it?"), (True, "He died yesterday.")],
        "zh": [(False, "怎么了？"), (True, "他昨天去世了。")],
    }
    for language, lines in said.items():
        turns = "".join(TURNS[language][own][0] + words + TURNS[language][own][1] for own, words in lines)
        prompt = REQUESTS[language]["text"].format(labels="LABELS").replace(SLOT, turns)
        assert f"```\n{prompt}\n```" in page
        for modality in ("speech", "face"):
            prompt = REQUESTS[language][modality].format(labels="LABELS").replace(SLOT, "")
            assert f"```\n{prompt}\n```" in page
