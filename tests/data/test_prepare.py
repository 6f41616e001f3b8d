"""Preparing: folders that are something else, links, roots of any kind, and real corpora."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

import multiemo.data.corpora
from multiemo.data.manifest.reading import read_manifest
from multiemo.data.prepare import prepare
from multiemo.errors import ConfigError, ManifestError
from multiemo.registry import corpora
from tests.support.corpora import HEAD, run, touch, write


def test_pictures_are_never_written_through_an_old_link(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "m.media").symlink_to(tmp_path / "precious")
    face = " ".join(["7"] * 48 * 48)
    write(tmp_path / "fer2013.csv", f"emotion,pixels,Usage\n3,{face},Training\n")
    run("fer2013", tmp_path / "fer2013.csv", tmp_path / "m.jsonl")
    assert list((tmp_path / "precious").iterdir()) == []


OPTIONS = {"hfdataset": {"text": "text"}, "table": {"text": "text"}}


@pytest.mark.parametrize("corpus", list(corpora))
def test_a_folder_that_is_not_the_corpus(tmp_path: Path, corpus: str) -> None:
    out = tmp_path / "m.jsonl"
    with pytest.raises(ManifestError, match=f"{corpus}: .*gone does not exist; expected"):
        prepare(corpus, tmp_path / "gone", out, OPTIONS.get(corpus, {}))
    root = touch(tmp_path / "wrong", "cats/tom.jpg", "readme.md")
    with pytest.raises(ManifestError, match=r"does not look like the corpus: expected .*; found cats/, readme.md"):
        prepare(corpus, root, out, OPTIONS.get(corpus, {}))
    assert not out.exists()


def test_unknown_corpus(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown corpus 'ravdes'; did you mean 'ravdess'"):
        prepare("ravdes", tmp_path, tmp_path / "m.jsonl")


def test_links(tmp_path: Path) -> None:
    root = touch(tmp_path / "far/ravdess", "Actor_01/03-01-04-01-01-01-01.wav")
    out = tmp_path / "manifests/speech.jsonl"
    (clip,) = run("ravdess", root, out).clips
    assert clip.audio == "speech.media/Actor_01/03-01-04-01-01-01-01.wav"
    link = out.parent / "speech.media"
    assert link.resolve() == root
    link.unlink()
    link.symlink_to(tmp_path)  # an older link is replaced
    run("ravdess", root, out)
    assert link.resolve() == root
    (clip,) = run("ravdess", root, root / "m.jsonl").clips
    assert clip.audio == "Actor_01/03-01-04-01-01-01-01.wav"
    link.unlink()
    link.mkdir()
    with pytest.raises(ManifestError, match=r"speech.media is a real file or folder"):
        prepare("ravdess", root, out)


def test_relative_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "data", "Actor_01/03-01-04-01-01-01-01.wav")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (clip,) = run("ravdess", Path("../data"), Path("m.jsonl")).clips
    assert clip.audio == "m.media/Actor_01/03-01-04-01-01-01-01.wav"
    (clip,) = run("ravdess", Path("../data"), Path("../m.jsonl")).clips
    assert clip.audio == "data/Actor_01/03-01-04-01-01-01-01.wav"


def test_no_link_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = touch(tmp_path / "far", "Actor_01/03-01-04-01-01-01-01.wav")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with pytest.raises(ManifestError, match="put the manifest at or above the corpus folder"):
        prepare("ravdess", root, tmp_path / "m" / "m.jsonl")


def test_text_corpora_make_no_link(tmp_path: Path) -> None:
    write(tmp_path / "src/dev_sent_emo.csv", HEAD + "1,Hi,Ross,fear,negative,0,0,1,1,a,b\n")
    run("meld", tmp_path / "src", tmp_path / "m/meld.jsonl")
    assert [p.name for p in (tmp_path / "m").iterdir()] == ["meld.jsonl"]


REAL = [
    ("ravdess", {}, 1080, {None: 1080}, 18),
    pytest.param("fer2013", {}, 12978, {"train": 9389, "test": 3589}, 0, marks=pytest.mark.slow),
    ("meld", {}, 11098, {"train": 9989, "val": 1109}, 274),
    pytest.param("goemotions", {}, 48836, {"train": 43410, "val": 5426}, 0, marks=pytest.mark.slow),
    pytest.param("goemotions", {"variant": "ekman"}, 48836, {"train": 43410, "val": 5426}, 0, marks=pytest.mark.slow),
    pytest.param("emotiontalk", {}, 17321, {"train": 15413, "val": 1908}, 17, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("corpus", "options", "count", "parts", "speakers"), REAL)
def test_real_corpora(
    real_data: Path,
    tmp_path: Path,
    corpus: str,
    options: dict[str, str],
    count: int,
    parts: dict[str, int],
    speakers: int,
) -> None:
    prepared = prepare(corpus, real_data / corpus, tmp_path / "m.jsonl", options)
    assert len(prepared.clips) == count
    assert prepared.skipped == []
    assert Counter(clip.split for clip in prepared.clips) == parts
    assert len({clip.speaker for clip in prepared.clips} - {None}) == speakers
    if corpus == "ravdess":
        assert all(clip.audio and "face" in clip.features for clip in prepared.clips)
    assert read_manifest(tmp_path / "m.jsonl") == prepared.clips


def test_every_adapter_is_announced_and_imported_when_it_is_wanted() -> None:
    package = Path(multiemo.data.corpora.__file__).parent
    written = [
        re.findall(r'^@corpora.register\("(\w+)"', path.read_text("utf-8"), re.M) for path in package.rglob("*.py")
    ]
    assert sorted(name for names in written for name in names) == corpora.names()
    for name in corpora:
        assert corpora.get(name, where="test").__name__ == name
