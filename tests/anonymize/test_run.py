"""One file, several files, and manifests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multiemo.anonymize import run
from multiemo.anonymize.files.anonymizer import Anonymizer
from multiemo.anonymize.folder import FINISHED_FILES, REPORT, UNFINISHED
from multiemo.anonymize.records import AnonymizeReport
from multiemo.anonymize.run import anonymize
from multiemo.anonymize.settings import Settings
from multiemo.data.manifest.checks import check_media, check_rows
from multiemo.data.manifest.reading import read_manifest, write_manifest
from multiemo.errors import ConfigError, MediaError, MultiemoError
from multiemo.transcripts import read_transcript
from multiemo.types import Clip, FeatureRef
from tests.support.media_files import grid, tone, wav, write
from tests.support.sounds import speech

#: Without a face detector, which takes long.
QUICK = Settings(faces="keep")


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A manifest of a film, sounds of two formats, pictures and texts."""
    folder = tmp_path / "corpus"
    wav(folder / "media" / "a.wav", [speech(0.5)])
    wav(folder / "other" / "a.wav", [speech(0.4)])
    write(folder / "media" / "a.mp4", stamps=grid(5), audio=tone(0.2))
    Image.fromarray(np.full((20, 20, 3), 90, np.uint8)).save(folder / "media" / "face.png")
    about = {"corpus": "c", "label_set": "polarity3", "label": "neutral"}
    features = {"face": FeatureRef("au.csv", "1")}
    rows = [
        Clip(id="1", speaker="s1", text="I told Rachel", audio="media/a.wav", start=0.1, end=0.4, **about),
        Clip(id="2", speaker="s2", audio="other/../other/a.wav", features=features, **about),
        Clip(id="3", speaker="s1", group="g", audio="media/a.mp4", video="media/a.mp4", split="train", **about),
        Clip(id="4", speaker="s3", image="media/face.png", cropped=True, **about),
        Clip(id="5", speaker="s3", features=features, **about),
        Clip(id="6", speaker="s3", text="call 555 123 4567", attributes={"sex": "female"}, **about),
    ]
    write_manifest(rows, folder / "m.jsonl")
    return folder / "m.jsonl"


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_manifest_becomes_a_folder_with_media_and_a_manifest(media: Path, tmp_path: Path, conforms) -> None:
    out = tmp_path / "out"
    report = anonymize([media], out, Settings(faces="box", detector="haar"))
    assert names(out) == [
        REPORT, "m.jsonl", "media/a.mp4", "media/a.wav", "media/face.png", "other/a.wav"
    ]  # fmt: skip
    assert check_rows(out / "m.jsonl") == []
    assert check_media(out / "m.jsonl") == []
    old, new = read_manifest(media), read_manifest(out / "m.jsonl")
    old = [clip for clip in old if clip.id != "5"]
    for key in ("id", "speaker", "group", "start", "end", "label", "split", "cropped", "attributes", "language"):
        assert [getattr(clip, key) for clip in new] == [getattr(clip, key) for clip in old]
    assert [clip.text for clip in new if clip.text] == ["I told [NAME]", "call [PHONE]"]
    assert not any(clip.features for clip in new)
    assert not np.asarray(Image.open(out / "media" / "face.png")).any()
    assert (report.rows, report.masked, report.left_out) == (5, {"NAME": 1, "PHONE": 1}, ["5"])
    assert "2 rows had precomputed features" in report.notes[0]
    conforms(out / REPORT, AnonymizeReport)
    assert AnonymizeReport.read(out / REPORT) == report
    assert json.loads(json.dumps(report))["files"][2]["faces"]["frames"] == 5


def test_nothing_is_written_beside_out_and_the_originals_stay(media: Path, tmp_path: Path) -> None:
    before = {name: (media.parent / name).read_bytes() for name in names(media.parent)}
    anonymize([media], tmp_path / "new" / "out", QUICK)
    assert {name: (media.parent / name).read_bytes() for name in names(media.parent)} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corpus", "new"]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["out"]


@pytest.mark.fault("kill -9 during `anonymize`", "finished files are kept; the rerun writes the others")
def test_an_interrupted_run_is_continued(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, written = tmp_path / "out", []
    work = Anonymizer.write

    def interrupted(self: Anonymizer, source: Path, *args: object, **kwargs: object) -> object:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(source.name)
        return work(self, source, *args, **kwargs)

    monkeypatch.setattr(Anonymizer, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        anonymize([media], out, QUICK)
    assert names(out) == [FINISHED_FILES, "media/a.wav", "other/a.wav", UNFINISHED]
    stamp = (out / "media" / "a.wav").stat().st_mtime_ns

    with pytest.raises(ConfigError, match="unfinished folder of other files or settings"):
        anonymize([media], out, Settings(faces="keep", mcadams=0.7))

    monkeypatch.setattr(Anonymizer, "write", work)
    with (out / FINISHED_FILES).open("a", encoding="utf-8") as log:
        log.write('{"source": "cut off')
    report = anonymize([media], out, QUICK)
    assert len(report.files) == 4
    assert (out / "media" / "a.wav").stat().st_mtime_ns == stamp
    assert names(out)[:2] == [REPORT, "m.jsonl"]
    assert UNFINISHED not in names(out)
    with pytest.raises(ConfigError, match="already exists"):
        anonymize([media], out, QUICK)


def test_a_file_that_vanished_is_written_again(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(run, "write_manifest", _fail)
    with pytest.raises(OSError, match="full"):
        anonymize([media], out, QUICK)
    (out / "media" / "a.wav").unlink()
    monkeypatch.undo()
    anonymize([media], out, QUICK)
    assert check_media(out / "m.jsonl") == []


def _fail(*_: object) -> None:
    raise OSError("full")


def test_one_file(tmp_path: Path) -> None:
    source = wav(tmp_path / "talk.wav", [speech(0.5)])
    (tmp_path / "talk.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nI am Rachel Green\n", "utf-8")
    report = anonymize([source], tmp_path / "new.flac", QUICK)
    assert names(tmp_path) == ["new.flac", "talk.srt", "talk.wav"]
    assert report.notes == ["talk.srt beside it was not written; name a folder as --out to include it"]
    assert (report.files[0].kind, report.files[0].seconds) == ("sound", 0.5)
    with pytest.raises(ConfigError, match=r"new\.flac already exists"):
        anonymize([source], tmp_path / "new.flac", QUICK)
    with pytest.raises(ConfigError, match=r"talk\.wav is a sound, which is written as \.flac, \.wav"):
        anonymize([source], tmp_path / "new.mp4", QUICK)


def test_several_files_and_the_transcripts_beside_them(tmp_path: Path) -> None:
    talk = wav(tmp_path / "talk.wav", [speech(0.5)])
    (tmp_path / "talk.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nI saw Rachel Green\n", "utf-8")
    (tmp_path / "notes.txt").write_text("Please call 555 123 4567 today.\n", "utf-8")
    report = anonymize([talk, tmp_path / "notes.txt"], tmp_path / "out", QUICK)
    assert names(tmp_path / "out") == [REPORT, "notes.txt", "talk.json", "talk.wav"]
    made = read_transcript(tmp_path / "out" / "talk.json")
    assert [(cue.start, cue.end, cue.text) for cue in made.cues] == [(0.0, 1.0, "I saw [NAME] [NAME]")]
    assert (tmp_path / "out" / "notes.txt").read_text("utf-8") == "Please call [PHONE] today.\n"
    assert [entry.masked for entry in report.files] == [None, {"PHONE": 1}, {"NAME": 2}]


def test_words_with_times_in_chinese_keep_their_spacing(tmp_path: Path) -> None:
    words = [
        {"word": w, "start": i / 2, "end": i / 2 + 0.5} for i, w in enumerate(["我", "叫", "王", "明", "，", "你好"])
    ]
    (tmp_path / "a.json").write_text(json.dumps({"words": words}), "utf-8")
    anonymize([tmp_path / "a.json"], tmp_path / "b.json", QUICK)
    made = read_transcript(tmp_path / "b.json")
    assert made.text == "我叫[NAME]，你好"
    assert [cue.start for cue in made.cues] == [0.0, 0.5, 1.0, 2.0, 2.5]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    first = wav(tmp_path / "a" / "x.wav", [speech(0.2)])
    second = wav(tmp_path / "b" / "x.wav", [speech(0.3)])
    third = wav(tmp_path / "c" / "x.wav", [speech(0.3)])
    anonymize([first, second], tmp_path / "out", QUICK)
    assert names(tmp_path / "out") == [REPORT, "x.wav", "x.wav.wav"]
    with pytest.raises(ConfigError, match=r"two files would be written as x\.wav; rename one"):
        anonymize([first, second, third], tmp_path / "more", QUICK)
    assert not (tmp_path / "more").exists()


def test_bad_input_names_the_file_and_the_clip(media: Path, tmp_path: Path) -> None:
    (media.parent / "media" / "a.wav").write_bytes(b"RIFF nonsense")
    with pytest.raises(MediaError, match=r"m\.jsonl, clip '1': .*a\.wav: is not a media file"):
        anonymize([media], tmp_path / "out", QUICK)
    assert not (tmp_path / "out").exists()
    with pytest.raises(MediaError, match=r"none\.mp4: no such file"):
        anonymize([tmp_path / "none.mp4"], tmp_path / "b.mp4", QUICK)
    with pytest.raises(MediaError, match="is a folder"):
        anonymize([tmp_path], tmp_path / "b.mp4", QUICK)
    with pytest.raises(ConfigError, match=r"m\.jsonl is a manifest; name it alone"):
        anonymize([media, media.parent / "media" / "face.png"], tmp_path / "out", QUICK)


def test_rows_with_nothing_but_features_cannot_be_protected(tmp_path: Path) -> None:
    row = Clip(id="1", corpus="c", features={"face": FeatureRef("au.csv", "1")})
    write_manifest([row], tmp_path / "m.jsonl")
    with pytest.raises(MultiemoError, match="nothing but precomputed features"):
        anonymize([tmp_path / "m.jsonl"], tmp_path / "out", QUICK)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("faces", "smile", "--faces: 'smile' is not known; choices: pixelate, blur, box, keep"),
        ("mcadams", 0.3, "--mcadams: 0.3 is outside 0.5 to 1.5"),
        ("mcadams", float("nan"), "--mcadams: nan"),
        ("semitones", 13.0, "--semitones: 13 is outside -12 to 12"),
        ("words", "all", "--words: 'all'"),
    ],
)
def test_invalid_settings(key: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Settings(**{key: value})
