"""The adapter ``meld`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

from tests.support.corpora import HEAD, run, touch, write


def test_meld(tmp_path: Path) -> None:
    root = tmp_path / "MELD.Raw"
    write(
        root / "train/train_sent_emo.csv",
        HEAD
        + '2,"That’s all, folks",Joey,joy,positive,10,1,1,1,"00:00:05,000","00:00:06,000"\n'
        + '1,"He\x92s\x85 fine",Monica,anger,negative,10,0,1,1,"00:00:01,000","00:00:02,000"\n'
        + '3,"First",Ross,neutral,neutral,2,0,1,1,"00:00:01,000","00:00:02,000"\n'
        + '4,"What?",Ross,puzzled,neutral,2,1,1,1,"00:00:01,000","00:00:02,000"\n',
    )
    write(root / "dev_sent_emo.csv", HEAD + "1,It’s me,Ross,fear,negative,0,0,1,1,a,b\n", encoding="cp1252")
    touch(root, "train/train_splits/dia10_utt1.mp4", "train/train_splits/._dia10_utt0.mp4")
    prepared = run("meld", root, tmp_path / "m.jsonl")
    assert [c.id for c in prepared.clips] == [
        "train_dia2_utt0",
        "train_dia10_utt0",
        "train_dia10_utt1",
        "dev_dia0_utt0",
    ]
    _, damaged, last, dev = prepared.clips
    assert damaged.text == "He’s… fine"
    assert damaged.video is None
    assert last.video == last.audio == "MELD.Raw/train/train_splits/dia10_utt1.mp4"
    assert (last.speaker, last.group, last.label, last.split) == ("Joey", "train_dia10", "happy", "train")
    assert (last.start, last.end) == (None, None)
    assert (dev.text, dev.label, dev.split, dev.group) == ("It’s me", "fearful", "val", "dev_dia0")
    assert [(s.what, s.reason.partition(" is not ")[0]) for s in prepared.skipped] == [
        ("train_sent_emo.csv row 4", "Emotion 'puzzled'"),
        ("train_sent_emo.csv", "2 utterances without video file in train_splits/ are kept for their words"),
        ("dev_sent_emo.csv", "1 utterances without video file in dev_splits_complete/ are kept for their words"),
    ]


def test_meld_takes_the_clip_that_was_cut_anew(tmp_path: Path) -> None:
    rows = [f"{u},Hi,Ross,joy,positive,3,{u},1,1,a,b\n" for u in range(3)]
    write(tmp_path / "MELD.Raw/test_sent_emo.csv", HEAD + "".join(rows))
    folder = "test/output_repeated_splits_test"
    names = ("dia3_utt0.mp4", "final_videos_testdia3_utt0.mp4", "final_videos_testdia3_utt1.mp4", "dia3_utt2.mp4")
    touch(tmp_path / "MELD.Raw", *(f"{folder}/{name}" for name in names))
    prepared = run("meld", tmp_path / "MELD.Raw", tmp_path / "m.jsonl")
    taken = [names[1], names[2], names[3]]
    assert [c.video for c in prepared.clips] == [f"MELD.Raw/{folder}/{name}" for name in taken]
    assert [c.audio for c in prepared.clips] == [c.video for c in prepared.clips]
    assert [(s.what, s.reason) for s in prepared.skipped] == [
        (folder, "1 clips were replaced by corrected versions (final_videos_test*.mp4)")
    ]
