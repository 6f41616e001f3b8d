"""Transcripts as they are found: formats, encodings, damage; and which words a span holds."""

from __future__ import annotations

import itertools
import json
import math
import re
import time
from pathlib import Path

import av
import numpy as np
import pytest
from av.subtitles.subtitle import SubtitleSet
from hypothesis import given, settings
from hypothesis import strategies as st

from multiemo.data.subtitles import embedded_subtitles
from multiemo.data.transcripts import Cue, Transcript, language_of, read_transcript, side_file
from multiemo.errors import MediaError

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>I can't</i> believe it!

2
00:00:03,000 --> 00:00:04,000
{\\an8}Tom &amp; I
left.
"""
VTT = """WEBVTT - made by hand

STYLE
::cue { color: red }

NOTE not said

intro
00:01.000 --> 00:02.500 align:start position:0%
<v Anna>I can't <b>believe</b> it!</v>

00:00:03.000 --> 00:00:04.000
<v.loud Bo>Tom &amp; I left.
"""


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def times(transcript: Transcript) -> list[tuple[float, float, str]]:
    return [(c.start, c.end, c.text) for c in transcript.cues]


def test_srt(tmp_path):
    found = read_transcript(write(tmp_path, "a.srt", SRT))
    assert times(found) == [(1.0, 2.5, "I can't believe it!"), (3.0, 4.0, "Tom & I left.")]
    assert (found.timed, found.language, found.source, found.notes) == (True, "en", "a.srt", ())
    assert found.text == "I can't believe it! Tom & I left."


def test_vtt_with_speakers(tmp_path):
    found = read_transcript(write(tmp_path, "a.vtt", VTT))
    assert times(found) == [(1.0, 2.5, "I can't believe it!"), (3.0, 4.0, "Tom & I left.")]
    assert [c.speaker for c in found.cues] == ["Anna", "Bo"]
    assert found.notes == ()


def test_two_voices_in_one_cue_share_its_time(tmp_path):
    text = "WEBVTT\n\n00:00.000 --> 00:04.000\n<v A>one</v>\n<v B>two three</v>\n"
    first, second = read_transcript(write(tmp_path, "a.vtt", text)).cues
    assert (first.speaker, first.text, second.speaker, second.text) == ("A", "one", "B", "two three")
    assert (first.start, first.end, second.end) == (0.0, pytest.approx(1.0), 4.0)
    assert second.start == first.end


def test_the_content_counts_not_the_name(tmp_path):
    assert times(read_transcript(write(tmp_path, "srt.txt", SRT)))[0][:2] == (1.0, 2.5)
    assert times(read_transcript(write(tmp_path, "vtt.srt", VTT)))[0][:2] == (1.0, 2.5)
    data = json.dumps([{"start": 1, "end": 2, "text": "hi"}])
    assert times(read_transcript(write(tmp_path, "json.txt", data))) == [(1.0, 2.0, "hi")]
    plain = read_transcript(write(tmp_path, "plain.txt", "No name: it goes\n1 --> 2, {or} so.\n"))
    assert (plain.text, plain.timed) == ("No name: it goes 1 --> 2, {or} so.", False)


def test_whisper_prints_times_in_brackets(tmp_path):
    text = "[00:00.000 --> 00:02.000]  Hello there.\n[00:02.000 --> 01:03:04.500]  Bye.\n"
    assert times(read_transcript(write(tmp_path, "a.txt", text))) == [(0, 2, "Hello there."), (2, 3784.5, "Bye.")]


# --- JSON


def test_whisper_json_by_word(tmp_path):
    words = [{"word": " I", "start": 0.0, "end": 0.2}, {"word": " know,", "start": 1.0, "end": 1.2}]
    words.append({"word": " right?", "start": 1.8, "end": 2.0})
    data = {
        "text": " I know, right?",
        "language": "en",
        "segments": [{"start": 0, "end": 2, "text": " I know, right?"}],
    }
    assert times(read_transcript(write(tmp_path, "a.json", json.dumps(data)))) == [(0.0, 2.0, "I know, right?")]
    data["segments"][0]["words"] = words
    found = read_transcript(write(tmp_path, "b.json", json.dumps(data)))
    assert times(found) == [(0.0, 0.2, "I"), (1.0, 1.2, "know,"), (1.8, 2.0, "right?")]
    assert found.text == "I know, right?"
    assert found.between(0.5, 9.0) == "know, right?"


def test_chinese_words_are_joined(tmp_path):
    words = [{"word": w, "start": i, "end": i + 1} for i, w in enumerate(["我", "知道", "了", "。"])]
    whisperx = {"segments": [{"start": 0, "end": 4, "text": "我知道了。", "words": words, "speaker": "SPEAKER_01"}]}
    found = read_transcript(write(tmp_path, "a.json", json.dumps(whisperx)))
    assert (found.text, len(found.cues), found.cues[2].speaker) == ("我知道了。", 4, "SPEAKER_01")
    assert found.between(0.0, 2.0) == "我知道"
    assert read_transcript(write(tmp_path, "b.json", json.dumps({"word_segments": words}))).text == "我知道了。"


def test_a_word_without_time_stays_with_the_one_before(tmp_path):
    words = [{"word": "in", "start": 0, "end": 1}, {"word": "2024"}, {"word": "she", "start": 3, "end": 4}]
    data = {"segments": [{"start": 0, "end": 4, "text": "in 2024 she", "words": words}]}
    assert times(read_transcript(write(tmp_path, "a.json", json.dumps(data)))) == [(0, 1, "in 2024"), (3, 4, "she")]


@pytest.mark.parametrize(
    "data",
    [
        {"chunks": [{"timestamp": [0.0, 2.0], "text": " Hello."}, {"timestamp": [3.0, None], "text": " Bye."}]},
        {"transcription": [{"offsets": {"from": 0, "to": 2000}, "text": " Hello."},
                           {"offsets": {"from": 3000, "to": 3000}, "text": " Bye."}]},
        [{"start": "0", "end": "2", "text": "Hello."}, {"start": 3, "text": "Bye."}],
    ],
)  # fmt: skip
def test_other_json(tmp_path, data):
    found = read_transcript(write(tmp_path, "a.json", json.dumps(data)))
    assert times(found) == [(0.0, 2.0, "Hello."), (3.0, 3.0, "Bye.")]


def test_json_without_times_or_words(tmp_path):
    assert read_transcript(write(tmp_path, "a.json", '{"text": "Oh no."}')).timed is False
    assert read_transcript(write(tmp_path, "b.json", '{"text": "", "segments": []}')).cues == ()
    with pytest.raises(MediaError, match=r"c\.json.*no transcript"):
        read_transcript(write(tmp_path, "c.json", '{"boxes": [1, 2]}'))
    with pytest.raises(MediaError, match=r"d\.json: is not valid JSON"):
        read_transcript(write(tmp_path, "d.json", '{"text": "Oh'))
    entries = [{"start": math.nan, "end": 1, "text": "a"}, {"start": 1, "end": 2, "text": "b"}, {"start": 1}, "x"]
    found = read_transcript(write(tmp_path, "e.json", json.dumps(entries)))
    assert times(found) == [(1.0, 2.0, "b")]
    assert found.notes == ("3 entries without times or text were left out, the first is no. 0",)


# --- damage


def test_broken_cues_are_mended_and_counted(tmp_path):
    text = """00:00:05,000 --> 00:00:04,000
turned

2
-00:00:01,000 --> 00:00:01,000
below

3
00:00:09,000 --> 00:00:09,900
late
4
00:00:02.5 -> 0:3,000
early

and more

5
00:00:0x --> 00:00:07,000
lost
"""
    found = read_transcript(write(tmp_path, "a.srt", text))
    assert times(found) == [(0, 1, "below"), (2.5, 3, "early and more"), (4, 5, "turned"), (9, 9.9, "late")]
    assert found.notes == (
        "1 cue(s) whose times cannot be read were left out, the first in line 18",
        "1 line(s) after an empty line were taken as part of the cue before it",
        "1 cue(s) ended before they began and were turned round",
        "1 cue(s) began below zero and now begin at it",
        "2 cue(s) were out of order and were sorted",
    )


def test_an_end_that_is_missing_is_the_next_start(tmp_path):
    text = (
        "1\n00:00:01,000 -->\none\n\n2\n00:00:03,000 --> 00:00:09,000\ntwo\n\n3\n00:00:03,500 --> 00:00:05,000\n3rd\n"
    )
    found = read_transcript(write(tmp_path, "a.srt", text))
    assert times(found) == [(1, 3, "one"), (3, 9, "two"), (3.5, 5, "3rd")]
    assert found.notes == ("1 cue(s) overlap the one before and were left so",)
    assert found.between(3.0, 9.0) == "two 3rd"


def test_a_cue_given_twice_is_taken_once(tmp_path):
    found = read_transcript(write(tmp_path, "a.srt", SRT + "\n" + SRT))
    assert len(found.cues) == 2
    assert found.notes[-1] == "2 cue(s) stood there twice and were taken once"


def test_nothing_readable_names_the_line(tmp_path):
    with pytest.raises(MediaError, match=r"a\.srt.*line 2 are '00:0x --> oops'"):
        read_transcript(write(tmp_path, "a.srt", "1\n00:0x --> oops\nHello\n"))
    with pytest.raises(MediaError, match="no caption can be read"):
        read_transcript(write(tmp_path, "b.srt", "Hello\n"))
    assert read_transcript(write(tmp_path, "d.vtt", "WEBVTT\n")).cues == ()
    only_music = read_transcript(write(tmp_path, "c.srt", "1\n00:00:01,000 --> 00:00:02,000\n[music]\n"))
    assert only_music.cues == ()
    assert "1 description(s) of sounds" in only_music.notes[0]


def test_text_that_looks_like_times_and_names(tmp_path):
    text = "Subtitles by X\n\n1\n00:00:01,000 --> 00:00:02,000\nfrom 1 -> 2\n\nNOTEBOOK\n\n2\n00:03 --> 00:04\n2011\n"
    found = read_transcript(write(tmp_path, "a.srt", text))
    assert times(found) == [(1, 2, "from 1 -> 2 NOTEBOOK"), (3, 4, "2011")]
    assert found.notes[0] == "1 line(s) before the first cue were left out"


def test_rolling_captions_are_shown_once(tmp_path):
    lines = ["WEBVTT", "Kind: captions", ""]
    lines += ["00:00:00.000 --> 00:00:02.000", " ", "we<00:00:00.500><c> go</c>", ""]
    lines += ["00:00:02.000 --> 00:00:02.010", "we go", " ", ""]
    lines += ["00:00:02.010 --> 00:00:04.000", "we go", "far<00:00:03.000><c> away</c>", ""]
    found = read_transcript(write(tmp_path, "a.en.vtt", "\n".join(lines)))
    assert (found.text, found.notes) == ("we go far away", ())


def test_sounds_are_no_words(tmp_path):
    text = "1\n00:00:01,000 --> 00:00:02,000\n♪ la la\nla ♪\n- No! [door] (sighs)\n- (I know.) Yes (I think).\n（笑）\n"
    found = read_transcript(write(tmp_path, "a.srt", text))
    assert found.text == "No! (I know.) Yes (I think)."
    assert found.notes == ("4 description(s) of sounds such as [music] or (laughs) were left out",)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.ass", "[Script Info]\nTitle: x\n", "is ASS, which is not read; convert it to SRT"),
        ("a.lrc", "[00:12.00]la\n", "is LRC"),
        ("a.xml", '<?xml version="1.0"?><tt></tt>', "is TTML"),
        ("a.txt", " \n", "holds no words"),
        ("a.srt", b"", "is empty"),
        ("a.srt", bytes(range(256)) * 4, "is not text|do its bytes make sense"),
        ("a.srt", "x" * (65 * 2**20), "larger than"),
    ],
)
def test_what_is_no_transcript(tmp_path, name, content, reason):
    with pytest.raises(MediaError, match=reason) as caught:
        read_transcript(write(tmp_path, name, content))
    assert name in str(caught.value)


def test_missing_folder_and_url(tmp_path):
    for path, reason in [(tmp_path / "no.srt", "no such file"), (tmp_path, "is a folder"), ("http://x/a.srt", "URL")]:
        with pytest.raises(MediaError, match=reason):
            read_transcript(path)


PIECES = ["00:00:01,000", " --> ", "-->", "\n", "\n\n", "1", "WEBVTT\n", "<v A>", "</v>", "(", "[", "♪", "{\\an8}"]
PIECES += ["&amp;", "好", "\ufeff", "\x00", "NOTE", '{"text":', "<00:01.0>", "-", "9" * 5000 + ":00:00", "\u2028"]


@settings(max_examples=150, deadline=None)
@given(content=st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)))
def test_anything_is_read_or_refused(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.srt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        words = read_transcript(path)
    except MediaError:
        return
    assert all(0 <= c.start <= c.end and c.text == c.text.strip() != "" for c in words.cues)


@pytest.mark.parametrize(
    "unit", [" ", "1", "(", "[", "<v ", "<", "♪", "1:", "-", "“", "1 -", "&", "{", "\n1", "\n", "好("]
)
def test_long_lines_are_read_in_time(tmp_path, unit):
    body = unit * (200_000 // len(unit))
    path = write(tmp_path, "a.srt", f"1\n00:00:01,000 --> 00:00:02,000\nx{body}x\n{body}\n")
    began = time.perf_counter()
    words = read_transcript(path)
    words.between(0.0, 1.5)
    assert time.perf_counter() - began < 5.0


# --- encodings

LINES = {
    "gb18030": "我不知道你在说什么。\n你怎么来了？",
    "big5": "我不知道你在說什麼。\n這個人很好！",
    "shift_jis": "何を言っているのか分からない。\nありがとう",
    "cp949": "무슨 말을 하는지 모르겠어요.\n나도 그래",
    "cp1251": "Я не знаю, что ты говоришь.\nДа, конечно!",
    "cp1252": "I don’t know “what” you mean…\nÇa va, déjà été à Übersee?",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", *LINES])
def test_encodings(tmp_path, encoding):
    text = LINES.get(encoding, "我不知道 what “it” é.\n好")
    body = f"1\r\n00:00:01,000 --> 00:00:02,000\r\n{text}\r\n"
    for name, content in (("a.srt", body), ("a.txt", text)):
        found = read_transcript(write(tmp_path, name, content.encode(encoding)))
        assert found.text == text.replace("\n", " ")
        assert any(f"read as {encoding}" in n for n in found.notes) == (encoding in LINES)


@pytest.mark.parametrize(("line", "encoding"), [("你好", "gb18030"), ("你好嗎", "big5"), ("café", "cp1252")])
def test_short_texts(tmp_path, line, encoding):
    assert read_transcript(write(tmp_path, "a.txt", line.encode(encoding))).text == line


def test_chinese_of_real_people_in_gb18030(tmp_path, real_data):
    import polars

    rows = polars.read_csv(real_data / "emotiontalk" / "emotiontalk.csv")["text"].drop_nulls().to_list()
    texts = [t for t in rows if len(t) >= 4][::40]
    from multiemo.data.transcripts.encoding import _decode

    wrong = [t for t in texts if _decode(t.encode("gb18030"), tmp_path)[0] != t]
    assert len(texts) > 300
    assert len(wrong) <= 0.01 * len(texts), wrong[:5]


def test_damaged_utf8_is_still_utf8(tmp_path):
    content = ("我不知道你在说什么。" * 20).encode()[:-1] + b"\xff ok"
    found = read_transcript(write(tmp_path, "a.txt", content))
    assert found.text.startswith("我不知道你在说什么。")
    assert found.notes == ("3 byte(s) that are not UTF-8 were left out of a.txt",)


# --- spans


def test_between_keeps_words_whole_and_spacing():
    words = Transcript.of([Cue(0, 10, "我的iPhone呢？ Well,  I lost it")], "t")
    assert words.between(0, 100) == "我的iPhone呢？ Well,  I lost it"
    assert words.between(0, 2.0) == "我的iPhone"
    assert words.between(2.0, 5.5) == "呢？ Well,"
    assert words.between(11, 12) is None
    assert Transcript.of([Cue(1, 1, "now")], "t").between(1, 2) == "now"


def test_untimed_words_must_be_spread():
    words = Transcript.untimed("  one two three four \n", "--text")
    assert (words.timed, words.text, words.language) == (False, "one two three four", None)
    with pytest.raises(ValueError, match="spread"):
        words.between(0, 1)
    spread = words.spread([(0.0, 8.0)])
    assert (spread.between(0, 4), spread.between(4, 8)) == ("one two", "three four")
    assert "have no times" in spread.notes[0]
    assert spread.spread([(0.0, 3.0)]) is spread
    assert Transcript.untimed(" ", "t").spread([(0.0, 3.0)]).between(0, 3) is None


LETTERS = st.text(alphabet="ab, .!é我你好。，“”(ア한", min_size=1, max_size=30).map(lambda t: " ".join(t.split()))
CUES = st.lists(
    st.tuples(st.floats(0, 20), st.floats(0, 5), LETTERS.filter(bool)).map(lambda c: Cue(c[0], c[0] + c[1], c[2])),
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(cues=CUES, cuts=st.lists(st.floats(0, 26), max_size=8))
def test_spans_that_tile_the_time_give_every_word_once(cues, cuts):
    words = Transcript.of(cues, "t")
    edges = [0.0, *sorted(cuts), math.inf]
    parts = [words.between(a, b) for a, b in itertools.pairwise(edges)]
    letters = sorted("".join(p for p in parts if p).replace(" ", ""))
    assert letters == sorted("".join(c.text for c in cues).replace(" ", ""))
    tokens = {w for c in cues for w in re.findall("[a-bé]+", c.text)}
    assert {w for p in parts if p for w in re.findall("[a-bé]+", p)} <= tokens, "a Latin word was cut"


# --- language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("I don't know what you mean by that.", "en"),
        ("Ich weiß nicht, was du damit meinst.", "de"),
        ("Je ne sais pas ce que vous voulez dire.", "fr"),
        ("No sé lo que quieres decir con eso.", "es"),
        ("Não sei o que você quer dizer com isso.", "pt"),
        ("Non so cosa vuoi dire con questo.", "it"),
        ("Ik weet niet wat je daarmee bedoelt.", "nl"),
        ("Jag vet inte vad du menar med det.", "sv"),
        ("Nie wiem, co masz przez to na myśli.", "pl"),
        ("Bununla ne demek istediğini bilmiyorum ama bu çok iyi.", "tr"),
        ("Tôi không biết anh muốn nói gì.", "vi"),
        ("Я не знаю, что ты имеешь в виду.", "ru"),
        ("Я не знаю, що ти маєш на увазі.", "uk"),
        ("我不知道你是什么意思，OK？", "zh"),
        ("どういう意味か分かりません", "ja"),
        ("무슨 뜻인지 모르겠어요", "ko"),
        ("أنا لا أعرف ما هذا", "ar"),
        ("Δεν ξέρω τι εννοείς", "el"),
        ("Hmm... Barcelona!", None),
        ("42 :-)", None),
        ("", None),
    ],
)
def test_language_of(text, code):
    assert language_of(text) == code


# --- beside the media


def test_side_file_order(tmp_path):
    media = write(tmp_path, "my clip.v2.mp4", "x")
    assert side_file(media) is None
    for name in ["my clip.v2.txt", "my clip.v2.json", "my clip.v2.zh-CN.srt", "my clip.v2.en.vtt", "my clip.v2.VTT"]:
        content = '{"segments": [{"start": 0, "end": 1, "text": "hi"}]}' if name.endswith("json") else SRT
        path = write(tmp_path, name, content)
        assert side_file(media) == path
    write(tmp_path, "my clip.v2.forced.srt", SRT)
    write(tmp_path, "my clip.srt", SRT)
    assert side_file(media) == path
    assert side_file(tmp_path / "nowhere" / "clip.mp4") is None


def test_json_that_is_something_else_is_left_alone(tmp_path):
    media = write(tmp_path, "clip.mp4", "x")
    write(tmp_path, "clip.json", '{"faces": []}')
    notes: list[str] = []
    assert side_file(media, notes) is None
    assert notes == ["clip.json beside the media is not a transcript and was left alone"]
    text = write(tmp_path, "clip.txt", "Hello.")
    assert side_file(media) == text


def test_the_name_tells_a_language_that_the_words_do_not(tmp_path):
    assert read_transcript(write(tmp_path, "a.fra.srt", "00:01 --> 00:02\nBarcelona\n")).language == "fr"
    assert read_transcript(write(tmp_path, "b.fr.srt", SRT)).language == "en"


# --- inside the media

STYLES = b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nFormat: Name, Fontname, Fontsize\r\nStyle: Default,Arial,16\r\n\r\n[Events]\r\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"  # noqa: E501


def film(path: Path, *tracks: tuple[str, str, str, list[tuple[float, float, str]]]) -> Path:
    """Five seconds of grey with subtitle tracks of (codec, language, disposition, captions)."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        streams = []
        for codec, language, disposition, _ in tracks:
            stream = container.add_stream(codec)
            stream.metadata["language"] = language
            stream.codec_context.subtitle_header = STYLES
            stream.disposition = getattr(av.stream.Disposition, disposition) if disposition else 0
            streams.append(stream)
        container.start_encoding()
        for stream, (_, _, _, captions) in zip(streams, tracks, strict=True):
            for start, end, text in captions:
                ticks = 1 / stream.time_base
                event = f"0,0,Default,,0,0,0,,{text}".encode()
                made = SubtitleSet.create(text=event, start=0, end=int((end - start) * ticks), pts=int(start * ticks))
                packet = stream.codec_context.encode_subtitle(made)
                packet.stream, packet.time_base = stream, stream.time_base
                container.mux(packet)
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8), "rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


SAID = [(1.0, 2.5, "I can't <b>believe</b> it!"), (3.0, 4.0, "{\\an8}Tom & I\\Nleft. [door]")]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mov_text"), ("a.mkv", "subrip"), ("b.mkv", "ass"), ("c.mkv", "webvtt")]
)
def test_embedded_subtitles(tmp_path, name, codec):
    found = embedded_subtitles(film(tmp_path / name, (codec, "eng", "default", SAID)))
    assert found is not None
    assert times(found) == [(1.0, 2.5, "I can't believe it!"), (3.0, 4.0, "Tom & I left.")]
    assert (found.language, found.timed) == ("en", True)
    assert found.source.startswith("subtitle track")
    assert found.notes == ("1 description(s) of sounds such as [music] or (laughs) were left out",)


def test_the_default_track_is_read_and_forced_ones_last(tmp_path):
    captions = {word: [(0.0, 1.0, word)] for word in ("uno", "zwei", "three")}
    forced = ("subrip", "spa", "forced", captions["uno"])
    plain = ("subrip", "ger", "", captions["zwei"])
    default = ("subrip", "eng", "default", captions["three"])
    for number, (tracks, wanted) in enumerate([((forced, plain, default), "three"), ((forced, plain), "zwei")]):
        found = embedded_subtitles(film(tmp_path / f"{number}.mkv", *tracks))
        assert found is not None
        assert found.text == wanted
    assert found.language == "de"  # one word does not tell, so the track does


def test_a_track_whose_language_is_not_utf_8(tmp_path):
    path = film(tmp_path / "a.mkv", ("subrip", "ger", "", SAID))
    path.write_bytes(path.read_bytes().replace(b"ger", b"g\xe9r"))
    found = embedded_subtitles(path)
    assert found is not None
    assert found.source.endswith(", g\ufffdr)")


def test_no_subtitles_and_what_is_not_text(tmp_path):
    notes: list[str] = []
    assert embedded_subtitles(film(tmp_path / "a.mp4"), notes) is None
    assert notes == []
    assert embedded_subtitles(film(tmp_path / "b.mkv", ("subrip", "eng", "", [(0, 1, "[music]")])), notes) is None
    assert notes == ["the subtitle track holds no words"]
    drawing = film(tmp_path / "d.mkv", ("ass", "eng", "", [(0, 1, "{\\an7\\p1}m 0 0 l 9 9"), (1, 2, "Hi.")]))
    assert times(embedded_subtitles(drawing)) == [(1.0, 2.0, "Hi.")]
    with pytest.raises(MediaError, match="not a media file"):
        embedded_subtitles(write(tmp_path, "c.mp4", "words"))


def test_subtitles_that_are_pictures(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("dvdsub")
        container.start_encoding()
        packet = av.Packet(b"\x00\x10" + bytes(14))
        packet.stream, packet.pts, packet.dts, packet.duration, packet.time_base = stream, 0, 0, 1000, stream.time_base
        container.mux(packet)
    notes: list[str] = []
    assert embedded_subtitles(tmp_path / "a.mkv", notes) is None
    assert notes == ["the subtitles are pictures (dvdsub), not text, so they give no words"]


def test_a_cut_off_file_gives_the_captions_that_are_there(tmp_path):
    whole = film(tmp_path / "a.mkv", ("subrip", "eng", "default", SAID)).read_bytes()
    for share in (0.3, 0.5, 0.7, 0.9):
        cut = write(tmp_path, "cut.mkv", whole[: int(share * len(whole))])
        found = embedded_subtitles(cut)
        assert found is None or found.text in ("I can't believe it!", "I can't believe it! Tom & I left.")
