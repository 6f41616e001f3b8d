"""The transcript beside a media file: which is selected, and the notes on the others."""

from __future__ import annotations

from tests.support.captions import SRT, beside, write


def test_the_order_of_what_lies_beside(tmp_path):
    """In ascending order of preference."""
    media = write(tmp_path, "my clip.v2.mp4", "x")
    assert beside(media) is None
    names = ["my clip.v2.English.forced.srt", "my clip.v2.txt", "my clip.v2.json", "my clip.v2.zh-CN.sdh.srt"]
    names += ["my clip.v2.zh-CN.srt", "my clip.v2.en.vtt", "My Clip.v2.VTT", "my clip.v2.mp4.srt"]
    for name in names:
        content = '{"segments": [{"start": 0, "end": 1, "text": "hi"}]}' if name.endswith("json") else SRT
        write(tmp_path, name, content)
        assert beside(media) == name
    write(tmp_path, "my clip.srt", SRT)
    write(tmp_path, "my clip.v2.part2.srt", SRT)
    assert beside(media) == name
    assert beside(tmp_path / "nowhere" / "clip.mp4") is None


def test_what_is_chosen_and_what_is_not_is_said(tmp_path):
    media = write(tmp_path, "film.mp4", "x")
    write(tmp_path, "film.directors cut.srt", SRT)
    notes: list[str] = []
    assert beside(media, notes) is None
    assert notes == [
        "film.directors cut.srt lies beside the media and was not read; if it is the transcript, pass it with "
        "--transcript FILE"
    ]
    write(tmp_path, "film.en.forced.srt", SRT)
    assert beside(media, notes := []) == "film.en.forced.srt"
    assert notes == ["by its name, film.en.forced.srt has only part of the words, or other words"]
    for name in ("film.de.srt", "film.en.srt", "film.de.json"):
        write(tmp_path, name, SRT)
    assert beside(media, notes := []) == "film.de.srt"
    assert notes == ["film.de.srt was read, not film.en.srt, film.en.forced.srt; --transcript FILE chooses another"]


def test_a_transcript_belongs_to_the_file_with_the_longest_name(tmp_path):
    for name in ("a.mp4", "a.en.mp4", "a.wav"):
        write(tmp_path, name, "x")
    write(tmp_path, "a.en.srt", SRT)
    write(tmp_path, "a.wav.srt", SRT)
    assert [beside(tmp_path / name) for name in ("a.mp4", "a.en.mp4", "a.wav")] == [None, "a.en.srt", "a.wav.srt"]


def test_one_that_cannot_be_read_does_not_hide_the_next(tmp_path):
    media = write(tmp_path, "clip.mp4", "x")
    write(tmp_path, "clip.srt", "no times here\n")
    write(tmp_path, "clip.csv", "frame,face\n1,2\n")
    write(tmp_path, "clip.sub", bytes(range(256)) * 9)
    write(tmp_path, "clip.tsv", "start\tend\ttext\n0.5\t1.5\tHello.\n")
    notes: list[str] = []
    assert beside(media, notes) == "clip.tsv"
    assert [note.split(":")[0] for note in notes] == ["the transcript beside it was ignored"] * 2
    assert [name in note for name, note in zip(["clip.srt", "clip.sub"], notes, strict=True)] == [True, True]
    (tmp_path / "clip.tsv").unlink()
    assert beside(media, notes := []) is None
    assert "clip.csv: is a table without the columns start, end and text" in notes[-1]


def test_what_only_has_letters_is_no_language(tmp_path):
    media = write(tmp_path, "c.mp3", "x")
    for tag in ("old", "bak", "xx", "new", "en.old"):
        path = write(tmp_path, f"c.{tag}.srt", SRT)
        assert beside(media, notes := []) is None
        assert notes[0].startswith(f"c.{tag}.srt lies beside the media and was not read")
        path.unlink()


def test_json_that_is_something_else_is_left_alone(tmp_path):
    media = write(tmp_path, "clip.mp4", "x")
    write(tmp_path, "clip.json", '{"faces": []}')
    notes: list[str] = []
    assert beside(media, notes) is None
    assert notes == ["clip.json beside the media is not a transcript and was ignored"]
    write(tmp_path, "clip.xml", "just words")
    assert beside(media, notes) is None
    assert notes[-1] == "clip.xml beside the media is not a transcript and was ignored"
    write(tmp_path, "clip.txt", "Hello.")
    assert beside(media) == "clip.txt"
