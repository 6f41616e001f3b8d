"""What the documents say is what the code has."""

from __future__ import annotations

from multiemo.labels import LABEL_SETS
from tests.support.paths import ROOT


def test_every_set_is_in_the_documentation() -> None:
    text = (ROOT / "docs/data.md").read_text("utf-8")
    table = text.partition("## Label sets")[2].partition("**Your own.**")[0]
    assert [name for name in LABEL_SETS if f"`{name}`" not in table] == []
