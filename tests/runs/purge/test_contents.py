"""Removing a person from the contents of tables and of manifests, whatever their format."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import polars as pl
import pytest

from multiemo.data.manifest.reading import read_manifest, write_manifest
from multiemo.runs.purge.contents import cleaned
from multiemo.runs.purge.names import Names
from multiemo.runs.purge.purge import purge

NAMES = Names(["adela", "lab:adela", "adela-01", "7"])

#: {file name: (content, content without the person, or None if the file goes)}.
FILES = {
    "a.csv": (
        b'id,text,score\r\nadela-01,"first, line\nsecond",1\r\nbob-01,"she said\n""adela?""",2\r\nbob-02,7 times,7\r\n',
        b"id,text,score\r\nbob-02,7 times,7\r\n",
    ),
    "b.tsv": (b"speaker\tlabel\n7\tgood\n17\tbad\n", b"speaker\tlabel\n17\tbad\n"),
    "c.jsonl": (b'{"id": "bob-01", "n": 1.50}\n{"id": "adela-01"}\n\n', b'{"id": "bob-01", "n": 1.50}\n\n'),
    "d.json": (b'{"clips": ["adela-01", "bob-01"], "n": 2}', b'{\n  "clips": [\n    "bob-01"\n  ],\n  "n": 2\n}\n'),
    "e.json": (b'{"id": "adela-01", "label": "good"}', None),
    "f.vtt": (b"WEBVTT\n\n00:00.000 --> 00:01.000\n<v adela>Hello", None),
    "g.csv": (b"id,text\nadelaide-01,no adela_\n", "unchanged"),
    "h.json": (b'{"id": "adela-01"', "unchanged"),
}


@pytest.mark.parametrize("name", FILES)
def test_only_what_names_the_person_goes(name: str) -> None:
    data, left = FILES[name]
    found = cleaned(Path(name), data, NAMES)
    if left == "unchanged":
        assert found is None
        return
    assert found is not None
    assert found.content == left
    assert cleaned(Path(name), found.content or b"", NAMES) is None


def test_rows_of_a_parquet_table_go() -> None:
    table = pl.DataFrame(
        {"id": ["adela-01", "bob-01", "bob-02"], "said": ["a", "to adela", "b"], "list": [[1], [2], [3]]}
    )
    written = BytesIO()
    table.write_parquet(written)
    found = cleaned(Path("t.parquet"), written.getvalue(), NAMES)
    assert found is not None
    assert found.count == 2
    assert found.content is not None
    assert pl.read_parquet(BytesIO(found.content)).equals(table[2:])
    assert cleaned(Path("t.parquet"), b"PAR1 and nothing else", NAMES) is None


def test_a_person_leaves_a_parquet_manifest(small_corpus: Path, tmp_path: Path) -> None:
    clips = read_manifest(small_corpus)
    manifest = tmp_path / "manifest.parquet"
    write_manifest(clips, manifest)
    speaker = clips[0].speaker
    assert speaker is not None
    receipt = purge(speaker, cache=tmp_path / "cache", manifests=[manifest], runs=[], dry=False)
    assert read_manifest(manifest) == [clip for clip in clips if clip.speaker != speaker]
    assert receipt.clips == sum(clip.speaker == speaker for clip in clips)
    assert speaker.encode() not in manifest.read_bytes()
