"""The adapter ``iemocap`` on a miniature of its published layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ConfigError
from tests.support.corpora import by_id, run, touch, write


def iemocap(root: Path) -> Path:
    """Two dialogues of one session and one of another."""
    write(
        root / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
        "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
        "[11.5000 - 12.2500]\tSes01F_impro01_M000\tfru\t[2.0000, 3.5000, 4.5000]\n"
        "C-E2:\tFrustration;\t()\nC-E3:\tFrustration; Anger;\t(tense)\nC-M1:\tNeutral;\t()\n"
        "A-E3:\tval 2; act 3; dom  4;\t()\n\n"
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 1.0000, 5.5000]\n"
        "C-E2:\tNeutral;\t()\nC-E3:\tNeutral state;\t()\nC-E4:\tOther;\t()\n\n"
        "[13.0000 - 14.0000]\tSes01F_impro01_F001\txxx\t[3.0000, 3.0000, 3.0000]\n"
        "C-E2:\tSadness;\t()\nC-E3:\tAnger;\t()\n\n"
        "[14.0000 - 15.0000]\tSes01F_impro01_M001\texc\t[5.0000, 4.0000, 3.0000]\n"
        "C-E2:\tExcited;\t()\nC-E3:\tHappiness; Excited;\t()\n\n"
        "[16.0000 - 17.0000]\tSes01F_impro01_M002\tzzz\t[5.0000, 4.0000, 3.0000]\n\n"
        "[18.0000 - 19.0000]\tSes01F_impro01_M003\tsad\t[1.0000, 2.0000, 3.0000]\n",
    )
    write(
        root / "Session1/dialog/transcriptions/Ses01F_impro01.txt",
        "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.\n"
        "Ses01F_impro01_M000 [011.5000-012.2500]: [BREATHING] Do you   have your forms?\n"
        "M: [LAUGHTER]\nSes01F_impro01_F001 [013.0000-014.0000]: [LAUGHTER]\n",
    )
    write(
        root / "Session2/dialog/EmoEvaluation/Ses02M_script01_1b.txt",
        "[0.5000 - 1.5000]\tSes02M_script01_1b_F003\thap\t[4.0000, 3.0000, 3.0000]\n",
    )
    write(root / "Session2/dialog/EmoEvaluation/Ses02M_script01_2.txt", "nothing\n")
    write(root / "Session2/dialog/EmoEvaluation/Categorical/Ses02M_e1_cat.txt", "Ses02M_impro01_F000 :Neutral; ()\n")
    return touch(
        root,
        *(f"Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_{n}.wav" for n in ("F000", "M000", "F001", "M001")),
        "Session2/sentences/wav/Ses02M_script01_1b/Ses02M_script01_1b_F003.wav",
        "Session1/dialog/avi/DivX/Ses01F_impro01.avi",
        "Session1/dialog/wav/Ses01F_impro01.wav",
        "Session2/dialog/avi/DivX/Ses02M_script01_1b.avi",
    )


def test_iemocap(tmp_path: Path) -> None:
    root = iemocap(tmp_path / "IEMOCAP")
    prepared = run("iemocap", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert [(name, clip.label) for name, clip in clips.items()] == [
        ("Ses01F_impro01_F000", "neutral"),
        ("Ses01F_impro01_M000", "frustrated"),
        ("Ses01F_impro01_F001", None),
        ("Ses01F_impro01_M001", "excited"),
        ("Ses02M_script01_1b_F003", "happy"),
    ]
    first, second, third = list(clips.values())[:3]
    assert (first.speaker, first.group, first.language, first.label_set) == ("Ses01_F", "Ses01", "en", "iemocap9")
    assert (second.speaker, clips["Ses02M_script01_1b_F003"].speaker) == ("Ses01_M", "Ses02_F")
    assert (first.text, second.text, third.text) == ("Excuse me.", "Do you have your forms?", None)
    assert (first.attributes, second.attributes) == ({"sex": "female"}, {"sex": "male"})
    assert first.votes == {"neutral": 2}
    assert second.votes == {"frustrated": 2, "angry": 1}
    assert third.votes is None
    assert (first.valence, first.arousal, first.dominance) == (-0.25, -1.0, 1.0)
    assert (second.valence, second.arousal, second.dominance) == (-0.5, 0.25, 0.75)
    assert first.audio == "IEMOCAP/Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    assert (first.video, first.start, first.end) == (None, None, None)
    assert {s.what: s.reason for s in prepared.skipped} == {
        "Ses01F_impro01.txt Ses01F_impro01_M002": "label 'zzz' is not one of IEMOCAP",
        "Ses01F_impro01.txt Ses01F_impro01_M003": "has neither a wav nor a transcription",
        "Session2/dialog/EmoEvaluation/Ses02M_script01_2.txt": "has no turns ([start - end] name label [ratings])",
        str(root): "2 videos of two people side by side are not used; the option video=true includes them",
    }


@pytest.mark.parametrize(
    ("options", "labels", "left"),
    [
        ({"label_set": "iemocap4"}, {"F000": "neutral", "M001": "happy", "F003": "happy"},
         ["frustrated", "a majority"]),
        ({"label_set": "iemocap4", "merge_excited": "false"}, {"F000": "neutral", "F003": "happy"},
         ["excited", "frustrated", "a majority"]),
        ({"label_set": "iemocap6"}, {"F000": "neutral", "M000": "frustrated", "M001": "excited", "F003": "happy"},
         ["a majority"]),
    ],
)  # fmt: skip
def test_iemocap_classes(tmp_path: Path, options: dict[str, str], labels: dict[str, str], left: list[str]) -> None:
    prepared = run("iemocap", iemocap(tmp_path / "i"), tmp_path / "m.jsonl", **options)
    assert {clip.id[-4:]: clip.label for clip in prepared.clips} == labels
    assert all(clip.label_set == options["label_set"] for clip in prepared.clips)
    reasons = [s.reason for s in prepared.skipped if "left out of" in s.reason]
    assert [reason.split(" are left out")[0].removeprefix("1 turns ") for reason in reasons] == [
        f"{'without' if what == 'a majority' else 'labelled'} {what}" for what in left
    ]
    if "M001" in labels:
        votes = by_id(prepared)["Ses01F_impro01_M001"].votes
        assert votes == ({"happy": 3} if options["label_set"] == "iemocap4" else {"excited": 2, "happy": 1})


def test_iemocap_video_and_groups(tmp_path: Path) -> None:
    root = iemocap(tmp_path / "i")
    clips = by_id(run("iemocap", root, tmp_path / "m.jsonl", video="true", group="dialogue"))
    seen, other = clips["Ses01F_impro01_M000"], clips["Ses02M_script01_1b_F003"]
    assert (seen.video, seen.audio) == (
        "i/Session1/dialog/avi/DivX/Ses01F_impro01.avi", "i/Session1/dialog/wav/Ses01F_impro01.wav",
    )  # fmt: skip
    assert (seen.start, seen.end, seen.group) == (11.5, 12.25, "Ses01F_impro01")
    assert other.audio == other.video == "i/Session2/dialog/avi/DivX/Ses02M_script01_1b.avi"
    with pytest.raises(ConfigError, match=r"prepare\.label_set"):
        prepare("iemocap", root, tmp_path / "m.jsonl", {"label_set": "ekman7"})
