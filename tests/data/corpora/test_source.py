"""What every adapter takes from its source."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiemo.data.corpora.source import folders_below, mend, nearest
from tests.support.corpora import touch


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


def test_the_nearest_name_is_also_found_behind_a_link_but_not_in_hidden_folders(tmp_path: Path) -> None:
    touch(tmp_path, "disk/test/c.csv", "set/.trash/a.csv", "set/x/y/a.csv", "set/__MACOSX/b", "set/deep/down/b/d")
    root = tmp_path / "set"
    (root / "linked").symlink_to(tmp_path / "disk")
    (root / "deep/loop").symlink_to(root)
    assert nearest(root, "a.csv") == root / "x/y/a.csv"
    assert nearest(root, "b") == root / "deep/down/b"
    assert nearest(root, "no.csv", "c.csv") == root / "linked/test/c.csv"
    assert nearest(root, "c.csv", "a.csv") == root / "linked/test/c.csv"
    assert nearest(root, "d.csv") is None
    assert root / "linked/test" in list(folders_below(root))
