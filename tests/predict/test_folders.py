"""Folders: what in them is media, and what is said of the rest."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from multiemo.errors import MediaError
from multiemo.predict import LeftOut, expand
from tests.support.media_files import grid, tone, write
from tests.support.media_kinds import sound


def test_a_folder(tmp_path):
    box = tmp_path / "box"
    for name in ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", ".hidden", "sub/.Trash-1000"):
        (box / name).mkdir(parents=True)
        sound(box / name / "a.wav")
    media = [sound(box / "b.wav"), sound(box / "sub" / "talk.wav")]
    media.append(Path(shutil.move(sound(box / "c.mp3", audio_codec="mp3"), box / "voice memo")))
    for name in ("._b.wav", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (box / name).write_bytes(b"\x00\x01")
    (box / "notes.md").write_text("read me")
    (box / "rows.jsonl").write_text("{}")
    (box / "sub" / "talk.en.srt").write_text("1\n")
    (box / "sub" / "other.srt").write_text("1\n")
    (box / "dead.mp4").symlink_to("nowhere")
    (box / "link").symlink_to(tmp_path, target_is_directory=True)
    server = socket.socket(socket.AF_UNIX)
    try:
        here = os.getcwd()
        os.chdir(box)  # the path of a socket must be short
        server.bind("s.mp4")
    finally:
        os.chdir(here)
        server.close()
    left: list[LeftOut] = []
    items = expand([box], left_out=left)
    assert [item.path for item in items] == sorted(media)
    said = {str(Path(one.path).relative_to(box)): one.reason for one in left}
    assert said == {
        "notes.md": "is text",
        "rows.jsonl": "is a manifest or a table; name it as an input",
        "sub/other.srt": "is text",
        "dead.mp4": "is a link to a file that is not there",
        "link": "is a link to a folder; name it as an input",
        "s.mp4": "is a device or a pipe",
        "$RECYCLE.BIN": "is hidden or a system file; so are 9 more files and folders",
    }


def test_a_folder_without_media_says_what_it_holds(tmp_path):
    (tmp_path / "a.txt").write_text("Hello.")
    with pytest.raises(MediaError, match=r"no media file in this folder; 1 left out, the first: .*a.txt: is text"):
        expand([tmp_path])
    sound(tmp_path / "b.wav")
    (tmp_path / "empty").mkdir()
    assert [item.refused is None for item in expand([tmp_path / "empty", tmp_path / "b.wav"])] == [False, True]


def test_an_unreadable_folder_is_listed(tmp_path, monkeypatch):
    sound(tmp_path / "b.wav")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def locked(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    left: list[LeftOut] = []
    assert len(expand([tmp_path], left_out=left)) == 1
    assert [one.reason for one in left] == ["is a folder that cannot be opened (Permission denied)"]


def test_a_folder_of_a_model(cli, tiny_run, tmp_path):
    """What is left out stands in the JSON, on standard error, and beside a bulk prediction."""
    shutil.move(write(tmp_path / "a.mp4", stamps=grid(5), audio=tone(0.5)), tmp_path / "film.dav")
    (tmp_path / "a.txt").write_text("Hello.")
    code, out, err = cli("predict", tiny_run, tmp_path, "--json", "-")
    assert code == 0
    assert [Path(entry["input"]).name for entry in json.loads(out)["inputs"]] == ["film.dav"]
    assert json.loads(out)["left_out"] == [{"path": str(tmp_path / "a.txt"), "reason": "is text"}]
    assert f"left out {tmp_path / 'a.txt'}: is text" in err
