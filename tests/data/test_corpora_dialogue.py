"""Adapters of corpora of conversations, each on a miniature of its published layout."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ConfigError, ManifestError
from multiemo.labels import LABEL_SETS
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
        "Session2/dialog/EmoEvaluation/Ses02M_script01_2.txt": "holds no turn ([start - end] name label [ratings])",
        str(root): "2 videos of two people side by side; the option video=true takes them in",
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
    assert [reason.split(",")[0].removeprefix("1 turns ") for reason in reasons] == [
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


@pytest.mark.parametrize("table", ["Evalution.txt", "Evaluation.txt"])
def test_mspimprov(tmp_path: Path, table: str) -> None:
    root = touch(
        tmp_path / "msp",
        "session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav",
        "session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.avi",
        "session6/S20H/R/MSP-IMPROV-S20H-M06-R-MM01.wav",
        "session2/S02N/S/MSP-IMPROV-S02N-F02-S-FM11.wav",
        "session2/S02N/S/MSP-IMPROV-S02N-F02-S-FM99.wav",
        "copy/MSP-IMPROV-S01A-F01-P-FM01.wav",
        "notes.wav",
    )
    words = root / "Human_transcriptions/All_human_transcriptions"
    write(words / "MSP-IMPROV-S01A-F01-P-FM01.txt", "I did  not\nknow that.\n")
    write(words / "MSP-IMPROV-S20H-M06-R-MM01.txt", "\n")
    write(words / "MSP-IMPROV-S05N-F05-T-FM01.txt", "Heard by nobody.")
    write(
        root / table,
        "UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.000000; V:3.500000; D:NaN ; N:4.200000;\n"
        "F0001; Neutral; Neutral, ; A:3.000000; V:3.000000; D:3.000000; N:4.000000;\n"
        "F0002; Other; Concerned, ; A:3.000000; V:3.000000; D:3.000000; N:4.000000;\n"
        "F0003; Neutral; Neutral, ; A:3.000000; V:3.000000; D:3.000000; N:4.000000;\n"
        "F0003; Neutral; Neutral, ; A:3.000000; V:3.000000; D:3.000000; N:4.000000;\n\n"
        "UTD-IMPROV-S20H-M06-R-MM01.avi; H; A:5.000000; V:5.000000; D:1.000000 ; N:4.200000;\n\n"
        "UTD-IMPROV-S02N-F02-S-FM11.avi; X; A:3.000000; V:3.000000; D:3.000000 ; N:NaN;\n"
        "F0001; Sad; ; A:3.000000; V:3.000000; D:3.000000; N:4.000000;\n\n"
        "UTD-IMPROV-S03S-F03-T-FM01.avi; S; A:3.000000; V:3.000000; D:3.000000 ; N:3.000000;\n\n"
        "UTD-IMPROV-S04S-F03-T-FM01.avi; Q; A:3.000000; V:3.000000; D:3.000000 ; N:3.000000;\n"
        "UTD-IMPROV-S05N-F05-T-FM01.avi; N; A:3.000000; V:3.000000; D:3.000000 ; N:3.000000;\n",
    )
    prepared = run("mspimprov", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert list(clips) == [
        "MSP-IMPROV-S01A-F01-P-FM01", "MSP-IMPROV-S20H-M06-R-MM01", "MSP-IMPROV-S02N-F02-S-FM11",
        "MSP-IMPROV-S05N-F05-T-FM01",
    ]  # fmt: skip
    first, happy, undecided, unheard = clips.values()
    assert [clip.text for clip in clips.values()] == ["I did not know that.", None, None, "Heard by nobody."]
    assert (unheard.audio, unheard.video) == (None, None)
    assert (first.speaker, first.group, first.label, first.votes) == ("F01", "session1", "neutral", {"neutral": 2})
    assert (first.valence, first.arousal, first.dominance) == (0.25, 0.5, None)
    assert first.video == "msp/session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.avi"
    assert (happy.label, happy.speaker, happy.group, happy.video) == ("happy", "M06", "session6", None)
    assert (happy.valence, happy.arousal, happy.dominance) == (1.0, -1.0, -1.0)
    assert (undecided.label, undecided.votes, undecided.valence) == (None, None, 0.0)
    assert {clip.label_set for clip in clips.values()} == {"mspimprov4"}
    assert sorted(s.what for s in prepared.skipped) == [
        f"{table} line 14",
        "MSP-IMPROV-S03S-F03-T-FM01",
        "notes.wav",
        "session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav",
        "session2/S02N/S/MSP-IMPROV-S02N-F02-S-FM99.wav",
    ]


def utterance(name: str, emotion: str | None, *speakers: str, said: str = "Oh!") -> dict[str, Any]:
    return {"utterance_id": name, "speakers": speakers, "transcript": said, "tokens": [["Oh"]], "emotion": emotion}


def test_emorynlp_json(tmp_path: Path) -> None:
    scenes = [
        {"scene_id": "s01_e02_c10", "utterances": [utterance("s01_e02_c10_u001", "Neutral", "Ross Geller")]},
        {
            "scene_id": "s01_e02_c01",
            "utterances": [
                utterance("s01_e02_c01_u002", "Joyful", "Joey Tribbiani", "Ross Geller", said="He\x92s fine"),
                utterance("s01_e02_c01_u001", "Mad", "Monica Geller"),
                utterance("s01_e02_c01_u003", "Puzzled", "Monica Geller"),
                utterance("s01_e02_c01_u004", "Sad", "Monica Geller", said=""),
                utterance("first", "Sad", "Monica Geller"),
                {"utterance_id": "s01_e02_c01_u005"},
            ],
        },
    ]
    root = tmp_path / "emory"
    write(root / "json/emotion-detection-trn.json", json.dumps({"episodes": [{"episode_id": "e", "scenes": scenes}]}))
    last = [{"scene_id": "s01_e01_c01", "utterances": [utterance("s01_e01_c01_u001", "Scared", "Rachel Green")]}]
    write(root / "json/emotion-detection-tst.json", json.dumps({"episodes": [{"episode_id": "e", "scenes": last}]}))
    prepared = run("emorynlp", root, tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.speaker, c.split) for c in prepared.clips] == [
        ("s01_e02_c01_u001", "mad", "Monica Geller", "train"),
        ("s01_e02_c01_u002", "joyful", "Joey Tribbiani & Ross Geller", "train"),
        ("s01_e02_c10_u001", "neutral", "Ross Geller", "train"),
        ("s01_e01_c01_u001", "scared", "Rachel Green", "test"),
    ]
    joyful = prepared.clips[1]
    assert (joyful.text, joyful.group, joyful.label_set, joyful.video) == (
        "He’s fine", "s01_e02_c01", "emorynlp7", None,
    )  # fmt: skip
    assert sorted(s.what for s in prepared.skipped) == [
        "emotion-detection-trn.json s01_e02_c01_u003",
        "emotion-detection-trn.json s01_e02_c01_u004",
        "emotion-detection-trn.json utterance 6",
        "emotion-detection-trn.json utterance 7",
    ]
    write(root / "json/emotion-detection-tst.json", json.dumps({"season": []}))
    with pytest.raises(ManifestError, match=r"emotion-detection-tst\.json is not of the form episodes, scenes"):
        prepare("emorynlp", root, tmp_path / "m.jsonl")


def test_emorynlp_tables_with_clips(tmp_path: Path) -> None:
    root = touch(tmp_path / "emory", "emorynlp_dev_splits/sea1_ep15_sc4_utt2.mp4")
    write(
        root / "emorynlp_dev_final.csv",
        "Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode,Sr No.\n"
        '"Hi, what\'s up?","[\'Ross Geller\']",Peaceful,4,2,1,15,2\n'
        "Hey,\"['Chandler Bing', 'Joey Tribbiani']\",Powerful,4,1,1,15,1\nWell,Rachel,Sad,x,1,1,15,3\n",
    )
    prepared = run("emorynlp", root, tmp_path / "m.jsonl")
    both, ross = prepared.clips
    assert (both.id, both.speaker, both.label) == ("s01_e15_c04_u001", "Chandler Bing & Joey Tribbiani", "powerful")
    assert (ross.id, ross.group, ross.speaker, ross.text, ross.split) == (
        "s01_e15_c04_u002", "s01_e15_c04", "Ross Geller", "Hi, what's up?", "val",
    )  # fmt: skip
    assert ross.video == ross.audio == "emory/emorynlp_dev_splits/sea1_ep15_sc4_utt2.mp4"
    assert [s.what for s in prepared.skipped] == ["emorynlp_dev_final.csv row 3"]


def test_dailydialog_parts(tmp_path: Path) -> None:
    root = tmp_path / "dd"
    write(root / "dialogues_text.txt", "all __eou__\n")
    write(root / "dialogues_emotion.txt", "0\n")
    write(
        root / "train/train/dialogues_train.txt",
        "The kitchen stinks . __eou__ I ’ ll throw out the garbage . __eou__\n"
        "One __eou__ Two __eou__\nGood __eou__ __eou__ Bad __eou__\n",
    )
    write(root / "train/train/dialogues_emotion_train.txt", "2 0 \n4\n6 0 9\n")
    write(root / "validation/dialogues_validation.txt", "So happy __eou__\n")
    write(root / "validation/dialogues_emotion_validation.txt", "4\n")
    prepared = run("dailydialog", root, tmp_path / "m.jsonl")
    assert [(c.id, c.group, c.label, c.split) for c in prepared.clips] == [
        ("train_0_0", "train_0", "disgusted", "train"),
        ("train_0_1", "train_0", "neutral", "train"),
        ("train_2_0", "train_2", "surprised", "train"),
        ("validation_0_0", "validation_0", "happy", "val"),
    ]
    assert (prepared.clips[0].text, prepared.clips[0].speaker) == ("The kitchen stinks .", None)
    assert {s.what: s.reason for s in prepared.skipped} == {
        "dialogues_train.txt dialogue 1": "has 2 utterances and 1 emotions",
        "dialogues_train.txt dialogue 2 utterance 1": "has no text",
        "dialogues_train.txt dialogue 2 utterance 2": "emotion '9' is not 0-6",
    }
    write(root / "validation/dialogues_emotion_validation.txt", "4\n1\n")
    with pytest.raises(ManifestError, match=r"has 1 dialogues and .* has 2; unpack them again"):
        prepare("dailydialog", root, tmp_path / "m.jsonl")


def test_dailydialog_whole(tmp_path: Path) -> None:
    root = tmp_path / "ijcnlp_dailydialog"
    write(root / "dialogues_text.txt", "Say , Jim __eou__ You know __eou__\n")
    write(root / "dialogues_emotion.txt", "0 1\n")
    prepared = run("dailydialog", tmp_path, tmp_path / "m.jsonl")
    assert [(c.id, c.label, c.split) for c in prepared.clips] == [
        ("all_0_0", "neutral", None), ("all_0_1", "angry", None),
    ]  # fmt: skip


def judgement(label: str, content: str | None = None, **annotators: str) -> str:
    """A JSON file of EmotionTalk's release; annotators also say how sure they are."""
    data = {name: {"emotion": emotion, "Confidence_degree": "8"} for name, emotion in annotators.items()}
    note = {"data": data, "speaker_id": "07", "emotion_result": label, "file_name": "a.mp4", "content": content}
    return json.dumps({key: value for key, value in note.items() if value is not None}, ensure_ascii=False)


def test_emotiontalk_as_released(tmp_path: Path) -> None:
    root, name = tmp_path / "et", "G00001/G00001_02/G00001_02_{0}/G00001_02_{0}_{1}"
    one, two, third = (
        name.format("07", "010"),
        name.format("05", "009"),
        "G00003/G00003_11/G00003_11_13/G00003_11_13_001",
    )
    votes = {"a": "angry", "b": "angry", "c": "sad", "d": "bliss"}
    write(root / f"Text/json/{one}.json", judgement("sad", "[over/]后[/over]来[laughing]。"))
    write(root / f"Audio/json/{one}.json", judgement("happy", "后来。"))
    write(root / f"Video/json/{one}.json", judgement("neutral"))
    write(root / f"Multimodal/json/{one}.json", judgement("angry", **votes))
    write(root / f"Text/json/{two}.json", judgement("surprise", "先"))
    write(root / f"Multimodal/json/{two}.json", judgement("surprised"))
    write(root / f"Multimodal/json/{third}.json", judgement("Fearful", a="fearful"))
    write(root / f"Multimodal/json/{name.format('05', '011')}.json", judgement("bliss"))
    write(root / f"Multimodal/json/{name.format('05', '012')}.json", "{")
    write(root / f"Multimodal/json/{name.format('05', '013')}.json", judgement("sad"))
    write(root / "Multimodal/notes.json", "{}")
    touch(
        root, f"Audio/wav/{one}.wav", f"Multimodal/mp4/{one}.mp4", f"Video/mp4/{one}.mp4", f"Multimodal/mp4/{third}.mp4"
    )
    prepared = run("emotiontalk", root, tmp_path / "m.jsonl")
    first, second, last = prepared.clips
    assert [c.id for c in prepared.clips] == ["G00001_02_05_009", "G00001_02_07_010", "G00003_11_13_001"]
    assert (second.text, second.label, second.votes, second.split) == ("后来。", "angry", {"angry": 2, "sad": 1}, "val")
    assert second.modality_labels == {"text": "sad", "speech": "happy", "face": "neutral"}
    assert (second.speaker, second.group, second.language) == ("07", "G00001_02", "zh")
    assert (second.audio, second.video) == (f"et/Audio/wav/{one}.wav", f"et/Multimodal/mp4/{one}.mp4")
    assert (first.label, first.votes, first.modality_labels) == ("surprised", None, {"text": "surprised"})
    assert (last.text, last.label, last.votes, last.split) == (None, "fearful", {"fearful": 1}, "test")
    reasons = {Path(s.what).name: s.reason.partition(" (")[0] for s in prepared.skipped}
    assert reasons == {
        "G00001_02_05_011.json": "emotion_result 'bliss' is not one of " + ", ".join(LABEL_SETS["emotiontalk7"]),
        "G00001_02_05_012.json": "is not JSON",
        "G00001_02_05_013": "has neither text nor media",
        "notes.json": "does not lie and is not named like a judgement of EmotionTalk",
    }


def test_emotiontalk_with_the_voices_alone(tmp_path: Path) -> None:
    name = "G00009/G00009_42/G00009_42_14/G00009_42_14_024"
    write(tmp_path / f"et/Audio/json/{name}.json", judgement("sad", "好", a="sad"))
    prepared = run("emotiontalk", tmp_path / "et", tmp_path / "m.jsonl")
    (clip,) = prepared.clips
    assert (clip.label, clip.votes, clip.modality_labels, clip.split) == (None, None, {"speech": "sad"}, "train")
    assert [s.reason.partition(",")[0] for s in prepared.skipped] == ["has no Multimodal/json"]


@pytest.mark.slow
def test_emotiontalk_json_reads_as_the_table(real_data: Path, tmp_path: Path) -> None:
    """The table's rows, laid out as the JSON files of the release, give the clips that the table gives."""
    table = real_data / "emotiontalk/emotiontalk.csv"
    kinds = {"Text": "text_label", "Audio": "audio_label", "Video": "video_label", "Multimodal": "mm_label"}
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for folder, column in kinds.items():
                content = row["text_raw"] if folder == "Text" else None
                write(tmp_path / f"et/{folder}/json/{row['name']}.json", judgement(row[column], content))
    clips = run("emotiontalk", tmp_path / "et", tmp_path / "a.jsonl").clips
    assert clips == run("emotiontalk", table.parent, tmp_path / "b.jsonl").clips
