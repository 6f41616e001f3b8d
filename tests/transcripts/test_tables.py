"""Tables of words: which columns are read, and what is no transcript."""

from __future__ import annotations

import csv
import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multiemo.errors import MediaError
from multiemo.transcripts import read_transcript
from tests.support.captions import beside, times, write

ROWS = [(0.0, 1.0, "I am so happy"), (1.0, 2.5, "today")]


@pytest.mark.parametrize(
    "content",
    [
        "start,end,text,confidence\n0.0,1.0,I am so happy,0.9\n1.0,2.5,today,0.8\n",
        "id,start,end,text\n1,0.0,1.0,I am so happy\n2,1.0,2.5,today\n",
        "Text;End;Start\nI am so happy;1,0;0,0\ntoday;2,5;1,0\n",
        "start\tend\ttext\n00:00:00.000\t00:00:01.000\tI am so happy\n0:01\t00:02.500\ttoday\n",
        'start;end;text\n"00:00:00,000";"00:00:01,000";I am so happy\n\n00:00:01,000;00:00:02,500;today\n',
        "\tstart\tend\ttext\n0\t0.0\t1.0\tI am so happy\n1\t1.0\t2.5\ttoday\n",
        "start, end, text\n0.0, 1.0, I am so happy\n1.0, 2.5, today\n",
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
def test_columns_are_found_by_their_names(tmp_path, name, content):
    found = read_transcript(write(tmp_path, name, content))
    assert (times(found), found.notes) == (ROWS, ())


@given(
    columns=st.permutations(["start", "end", "text", "speaker", "id"]),
    delimiter=st.sampled_from(",;\t"),
    texts=st.lists(st.text("ab ,;\"'（\n", min_size=1, max_size=12).map(lambda text: f"w{text}w"), max_size=4),
)
def test_any_order_of_columns(tmp_path_factory, columns, delimiter, texts):
    texts = ["first", *(text.replace("\n", " ") if delimiter == "\t" else text for text in texts)]
    out = io.StringIO()
    table = csv.DictWriter(out, columns, delimiter=delimiter)
    table.writeheader()
    for number, text in enumerate(texts):
        times = {"start": float(number), "end": number + 0.5}
        table.writerow({**times, "text": text, "speaker": f"S{number % 2}", "id": number})
    path = write(tmp_path_factory.getbasetemp(), "any.csv", out.getvalue())
    cues = read_transcript(path).cues
    assert [" ".join(cue.text.split()) for cue in cues] == [" ".join(text.split()) for text in texts]
    assert [(cue.start, cue.speaker) for cue in cues] == [(n, f"S{n % 2}") for n in range(len(texts))]


def test_a_quote_in_a_table_of_tabs_is_a_quote(tmp_path):
    content = 'start\tend\ttext\n0\t1\t"Stop, I said\n1\t2\thappy" today\n2\t3\t"Go," he said, "now"\n'
    found = read_transcript(write(tmp_path, "a.tsv", content + '3\t4\t"All ""of"" it"\n4\t5\t"quoted"\n'))
    said = ['"Stop, I said', 'happy" today', '"Go," he said, "now"', 'All "of" it', "quoted"]
    assert times(found) == [(n, n + 1, text) for n, text in enumerate(said)]


def test_commas_in_the_last_column_need_no_quotes(tmp_path):
    found = read_transcript(write(tmp_path, "a.csv", "start,end,text\n0,1,Well, I left, too\n"))
    assert times(found) == [(0, 1, "Well, I left, too")]


def test_a_quote_that_is_not_closed_is_said(tmp_path):
    found = read_transcript(write(tmp_path, "a.csv", 'start,end,text\n0,1,one\n1,2,"' + 90_000 * "2,3,x\n"))
    assert times(found) == [(0, 1, "one")]
    assert found.notes == ("the table is damaged after row 1, and the rest was left out",)


def test_rows_without_times_are_counted(tmp_path):
    found = read_transcript(write(tmp_path, "a.csv", "id,start,end,text\n1,0,1,one\n2,soon,2,two\n3\n"))
    assert (times(found), found.notes) == ([(0, 1, "one")], ("2 row(s) whose times cannot be read were left out",))


STRANGE = {
    "a.csv": "frame,face\n1,2\n",
    "b.tsv": "begin\tend\twords\n0\t1\thello\n",
    "c.csv": "start,end,text\nsoon,later,hello\n",
    "d.csv": "Hello there.\n",
    "e.txt": "speaker,begin,end,text\nAnna,0.0,1.0,hello\nBo,00:00:01,00:00:02,bye\n",
    "f.txt": "0.0\t1.0\thello\n1.0\t2.0\tbye\n",
}


@pytest.mark.parametrize(("name", "content"), STRANGE.items())
def test_a_table_that_is_not_understood_is_never_read_as_words(tmp_path, name, content):
    path = write(tmp_path, name, content)
    with pytest.raises(MediaError, match="is a table"):
        read_transcript(path)
    media = write(tmp_path, f"{path.stem}.mp4", "x")
    assert beside(media, notes := []) is None
    assert [f"{name}: is a table" in note for note in notes] == [True]


@pytest.mark.parametrize(
    "content", ["Well, yes, I know.\n3, 2, 1, go!\n", "one\n1, 2, 3\n", "Start, end, text.", "a\tb\tc\nd\te\tf\n"]
)
def test_text_with_commas_is_no_table(tmp_path, content):
    found = read_transcript(write(tmp_path, "a.txt", content))
    assert (found.text, found.timed) == (" ".join(content.split()), False)


@pytest.mark.parametrize("unit", ['"', "\t", ",", "1\t", '\n"', "1,2,3\n", "start,end,text,"])
def test_long_tables_are_read_or_refused(tmp_path, unit):
    for name, begin in itertools.product(("a.csv", "a.txt"), ("start\tend\ttext\n0\t1\t", "start,end,text\n0,1,", "")):
        try:
            read_transcript(write(tmp_path, name, begin + unit * (300_000 // len(unit))))
        except MediaError:
            continue
