"""Media of tables, wherever their files lie."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from multiemo.data.manifest.reading import media_path
from multiemo.errors import ManifestError
from tests.support import media_files
from tests.support.tables import made, of, reasons, wav, write


# --- where media lie
def test_media_elsewhere_by_folder_by_pattern_and_by_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wav(tmp_path / "far/clips/dia1_utt2.wav")
    table = write(tmp_path / "t/t.csv", [("d", "u", "abs"), (1, 2, tmp_path / "far/clips/dia1_utt2.wav")])
    for options in (
        {"audio": "dia{d}_utt{u}.wav", "media": str(tmp_path / "far/clips")},
        {"audio": "clips/dia{d}_utt{u}.wav", "media": str(tmp_path / "far")},
        {"audio": "../far/clips/dia{d}_utt{u}.wav"},
        {"audio": "abs"},
        {"audio": "far/clips/dia{d}_utt{u}.wav"},
        {"audio": "abs", "text": "d"},
    ):
        (clip,) = made(table, **options).clips
        assert media_path(str(clip.audio), tmp_path / "out").is_file()
    assert (tmp_path / "out" / str(clip.audio)).resolve() == (tmp_path / "far/clips/dia1_utt2.wav").resolve()


def test_files_of_several_folders_beside_those_of_the_table(tmp_path: Path) -> None:
    names = [wav(tmp_path / "t/a.wav").name, wav(tmp_path / "x/b.wav"), wav(tmp_path / "out/c.wav")]
    table = write(tmp_path / "t/t.csv", [("f",), *[(name,) for name in names]])
    clips = made(table, audio="f").clips
    assert [clip.audio for clip in clips] == ["m.media/a.wav", "m.media-2/b.wav", "c.wav"]
    assert all(media_path(str(clip.audio), tmp_path / "out").is_file() for clip in clips)


@pytest.mark.parametrize(
    "path",
    [
        "C:\\Users\\me\\My Clips\\spk 1\\a é.wav",
        "D:/data/spk 1/a é.wav",
        "spk 1\\a é.wav",
        "\\\\server\\share\\spk 1\\a é.wav",
        "/home/other/corpus/spk 1/a é.wav",
        "file:///home/other/spk%201/a%20%C3%A9.wav",
        "file:///C:/data/spk%201/a%20%C3%A9.wav",
        "SPK 1/A É.WAV",
        '"spk 1/a é.wav"',
        unicodedata.normalize("NFD", "spk 1/a é.wav"),
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_paths_of_other_machines(tmp_path: Path, path: str, form: str) -> None:
    file = wav(tmp_path / "clips" / unicodedata.normalize(form, "spk 1/a é.wav"))
    table = write(tmp_path / "t/t.csv", [("f",), (path,)])
    prepared = made(table, audio="f", media=str(tmp_path / "clips"))
    assert [media_path(str(clip.audio), tmp_path / "out").resolve() for clip in prepared.clips] == [file.resolve()]
    if "other" in path or ":" in path[:2]:
        assert any("were found in another folder" in note for note in prepared.notes)


def test_a_home_folder_and_a_url_of_a_file_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = wav(tmp_path / "a b.wav")
    table = write(tmp_path / "t/t.csv", [("f",), ("~/a b.wav",), (file.as_uri(),)])
    clips = made(table, audio="f").clips
    assert [media_path(str(clip.audio), tmp_path / "out").resolve() for clip in clips] == [file.resolve()] * 2


def test_files_that_are_missing_are_named_and_rows_keep_what_they_have(tmp_path: Path) -> None:
    wav(tmp_path / "t/a.wav")
    rows = [("f", "said"), ("a.wav", "hi"), ("b.wav", "oh"), ("c.wav", ""), ("https://x.org/d.wav", "")]
    prepared = made(write(tmp_path / "t/t.csv", rows), audio="f", text="said")
    assert [(clip.audio, clip.text) for clip in prepared.clips] == [("m.media/a.wav", "hi"), (None, "oh")]
    assert "audio 'c.wav' no such file in" in reasons(prepared)[0]
    assert "is a URL; only files on this machine are read" in reasons(prepared)[1]
    assert any(
        "3 file(s) of audio were not found, the first in t.csv row 2: audio 'b.wav'" in n for n in prepared.notes
    )


def test_when_no_file_is_found_it_is_said_where_they_are(tmp_path: Path) -> None:
    wav(tmp_path / "t/wavs/a.wav")
    table = write(tmp_path / "t/t.csv", [("f", "said"), ("a", "hi"), ("b", "oh")])
    with pytest.raises(
        ManifestError, match=r"none of the 2 files of audio was found; .* suffix, like audio=\{f\}\.wav"
    ):
        made(table, audio="f", text="said")
    with pytest.raises(ManifestError, match=rf"set media={tmp_path}/t/wavs"):
        made(table, audio="{f}.wav", text="said")
    assert of(table, "audio", audio="{f}.wav", text="said", media="wavs") == ["m.media/wavs/a.wav", None]
    with pytest.raises(ManifestError, match="media=nowhere: this folder exists neither here nor in"):
        made(table, audio="f", media="nowhere")
    wav(tmp_path / "t/wavs/x/s.wav")
    two = write(tmp_path / "t/two.csv", [("f",), ("C:\\spk1\\s.wav",), ("C:\\spk2\\s.wav",)])
    prepared = made(two, audio="f", media=str(tmp_path / "t/wavs/x"))
    assert len(prepared.clips) == 1
    assert "which has the same name, was already found for 'C:\\\\spk1\\\\s.wav'" in reasons(prepared)[0]


def test_what_a_file_holds_says_its_kind(tmp_path: Path) -> None:
    from PIL import Image

    film = media_files.write(tmp_path / "film.mp4", stamps=media_files.grid(5))
    wav(tmp_path / "t/a.wav")
    Image.new("RGB", (64, 64)).save(tmp_path / "t/p.png")
    (tmp_path / "t/no.wav").write_text("no sound")
    table = write(tmp_path / "t/t.csv", [("f",), ("a.wav",), (film,), ("p.png",), ("no.wav",)])
    prepared = made(table, file="f")
    assert [[k for k in ("audio", "video", "image") if getattr(c, k)] for c in prepared.clips] == [
        ["audio"],
        ["video"],
        ["image"],
    ]
    assert "no.wav" in reasons(prepared)[0]
