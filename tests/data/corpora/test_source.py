"""What every adapter takes from its source."""

from __future__ import annotations

import pytest

from multiemo.data.corpora.source import mend


@pytest.mark.parametrize(
    ("damaged", "meant"),
    [
        ("It\u00e2\u20ac\u2122s", "It’s"),  # UTF-8 read as Windows-1252
        ("It\u00e2\x80\x99s", "It’s"),  # UTF-8 read as Latin-1
        ("\x93Wow\x94", "“Wow”"),  # Windows-1252 kept as control characters
        ("Nestlé’s fiancée — Adiós…", "Nestlé’s fiancée — Adiós…"),
        ("你好，世界", "你好，世界"),
    ],
)
def test_mending_text(damaged: str, meant: str) -> None:
    assert mend(damaged) == meant
    assert mend(meant) == meant
