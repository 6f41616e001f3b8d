"""Every format is read back by a reader that is not ours, whatever a transcript or a file name carries."""

from __future__ import annotations

import csv
import json
import re
from itertools import pairwise
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree

import av
import pytest

from multiemo.errors import ConfigError
from multiemo.predict.formats import FORMATS, write_timeline
from multiemo.predict.formats.tiers import tiers
from multiemo.predict.timeline.contents import NO_LENGTH
from tests.support.entries import (
    CHINESE,
    EMPTY,
    ENTRIES,
    LABELS,
    NASTY_ONE,
    ONE_TEXT,
    WINDOWS,
    entry,
    said,
    traces,
    usual,
)


@pytest.fixture(params=ENTRIES)
def any_entry(request):
    return ENTRIES[request.param]


# --------------------------------------------------------------------------------------------------------------------
# Tables, subtitles, annotation tools


def test_every_format_of_every_entry_is_written(any_entry, tmp_path):
    for suffix in FORMATS:
        path = write_timeline(any_entry, tmp_path / "new folder" / f"年 1{suffix.upper()}", traces(12, 0))
        assert path.stat().st_size > 0
        assert [p.name for p in path.parent.iterdir()] == [path.name]
        path.unlink()


def test_a_wrong_suffix_and_a_place_that_cannot_be_written_are_told(tmp_path):
    with pytest.raises(ConfigError, match=r"'\.doc'.*\.textgrid"):
        write_timeline(usual(), tmp_path / "a.doc")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"a\.csv: cannot be written"):
        write_timeline(usual(), tmp_path / "file" / "a.csv")


def test_json_is_the_prediction_json_and_keeps_every_character(tmp_path):
    path = write_timeline(NASTY_ONE, tmp_path / "a.json")
    assert json.loads(path.read_text("utf-8")) == {"inputs": [NASTY_ONE]}
    assert CHINESE in write_timeline(usual(), tmp_path / "b.json").read_text("utf-8")


@pytest.mark.parametrize("words", ["=1+1", "+1", "-1", "- Hello.", "@SUM(A1)", "\t=1", "＝1"])
def test_words_are_no_formula_for_a_spreadsheet(words, tmp_path):
    path = write_timeline(usual(words), tmp_path / "a.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert f"'{words}" in {row["words"] for row in rows}
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row.values() if cell)


def test_csv_has_a_row_a_segment_and_skipped_span(tmp_path):
    path = write_timeline(usual('two\nlines, "quoted"'), tmp_path / "a.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["start"], r["label"]) for r in rows] == [
        ("0.5", "happy"),
        ("4.0", "sad"),
        ("7.0", ""),
        ("9.25", "neutral"),
    ]
    first = rows[0]
    assert first["words"] == 'two\nlines, "quoted"'
    assert [float(first[f"p_{label}"]) for label in LABELS] == pytest.approx([0.15, 0.7, 0.15])
    assert (first["smoothed"], float(first["smoothed_p"])) == ("happy", 0.8)
    assert (first["text_label"], first["speech_contribution"], first["face_label"]) == ("happy", "-0.125", "")
    assert (first["valence"], first["person"], first["present"]) == ("-0.5", "2", "text speech")
    assert first["absent"] == "face: no face was found"
    assert rows[2]["absent"] == "speech: silence"
    assert "dominance" not in first


def _packets(path):
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        packets = [p for p in container.demux(stream) if p.size]
        return [(float(p.pts * p.time_base), float(p.duration * p.time_base), bytes(p).decode()) for p in packets]


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
def test_ffmpeg_reads_the_subtitles(suffix, tmp_path):
    found = _packets(write_timeline(usual(), tmp_path / f"a{suffix}"))
    assert found == [(0.5, 3.5, f"happy 80%\n{CHINESE}"), (4.0, 3.0, "sad 80%\nwell"), (9.25, 2.75, "neutral 80%")]
    overlapping = _packets(write_timeline(WINDOWS, tmp_path / f"b{suffix}"))
    assert [start for start, _, _ in overlapping] == [0, 3, 5, 7, 9]
    assert _packets(write_timeline(EMPTY, tmp_path / f"c{suffix}")) == [(0, 12, "nothing to go by\nspeech: silence")]
    assert _packets(write_timeline(ONE_TEXT, tmp_path / f"d{suffix}")) == [(0, NO_LENGTH, "sad 80%\nso sad")]
    assert len(_packets(write_timeline(NASTY_ONE, tmp_path / f"e{suffix}"))) == 1


def _decoded(path) -> str:
    """What FFmpeg would put on the screen, as ASS."""
    with av.open(str(path)) as container:
        return "".join(
            subtitle.ass.decode() if isinstance(subtitle.ass, bytes) else subtitle.ass
            for packet in container.demux(container.streams.subtitles[0])
            for subtitle in (packet.decode() if packet.size else ())
        )


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
def test_markup_in_a_transcript_is_shown_not_obeyed(suffix, tmp_path):
    shown = _decoded(write_timeline(entry(said(0, 4, text="<i>x</i> & <b>")), tmp_path / f"a{suffix}"))
    assert shown.replace("\u2060", "").endswith("<i>x</i> & <b>")


def _read_textgrid(text: str) -> dict[str, list[tuple[float, float, str]]]:
    """A small reader of Praat's free-standing tokens: numbers and quoted strings, whatever stands between them."""
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"')
    tokens = re.findall(r'"((?:[^"]|"")*)"|(?<![\w\[])(-?\d+(?:\.\d+)?)(?![\w\]])', text)[2:]
    values = [string.replace('""', '"') if not number else float(number) for string, number in tokens]
    stream = iter(values[3:])
    found = {}
    for _ in range(int(values[2])):
        assert next(stream) == "IntervalTier"
        name = next(stream)
        assert (next(stream), next(stream)) == (values[0], values[1])
        count = int(next(stream))
        found[name] = [(next(stream), next(stream), next(stream)) for _ in range(count)]
    return found


def test_textgrid_tiles_the_time(any_entry, tmp_path):
    path = write_timeline(any_entry, tmp_path / "a.TextGrid")
    found = _read_textgrid(path.read_text("utf-8"))
    end = NO_LENGTH if any_entry is ONE_TEXT else 12.0
    for intervals in found.values():
        assert (intervals[0][0], intervals[-1][1]) == (0.0, end)
        assert all(start < stop for start, stop, _ in intervals)
        assert all(a[1] == b[0] for a, b in pairwise(intervals))
    wanted = tiers(any_entry)
    assert list(found) == list(wanted)
    for name, intervals in wanted.items():
        assert [i for i in found[name] if i[2]] == [(i.start / 1000, i.end / 1000, i.text) for i in intervals]


def test_textgrid_says_what_the_entry_says(tmp_path):
    found = _read_textgrid(write_timeline(usual('a "b" ' + CHINESE), tmp_path / "a.TextGrid").read_text("utf-8"))
    assert list(found) == ["emotion", "smoothed", "words", "text", "speech", "face", "person 1", "skipped"]
    assert found["emotion"] == [(0, 0.5, ""), (0.5, 4, "happy"), (4, 7, "sad"), (7, 9.25, ""), (9.25, 12, "neutral")]
    assert found["words"][1] == (0.5, 4, 'a "b" ' + CHINESE)
    assert found["face"] == [(0, 12, "")]
    assert found["skipped"][1] == (7, 9.25, "speech: silence")


def test_praat_opens_the_textgrid(any_entry, tmp_path):
    parselmouth = pytest.importorskip("parselmouth")
    grid = parselmouth.Data.read(str(write_timeline(any_entry, tmp_path / "a.TextGrid")))
    for number, (name, intervals) in enumerate(tiers(any_entry).items(), 1):
        assert parselmouth.praat.call(grid, "Get tier name", number) == name.strip()
        count = parselmouth.praat.call(grid, "Get number of intervals", number)
        texts = [parselmouth.praat.call(grid, "Get label of interval", number, i + 1) for i in range(count)]
        assert [text for text in texts if text] == [interval.text for interval in intervals]


def _annotations(root: ElementTree.Element, tier: str) -> list[tuple[int, int, str]]:
    times = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")}
    holder = next(t for t in root.iter("TIER") if t.get("TIER_ID") == tier)
    found = holder.iter("ALIGNABLE_ANNOTATION")
    return [
        (times[a.get("TIME_SLOT_REF1")], times[a.get("TIME_SLOT_REF2")], a.find("ANNOTATION_VALUE").text) for a in found
    ]


def test_eaf_has_the_structure_of_the_format(any_entry, tmp_path):
    root = ElementTree.fromstring(write_timeline(any_entry, tmp_path / "a.eaf").read_bytes())
    assert (root.tag, root.get("FORMAT")) == ("ANNOTATION_DOCUMENT", "3.0")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", root.get("DATE"))
    children = [child.tag for child in root]
    assert list(dict.fromkeys(children)) == ["HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE"]
    times = [int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")]
    assert times == sorted(times)
    ids = [e.get(k) for e in root.iter() for k in ("TIME_SLOT_ID", "ANNOTATION_ID") if e.get(k)]
    assert len(set(ids)) == len(ids)
    kinds = {kind.get("LINGUISTIC_TYPE_ID") for kind in root.iter("LINGUISTIC_TYPE")}
    assert {tier.get("LINGUISTIC_TYPE_REF") for tier in root.iter("TIER")} <= kinds
    for name, intervals in tiers(any_entry).items():
        assert _annotations(root, name) == [(i.start, i.end, i.text) for i in intervals]
        assert all(a.end <= b.start for a, b in pairwise(intervals))


def test_eaf_names_the_media_file(tmp_path):
    media = tmp_path / "films" / "年 1#?.mkv"
    path = write_timeline(usual() | {"input": str(media)}, tmp_path / "notes" / "a.eaf")
    (descriptor,) = ElementTree.parse(path).iter("MEDIA_DESCRIPTOR")
    assert unquote(urlparse(descriptor.get("MEDIA_URL")).path) == str(media)
    assert unquote(descriptor.get("RELATIVE_MEDIA_URL")) == "./../films/年 1#?.mkv"
    assert descriptor.get("MIME_TYPE").startswith("video/")
    text = ElementTree.parse(write_timeline(ONE_TEXT, tmp_path / "b.eaf"))
    assert not list(text.iter("MEDIA_DESCRIPTOR"))


def test_pympi_opens_the_eaf(any_entry, tmp_path):
    pympi = pytest.importorskip("pympi")
    document = pympi.Elan.Eaf(str(write_timeline(any_entry, tmp_path / "a.eaf")))
    for name, intervals in tiers(any_entry).items():
        assert sorted(document.get_annotation_data_for_tier(name)) == [(i.start, i.end, i.text) for i in intervals]
