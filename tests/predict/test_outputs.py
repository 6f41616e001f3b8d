"""Every format is read back by a reader that is not ours, whatever a transcript or a file name carries."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from matplotlib.image import imread

from multiemo.errors import ConfigError
from multiemo.labels import LABEL_SETS
from multiemo.predict.outputs import FORMATS, write_timeline
from multiemo.predict.outputs.tiers import tiers
from multiemo.predict.timeline.contents import NO_LENGTH, Timeline, placed_spans, without_overlaps
from multiemo.predict.traces import TRACE_RATE, Traces

LABELS = ("neutral", "happy", "sad")
NASTY = 'say "no" & <b>go</b> --> $5$, {\\an8}\nnew line\x00\x0b\ud800 ]]> <img src=x onerror=alert(1)>'
CHINESE = "今天天气真好，我们去公园吧"


def said(start: float, end: float, top: int = 0, *, labels=LABELS, text: str | None = None, **more) -> dict:
    probs = {label: 0.3 / (len(labels) - 1) for label in labels} | {labels[top]: 0.7}
    smoothed = {label: 0.2 / (len(labels) - 1) for label in labels} | {labels[top]: 0.8}
    return {
        "start": start, "end": end, "kind": "speech", "label": labels[top], "best": labels[top], "probs": probs,
        "by_modality": {"text": probs, "speech": smoothed}, "contribution": {"text": 0.25, "speech": -0.125},
        "present": ["text", "speech"], "absent": {"face": "no face was found"}, "valence": -0.5, "arousal": 0.25,
        "text": text, "smoothed": {"label": labels[top], "probs": smoothed},
        "face": {"person": 2, "people": 2, "chosen": "only face", "quality": 0.9}, **more,
    }  # fmt: skip


def entry(*segments: dict, name: str = "talk.mp4", duration: float = 12.0, **more) -> dict:
    return {
        "input": name, "duration": duration, "present": ["text", "speech"], "absent": {"face": "no face was found"},
        "segments": list(segments), "skipped": [], "notes": [], **more,
    }  # fmt: skip


def usual(text: str = CHINESE) -> dict:
    people = [{"person": 1, "start": 0.5, "end": 4.0, "segments": [said(0.5, 4.0, 1)]}]
    skipped = [{"start": 7.0, "end": 9.25, "absent": {"speech": "silence"}}]
    return entry(said(0.5, 4.0, 1, text=text), said(4.0, 7.0, 2, text="well"), said(9.25, 12.0), skipped=skipped,
                 people=people, words={"source": "talk.srt", "language": "zh"}, notes=["turned"])  # fmt: skip


EMPTY = entry(present=[], absent={"speech": "silence"}, skipped=[{"start": 0.0, "end": 12.0, "absent": {}}])
ONE_TEXT = entry(said(0.0, 0.0, 2, text="so sad"), name="text", duration=0.0)
WINDOWS = entry(*(said(2.0 * i, 2.0 * i + 4.0, i % 3, text=f"part {i}") for i in range(5)))
OLD = {k: v for k, v in usual().items() if k not in ("people", "words")}
OLD["segments"] = [
    {k: v for k, v in s.items() if k not in ("kind", "smoothed", "face", "text")} for s in OLD["segments"]
]
NASTY_ONE = entry(said(0, 4, 1, text=NASTY, labels=("_up", "<i>$x$</i>", "c,\n")), name=f"{NASTY}.mp4", notes=[NASTY],
                  absent={"face": NASTY}, skipped=[{"start": 4, "end": 12, "absent": {"face": NASTY}}],
                  people=[{"person": NASTY, "start": 0, "end": 4, "segments": [said(0, 4)]}])  # fmt: skip
ENTRIES = {"usual": usual(), "empty": EMPTY, "text": ONE_TEXT, "windows": WINDOWS, "old": OLD, "nasty": NASTY_ONE}


def traces(seconds: float, *indices: int) -> Traces:
    count = round(seconds * TRACE_RATE)
    pitch = np.full(count, np.nan, np.float32)
    pitch[count // 3 : count // 2] = 200
    faces = {i: np.full((64, 64, 3), (250, 0, 250), np.uint8) for i in indices}
    return Traces(np.linspace(0, 0.5, count, dtype=np.float32), pitch, faces)


@pytest.fixture(params=ENTRIES)
def any_entry(request):
    return ENTRIES[request.param]


# --------------------------------------------------------------------------------------------------------------------
# Spans


def test_overlaps_are_cut_in_the_middle_and_order_is_kept():
    rng = np.random.default_rng(0)
    for _ in range(50):
        starts = np.sort(rng.uniform(0, 50, 20)).tolist()
        items = [{"start": s, "end": s + rng.uniform(0, 9)} for s in starts]
        spans = without_overlaps(items)
        assert all(a[1] <= b[0] + 1e-12 for a, b in pairwise(spans))
        assert all(left <= right for left, right in spans)
    assert without_overlaps([{"start": 0, "end": 6}, {"start": 4, "end": 8}]) == [(0.0, 5.0), (5.0, 8.0)]
    assert without_overlaps([{"start": 3, "end": 3}]) == [(3.0, 3.0 + NO_LENGTH)]


def test_shares_fill_the_lane_also_when_several_labels_hold_at_once():
    labels = LABEL_SETS["goemotions28"]
    shown = timeline(entry(said(0, 4, 3, labels=labels)))
    assert len(shown.bands) == 12
    assert shown.bands[-1] == "other"
    assert sum(shown.shares(dict.fromkeys(labels, 0.9))) == pytest.approx(1)
    assert labels[3] in shown.bands, "the most probable has its own"


@pytest.mark.parametrize("name", LABEL_SETS)
def test_labels_have_different_colours_that_letters_can_be_read_on(name):
    labels = LABEL_SETS[name]
    colours = label_colours(labels)
    assert len(set(colours.values())) == min(len(labels), 21)
    for colour in colours.values():
        dark, light = (_contrast(colour, ink) for ink in ("#1c2530", "#ffffff"))
        assert _contrast(colour, ink_on(colour)) == max(dark, light) > 3.9


def _contrast(a: str, b: str) -> float:
    """WCAG 2.1, by colour channel with numpy."""

    def luminance(colour):
        c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


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


# --------------------------------------------------------------------------------------------------------------------
# Picture and page


def _picture(given: dict, found: Traces | None = None) -> np.ndarray:
    return imread(io.BytesIO(figure.png(given, found or Traces())))[..., :3]


def _share(image: np.ndarray, colour: str) -> float:
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return float((np.abs(image - wanted).max(axis=2) < 0.01).mean())


def test_the_picture_shows_labels_in_their_colours_and_what_the_traces_hold():
    colours = label_colours(LABELS)
    sad = _picture(entry(said(0, 12, 2)))
    assert _share(sad, colours["sad"]) > 3 * _share(sad, colours["happy"]) > 0
    bare, full = _picture(usual()), _picture(usual(), traces(12, 0, 1))
    assert _share(bare, "#fa00fa") == 0 < _share(full, "#fa00fa")
    assert full.shape[0] > bare.shape[0]


def test_the_picture_of_an_hour_has_a_bounded_size_and_says_what_it_leaves_out():
    hour = entry(*(said(4.0 * i, 4.0 * i + 4, i % 3, text="some words here") for i in range(900)), duration=3600)
    shown = timeline(hour)
    small = figure._Picture(hour, Traces(), shown, lettering.lettering(["some words here"]), {}, 30 / 3600 / 0.06)
    panels, notes = figure._panels(small)
    assert "words" not in [name for name, *_ in panels]
    assert notes == ["the words do not fit into this picture; the HTML page shows them"]
    assert _picture(entry(*hour["segments"][:200], duration=800)).shape[1] <= 30 * 180


def test_words_without_a_font_are_left_out_and_never_boxes(monkeypatch):
    own = {"DejaVu Sans": lettering._installed()["DejaVu Sans"]}
    monkeypatch.setattr(lettering, "_installed", lambda: own)
    letters = lettering.lettering([CHINESE, "naïve 🧠", "访谈"])
    assert letters.lacks(CHINESE)
    assert not letters.lacks("naïve 🧠")
    assert letters.drawable("访谈 a🧠.mp4") == "?? a.mp4"
    shown = timeline(usual())
    panels, notes = figure._panels(figure._Picture(usual(), Traces(), shown, letters, {}, 10.0))
    assert "words" not in [name for name, *_ in panels]
    assert notes == ["no installed font has the characters of the words; the HTML page shows them"]


def test_fonts_that_only_have_boxes_are_not_taken():
    assert "Last Resort High-Efficiency" not in lettering._installed()
    assert not any("Emoji" in name for name in lettering._installed())


class _Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.titles: list[str] = []
        self.text: list[str] = []
        self._in_title = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._in_title = tag == "title"

    def handle_data(self, data):
        (self.titles if self._in_title else self.text).append(data)

    def handle_endtag(self, tag):
        self._in_title = False


@pytest.mark.parametrize("name", ENTRIES)
def test_the_page_is_self_contained_and_obeys_no_text(name, tmp_path):
    page = write_timeline(ENTRIES[name], tmp_path / "a.html", traces(12, 0)).read_text("utf-8")
    found = _Page(page)
    assert {tag for tag, _ in found.tags}.isdisjoint(
        {"img", "script", "link", "iframe", "b" if name == "nasty" else ""} - {"b"}
    )
    for _, attributes in found.tags:
        assert not any(key.startswith("on") for key in attributes)
        for key in ("src", "href"):
            assert re.match(r"#|data:image/jpeg;base64,", attributes.get(key) or "#")
    assert "@import" not in page
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= {"#hatch"}
    drawing = page[page.index("<svg width") : page.index("</svg>", page.index("<svg width")) + 6]
    ElementTree.fromstring(drawing)


def test_the_page_has_the_words_as_text_and_the_reasons_as_tooltips():
    from multiemo.predict.outputs.page import html

    found = _Page(html(usual(), traces(12, 1)))
    assert found.text.count(CHINESE) == 2, "under the lanes and in the table"
    tips = "\n".join(found.titles)
    assert "skipped: speech: silence" in tips
    assert "smoothed: happy 80%, neutral 10%, sad 10%" in tips
    assert "text: happy 70%, neutral 15%; contributes +0.25" in tips
    assert "face absent: no face was found" in tips
    assert "face of person 2; quality: 0.9; chosen: only face" in tips
    images = [attributes["href"] for tag, attributes in found.tags if tag == "image"]
    picture = imread(io.BytesIO(base64.b64decode(images[0].partition(",")[2])), format="jpg")
    assert np.abs(picture.reshape(-1, 3).mean(axis=0) - (250, 0, 250)).max() < 8


def test_the_page_of_an_hour_scrolls_and_stays_small():
    from multiemo.predict.outputs.page import html

    hour = entry(*(said(4.0 * i, 4.0 * i + 4, i % 3, text="some words here") for i in range(900)), duration=3600)
    page = html(hour, traces(3600))
    width = int(re.search(r'<svg width="(\d+)"', page)[1])
    assert 30_000 < width <= 60_000
    assert len(page) < 4e6
    links = re.findall(r'<a href="#(s\d+)"', page)
    assert len(links) == 900
    assert set(links) == set(re.findall(r'id="(s\d+)"', page))


# --------------------------------------------------------------------------------------------------------------------
# Traces


def test_traces_are_thinned_by_maximum_and_median():
    found = Traces(
        np.array([0, 0.1, 0.4, 0.2, 0.1], np.float32), np.array([np.nan, 100, 300, np.nan, np.nan], np.float32)
    )
    times, loud = found.loudness(3)
    assert times.tolist() == pytest.approx([0.02, 0.06, 0.1])
    assert (loud**2).tolist() == pytest.approx([0.25, 1, 0.25])
    assert np.nan_to_num(found.melody(3)[1]).tolist() == [100, 300, 0]
    assert [len(x) for x in (*Traces().loudness(9), *Traces().melody(9))] == [0, 0, 0, 0]
    silent = Traces(np.zeros(9, np.float32), np.full(9, np.nan, np.float32))
    assert [t.audible for t in (found, Traces(), silent)] == [True, False, False]


def test_parts_keep_skipped_spans_in_place():
    assert [(p.left, p.index) for p in placed_spans(usual())] == [(0.5, 0), (4.0, 1), (7.0, None), (9.25, 2)]
