"""The adapter ``msppodcast`` on a miniature of its published layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ManifestError
from tests.support.corpora import TURNS, by_id, podcast, run, write

PODCAST = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"


def test_msppodcast(tmp_path: Path) -> None:
    root = podcast(tmp_path / "MSP-PODCAST-Publish-1.11")
    write(root / "Labels/labels_consensus.csv", PODCAST + "".join(f"{n},{row}\n" for n, row in TURNS.items()))
    voted = [(8, "Angry"), (8, "Angry"), (8, "Contempt"), (8, "Other-bored"), (19, "Sad")]
    rows = "".join(f"MSP-PODCAST_0001_{turn:04d}.wav,WORKER1,{vote},x\n" for turn, vote in voted)
    write(root / "Labels/labels_detailed.csv", "FileName,Worker,EmoClass_Major,EmoClass_Second\n" + rows)
    prepared = run("msppodcast", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert {k[12:]: (c.label, c.speaker, c.group, c.split) for k, c in clips.items()} == {
        "0001_0008": ("angry", "19", "0001", "train"),
        "0001_0019": (None, "19", "0001", "train"),
        "0002_0033": ("surprised", None, "0002", "val"),
        "0003_0001": ("contemptuous", "88", "0003", "val"),
        "0004_0001": ("happy", "97", "0004", "test"),
    }
    first = clips["MSP-PODCAST_0001_0008"]
    assert (first.text, first.votes, first.label_set) == ("Not again.", {"angry": 2, "contemptuous": 1}, "msppodcast8")
    assert first.audio == "MSP-PODCAST-Publish-1.11/Audios/MSP-PODCAST_0001_0008.wav"
    assert clips["MSP-PODCAST_0001_0019"].votes is None
    assert (first.valence, first.arousal, first.dominance) == pytest.approx((-0.6, 0.4, 0.6))
    assert clips["MSP-PODCAST_0003_0001"].dominance is None
    assert [s.reason for s in prepared.skipped] == [
        "EmoClass 'Q' is not one of A, S, H, U, F, D, C, N, O, X",
        "1 turns are of Test2, which is neither train, validation nor Test1",
        "1 turns have neither audio nor a transcript",
        "1 clips of unknown speakers are kept without speaker",
    ]
    other = run("msppodcast", root, tmp_path / "m.jsonl", test="Test2")
    assert [c.id for c in other.clips if c.split == "test"] == ["MSP-PODCAST_0005_0001"]
    named = run("msppodcast", root, tmp_path / "m.jsonl", unknown_speakers="podcast")
    assert by_id(named)["MSP-PODCAST_0002_0033"].speaker == "unknown-0002"
    assert {c.speaker for c in named.clips} - {c.speaker for c in prepared.clips} == {"unknown-0002"}
    assert named.skipped[-1].reason == "1 clips of unknown speakers are named by their podcast"


def test_votes_in_the_formats_of_other_releases(tmp_path: Path) -> None:
    root = podcast(tmp_path / "msp")
    write(root / "Labels/labels_consensus.csv", PODCAST + "".join(f"{n},{row}\n" for n, row in TURNS.items()))
    name = "MSP-PODCAST_0001_0008.wav"
    cells = [f"WORKER{n}; {word}; {word},Concerned; A:4.0; V:4.0; D:4.0;" for n, word in enumerate(("Angry", "Sad"))]
    write(root / "Labels/labels_detailed.csv", "FileName,EmoDetail\n" + "".join(f'{name},"{c}"\n' for c in cells))
    clips = by_id(run("msppodcast", root, tmp_path / "m.jsonl"))
    assert clips[name[:-4]].votes == {"angry": 1, "sad": 1}
    write(root / "Labels/labels_detailed.csv", "FileName,Comment\nx,y\n")
    prepared = run("msppodcast", root, tmp_path / "m.jsonl")
    assert by_id(prepared)[name[:-4]].votes is None
    reason = "is not read, so clips have no votes (it has neither EmoClass_Major nor EmoDetail but FileName, Comment)"
    assert ("labels_detailed.csv", reason) in [(s.what, s.reason) for s in prepared.skipped]
    (root / "Labels/labels_detailed.csv").unlink()
    votes = {"W1": {"EmoClass_Major": "Angry"}, "W2": {"EmoClass_Major": "Angry"}}
    write(root / "Labels/labels_detailed.json", json.dumps({name: votes}))
    assert by_id(run("msppodcast", root, tmp_path / "m.jsonl"))[name[:-4]].votes == {"angry": 2}


def test_msppodcast_in_json_under_its_older_name(tmp_path: Path) -> None:
    root = podcast(tmp_path / "msp")
    columns = PODCAST.strip().split(",")[1:]
    rows = {name: dict(zip(columns, row.split(","), strict=True)) for name, row in TURNS.items()}
    write(root / "Labels/labels_concensus.json", json.dumps(rows))
    assert len(run("msppodcast", root, tmp_path / "m.jsonl").clips) == 5
    write(root / "Labels/labels_concensus.json", '{"MSP-PODCAST_0001_0008.wav": {"EmoAct": "1"}}')
    with pytest.raises(ManifestError, match=r"is not \{file: \{EmoClass, Split_Set, ...\}\} \('EmoClass'\)"):
        prepare("msppodcast", root, tmp_path / "m.jsonl")


def test_msppodcast_with_its_partitions_in_a_file(tmp_path: Path) -> None:
    root = podcast(tmp_path / "msp")
    rows = "".join(f"{name},{row.rsplit(',', 1)[0]}\n" for name, row in TURNS.items())
    write(root / "Labels/labels_concensus.csv", PODCAST.replace(",Split_Set", "") + rows)
    with pytest.raises(ManifestError, match=r"has no column Split_Set; add Partitions\.txt, which defines the parts"):
        prepare("msppodcast", root, tmp_path / "m.jsonl")
    placed = {name: row.rsplit(",", 1)[1] for name, row in TURNS.items() if "_0001_0019" not in name}
    write(root / "Partitions.txt", "".join(f"{part}; {name}\n" for name, part in placed.items()))
    prepared = run("msppodcast", root, tmp_path / "m.jsonl")
    assert {c.id[12:]: c.split for c in prepared.clips} == {
        "0001_0008": "train", "0002_0033": "val", "0003_0001": "val", "0004_0001": "test",
    }  # fmt: skip
    assert "1 turns are of no part, which is neither train, validation nor Test1" in [
        s.reason for s in prepared.skipped
    ]
