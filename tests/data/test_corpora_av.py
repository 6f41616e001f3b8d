"""Adapters of acted and of film corpora, each on a miniature of its published layout."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multiemo.data.prepare import Skipped, prepare
from multiemo.errors import ConfigError, ManifestError
from tests.support.corpora import TURNS, by_id, podcast, run, touch, write
from tests.support.pickles import Call

VOTES = '"","A","D","F","H","N","S","fileName","numResponses"\n'
SUMMARY = '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"\n'


def test_cremad(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "CREMA-D",
        "AudioWAV/1001_IEO_ANG_HI.wav",
        "AudioMP3/1001_IEO_ANG_HI.mp3",
        "AudioMP3/1002_TIE_NEU_XX.mp3",
        "VideoFlash/1001_IEO_ANG_HI.flv",
        "copy/1001_IEO_ANG_HI.flv",
        "AudioWAV/1040_ITH_SAD_X.wav",
        "AudioWAV/1001_IEO_JOY_HI.wav",
        "AudioWAV/noise.wav",
    )
    write(root / "AudioWAV/1003_DFA_HAP_XX.wav", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    write(
        root / "processedResults/tabulatedVotes.csv",
        VOTES
        + '"100001",9,0,0,0,0,0,"1001_IEO_ANG_HI",9\n"200001",0,9,0,0,0,0,"1001_IEO_ANG_HI",9\n'
        + '"300001",7,2,0,0,0,0,"1001_IEO_ANG_HI",9\n"300002",0,0,0,0,0,0,"1002_TIE_NEU_XX",0\n'
        + '"300003",0,0,0,0,1,0,"who",1\n',
    )
    write(
        root / "processedResults/summaryTable.csv",
        SUMMARY
        + '"1","1001_IEO_ANG_HI","A:D","60:50","D","50","A","70"\n"2","1091_WSI_DIS_XX","N","60","D","50","D","70"\n',
    )
    write(root / "SentenceFilenames.csv", '"Stimulus_Number","Filename"\n1,"1001_IEO_ANG_HI"\n2,"1004_TSI_FEA_LO"\n')
    write(root / "VideoDemographics.csv", '"ActorID","Age"\n1001,51\n')
    prepared = run("cremad", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert list(clips) == [
        "1001_IEO_ANG_HI", "1002_TIE_NEU_XX", "1003_DFA_HAP_XX", "1004_TSI_FEA_LO", "1040_ITH_SAD_X", "1091_WSI_DIS_XX",
    ]  # fmt: skip
    full = clips["1001_IEO_ANG_HI"]
    assert (full.speaker, full.language, full.text, full.split) == ("1001", "en", "It's eleven o'clock.", None)
    assert (full.label_set, full.label, full.votes) == ("cremad6", "angry", {"angry": 7, "disgusted": 2})
    assert full.modality_labels == {"face": "disgusted"}
    assert full.audio == "CREMA-D/AudioWAV/1001_IEO_ANG_HI.wav"
    assert full.video == "CREMA-D/VideoFlash/1001_IEO_ANG_HI.flv"
    assert clips["1002_TIE_NEU_XX"].audio == "CREMA-D/AudioMP3/1002_TIE_NEU_XX.mp3"
    assert (clips["1040_ITH_SAD_X"].label, clips["1004_TSI_FEA_LO"].label) == ("sad", "fearful")
    assert (clips["1003_DFA_HAP_XX"].audio, clips["1003_DFA_HAP_XX"].text) == (None, "Don't forget a jacket.")
    assert clips["1091_WSI_DIS_XX"].modality_labels == {"speech": "neutral", "face": "disgusted"}
    assert {s.what: s.reason.partition(";")[0] for s in prepared.skipped} == {
        "AudioWAV/1001_IEO_JOY_HI.wav": "is not named like a clip of CREMA-D (actor_sentence_emotion_intensity)",
        "AudioWAV/noise.wav": "is not named like a clip of CREMA-D (actor_sentence_emotion_intensity)",
        "AudioWAV/1003_DFA_HAP_XX.wav": "is a git-lfs pointer, not the media",
        "copy/1001_IEO_ANG_HI.flv": "is a second copy of VideoFlash/1001_IEO_ANG_HI.flv",
        "tabulatedVotes.csv 1002_TIE_NEU_XX": "has no votes",
        "tabulatedVotes.csv row 5": "fileName 'who' is not a clip of CREMA-D",
    }
    write(root / "processedResults/tabulatedVotes.csv", '"","fileName"\n')
    with pytest.raises(ManifestError, match=r"tabulatedVotes.csv lacks the column 'A'"):
        prepare("cremad", root, tmp_path / "m.jsonl")


def test_cremad_with_the_tables_alone(real_data: Path, tmp_path: Path) -> None:
    clips = run("cremad", real_data / "crema_d", tmp_path / "m.jsonl").clips
    assert (len(clips), len({clip.speaker for clip in clips})) == (7442, 91)
    assert Counter(clip.label for clip in clips)["neutral"] == 1087
    majority = [max(clip.votes or {}, key=lambda label, votes=clip.votes: votes[label]) for clip in clips]
    agree = {
        "both": np.mean([clip.label == most for clip, most in zip(clips, majority, strict=True)]),
        "voice": np.mean([clip.label == clip.modality_labels.get("speech") for clip in clips]),
        "face": np.mean([clip.label == clip.modality_labels.get("face") for clip in clips]),
    }
    assert agree["voice"] < 0.45 < 0.6 < agree["face"] < 0.7 < agree["both"] < 0.8
    assert all(len(clip.votes or {}) and clip.text and clip.audio is None for clip in clips)


def test_savee(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "savee",
        "AudioData/DC/a01.wav",
        "AudioData/KL/su15.wav",
        "AudioVisualClip/DC/a1.avi",
        "flat/JE_sa03.wav",
        "AudioData/DC/x01.wav",
        "AudioData/XX/a01.wav",
        "copy/DC/a01.wav",
    )
    prepared = run("savee", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert {name: (clip.speaker, clip.label) for name, clip in clips.items()} == {
        "DC_a01": ("DC", "angry"), "JE_sa03": ("JE", "sad"), "KL_su15": ("KL", "surprised"),
    }  # fmt: skip
    both = clips["DC_a01"]
    assert (both.audio, both.video) == ("savee/AudioData/DC/a01.wav", "savee/AudioVisualClip/DC/a1.avi")
    assert (both.text, both.label_set) == (None, "ekman7")
    assert [s.what for s in prepared.skipped] == ["AudioData/DC/x01.wav", "AudioData/XX/a01.wav", "copy/DC/a01.wav"]


def test_tess(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "tess",
        "OAF_angry/OAF_back_angry.wav",
        "YAF_pleasant_surprised/YAF_youth_ps.wav",
        "OAF_neutral/OA_bite_neutral.wav",
        "again/OAF_back_angry.wav",
        "OAF_angry/OAF_back_bored.wav",
    )
    prepared = run("tess", root, tmp_path / "m.jsonl")
    assert {c.id: (c.speaker, c.label, c.text) for c in prepared.clips} == {
        "OAF_back_angry": ("OAF", "angry", "Say the word back."),
        "OAF_bite_neutral": ("OAF", "neutral", "Say the word bite."),
        "YAF_youth_ps": ("YAF", "surprised", "Say the word youth."),
    }
    assert [s.what for s in prepared.skipped] == ["OAF_angry/OAF_back_bored.wav", "again/OAF_back_angry.wav"]


def test_enterface05(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "ent",
        "subject 1/anger/sentence 1/s1_an_1.avi",
        "subject 11/surprise/sentence 5/s12_su_5.avi",  # bears the number of another
        "subject 12/surprise/sentence 5/s12_su_5.avi",
        "subject 6/sadness/s6_sa_3.avi",  # no folder a sentence
        "all/s44_ha_2.avi",
        "all/s16_su_3avi.avi",  # so published
        "subject 1/anger/sentence 1/s_1_an_1.avi",
        "subject 2/boredom/sentence 1/clip.avi",
    )
    prepared = run("enterface05", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert {name: (clip.speaker, clip.label) for name, clip in clips.items()} == {
        "s44_happy_2": ("44", "happy"),
        "s16_surprised_3": ("16", "surprised"),
        "s1_angry_1": ("1", "angry"),
        "s11_surprised_5": ("11", "surprised"),
        "s12_surprised_5": ("12", "surprised"),
        "s6_sad_3": ("6", "sad"),
    }
    assert clips["s1_angry_1"].audio == clips["s1_angry_1"].video == "ent/subject 1/anger/sentence 1/s1_an_1.avi"
    assert clips["s1_angry_1"].label_set == "ekman6"
    assert [s.what for s in prepared.skipped] == [
        "subject 1/anger/sentence 1/s_1_an_1.avi",
        "subject 2/boredom/sentence 1/clip.avi",
    ]


@pytest.mark.parametrize(
    ("speaker", "encoding", "language", "sentence"),
    [
        ("0001", "gb2312", "zh", "打远一看，它们的确很美。"),
        ("0003", "utf-16", "zh", "打远一看，它们的确很美。"),
        ("0011", "utf-8", "en", "The nine the eggs, I keep."),
        ("0016", "latin-1", "en", "I did go, and made many café prisoners."),
    ],
)
def test_esd(tmp_path: Path, speaker: str, encoding: str, language: str, sentence: str) -> None:
    root = touch(
        tmp_path / "esd",
        f"{speaker}/Neutral/{speaker}_000001.wav",
        f"{speaker}/Angry/train/{speaker}_000351.wav",
        f"{speaker}/Surprise/evaluation/{speaker}_001401.wav",
        f"{speaker}/Happy/test/{speaker}_000722.wav",
        f"{speaker}/Sleepy/{speaker}_000009.wav",
        "0002/Sad/0002_001051.wav",
    )
    neutral = "中立" if language == "zh" else "Neutral"
    write(
        root / f"{speaker}/{speaker}.txt",
        f"{speaker}_000001\t{sentence}\t{neutral}\r\n\r\n{speaker}_000351\t{sentence} Angry\r\nbad line\r\n"
        f"{speaker}_001401\t{sentence}\tSurprise\r\n",
        encoding,
    )
    prepared = run("esd", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert {name[5:]: (clip.label, clip.split, clip.text) for name, clip in clips.items()} == {
        "001051": ("sad", None, None),
        "000351": ("angry", "train", sentence),
        "000722": ("happy", "test", None),
        "000001": ("neutral", None, sentence),
        "001401": ("surprised", "val", sentence),
    }
    assert {clip.speaker: clip.language for clip in clips.values()} == {speaker: language, "0002": "zh"}
    assert {s.what for s in prepared.skipped} == {"0002.txt", f"{speaker}/Sleepy/{speaker}_000009.wav"}


def test_afew(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "afew",
        "Train_AFEW/Angry/000046280.avi",
        "Val_AFEW/Surprise/000046280.avi",
        "Val/Fear/000000111.mp4",
        "Test_AFEW/000000222.avi",
        "Train_AFEW/Bored/000000333.avi",
        "Train_AFEW/AlignedFaces_LBPTOP_Points/Angry/000046280/000.jpg",
        "Train/Angry/000046280.avi",
    )
    prepared = run("afew", root, tmp_path / "m.jsonl")
    assert {c.id: (c.label, c.split, c.speaker) for c in prepared.clips} == {
        "train/000046280": ("angry", "train", None),
        "val/000000111": ("fearful", "val", None),
        "val/000046280": ("surprised", "val", None),
    }
    assert all(clip.audio == clip.video and clip.label_set == "ekman7" for clip in prepared.clips)
    assert sorted(s.what for s in prepared.skipped) == [
        "Test_AFEW/000000222.avi", "Train_AFEW/Angry/000046280.avi", "Train_AFEW/Bored/000000333.avi",
    ]  # fmt: skip


def test_mer2023_as_released(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "mer",
        "train/sample_00000001.avi",
        "train/sample_00000002.mp4",
        "test1/sample_00000001.mp4",
        "audio/sample_00000002.wav",
    )
    write(
        root / "train-label.csv",
        "name,discrete,valence\nsample_00000001,worried,-2.5\nsample_00000002,surprise,5\n"
        "sample_00000003,happy,1\nsample_00000004,bliss,1\n",
    )
    write(root / "test-labels/test1-label.csv", "name,discrete,valence\nsample_00000001,angry,-5\n")
    write(root / "test-labels/test3-label.csv", "name,discrete\nsample_00000009,sad\n")
    write(root / "transcription.csv", "name,sentence\nsample_00000002,你好。\nsample_00000009,再见。\n")
    prepared = run("mer2023", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert {n: (c.label, c.valence, c.split, c.text) for n, c in clips.items()} == {
        "train/sample_00000001": ("worried", -0.5, "train", None),
        "train/sample_00000002": ("surprised", 1.0, "train", "你好。"),
        "test1/sample_00000001": ("angry", -1.0, "test", None),
    }
    assert clips["train/sample_00000001"].video == "mer/train/sample_00000001.avi"
    assert clips["test1/sample_00000001"].video == clips["test1/sample_00000001"].audio
    assert clips["train/sample_00000002"].audio == "mer/audio/sample_00000002.wav"
    assert clips["train/sample_00000001"].label_set == "mer6"
    assert [s.what for s in prepared.skipped] == ["train sample_00000003", "train sample_00000004", "test3"]
    assert prepared.skipped[2].reason.endswith("the option test=test3 takes it in place of test1")
    third = by_id(run("mer2023", root, tmp_path / "m.jsonl", test="test3"))
    assert (third["test3/sample_00000009"].label, third["test3/sample_00000009"].valence) == ("sad", None)
    with pytest.raises(ConfigError, match=r"prepare\.test"):
        prepare("mer2023", root, tmp_path / "m.jsonl", {"test": "test4"})


def corpus(**labels: tuple[str, float]) -> dict[str, Any]:
    return {name: {"emo": emotion, "val": np.float64(valence)} for name, (emotion, valence) in labels.items()}


def test_mer2023_as_prepared_by_the_baseline(tmp_path: Path) -> None:
    root = touch(tmp_path / "mer", "video/a.avi", "video/b.mp4", "video/c.mp4", "audio/a.wav")
    np.savez_compressed(
        root / "label-6way.npz",
        train_corpus=corpus(a=("happy", 2.0), b=("neutral", -10.0)),
        test1_corpus=corpus(c=("neutral", -10)),
        test2_corpus={},
    )
    write(root / "transcription-engchi-polish.csv", "name,english,chinese\na,Good,好\n")
    prepared = run("mer2023", root, tmp_path / "m.jsonl")
    assert {c.id: (c.label, c.valence, c.text, c.audio) for c in prepared.clips} == {
        "train/a": ("happy", 0.4, "好", "mer/audio/a.wav"),
        "train/b": ("neutral", None, None, "mer/video/b.mp4"),
    }
    assert Skipped("test1", "holds 1 clips with placeholders (neutral, -10), not labels") in prepared.skipped


def test_mer2023_never_runs_what_a_label_file_names(tmp_path: Path) -> None:
    root = touch(tmp_path / "mer", "video/a.avi")
    np.savez(root / "label-6way.npz", train_corpus={"a": Call(os.system, f"touch {tmp_path / 'victim'}")})
    with pytest.raises(ManifestError, match=r"label-6way\.npz: names \w+\.system"):
        prepare("mer2023", root, tmp_path / "m.jsonl")
    assert not (tmp_path / "victim").exists()
    np.savez(root / "label-6way.npz", train_corpus=np.arange(3))
    with pytest.raises(ManifestError, match="holds something else than"):
        prepare("mer2023", root, tmp_path / "m.jsonl")
    write(root / "label-6way.npz", "no archive")
    with pytest.raises(ManifestError, match=r"label-6way\.npz: is not an \.npz of arrays"):
        prepare("mer2023", root, tmp_path / "m.jsonl")


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
        "1 turns have neither a sound nor a transcript",
        "nobody knows who speaks in 1 clips; they are kept, without a speaker",
    ]
    other = run("msppodcast", root, tmp_path / "m.jsonl", test="Test2")
    assert [c.id for c in other.clips if c.split == "test"] == ["MSP-PODCAST_0005_0001"]


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
    with pytest.raises(ManifestError, match=r"has no Split_Set, and Partitions\.txt is not there to say the parts"):
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
