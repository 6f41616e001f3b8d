"""The fixed texts of the page."""

from __future__ import annotations

import re
import string
from pathlib import Path

import multiemo.predict.explanations.page as package
from multiemo.predict.explanations.page.wording import TEXTS


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_every_text_with_the_same_fields():
    assert set(TEXTS["en"]) == set(TEXTS["zh"])
    for key, text in TEXTS["en"].items():
        assert _fields(text) == _fields(TEXTS["zh"][key]), key


def test_every_text_that_is_not_built_from_a_name_is_used():
    folder = Path(package.__file__).parent
    code = "".join(
        path.read_text("utf-8")
        for path in [*folder.glob("*.py"), *folder.glob("*.html"), folder / "wording/__init__.py"]
    )
    built = ("unit_", "chosen_", "trust_", "evidence_", "reading_", "warn_", "trained_", "the_", "place_")
    named = [key for key in TEXTS["en"] if not key.startswith(built) and key not in ("face", "speech", "text")]
    unused = [key for key in named if not re.search(f"['\"]{key}['\"]", code)]
    assert unused == []
