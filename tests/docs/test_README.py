"""The index of the documentation."""

from __future__ import annotations

import re

from tests.support.paths import ROOT

DOCS = ROOT / "docs"


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\(([\w./-]+\.md)", (DOCS / "README.md").read_text("utf-8")))
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - {"README.md"}
    assert pages - linked == set()
