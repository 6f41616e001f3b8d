"""The adapter ``cremad`` on a miniature of its published layout."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ManifestError
from tests.support.corpora import by_id, run, touch, write

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
        + '"300003",0,0,0,0,1,0,"who",1\n"300004",0,0,0,0,0,6,"1040_ITH_SAD_XX",6\n',
    )
    write(
        root / "processedResults/summaryTable.csv",
        SUMMARY
        + '"1","1001_IEO_ANG_HI","A:D","60:50","D","50","A","70"\n"2","1091_WSI_DIS_XX","N","60","D","50","D","70"\n',
    )
    write(root / "SentenceFilenames.csv", '"Stimulus_Number","Filename"\n1,"1001_IEO_ANG_HI"\n2,"1004_TSI_FEA_LO"\n')
    write(root / "VideoDemographics.csv", '"ActorID","Age","Sex"\n1001,51,"Male"\n')
    prepared = run("cremad", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert list(clips) == [
        "1001_IEO_ANG_HI",
        "1002_TIE_NEU_XX",
        "1003_DFA_HAP_XX",
        "1004_TSI_FEA_LO",
        "1040_ITH_SAD_XX",
        "1091_WSI_DIS_XX",
    ]
    full = clips["1001_IEO_ANG_HI"]
    assert (full.speaker, full.language, full.text, full.split) == ("1001", "en", "It's eleven o'clock.", None)
    assert (full.label_set, full.label, full.votes) == ("cremad6", "angry", {"angry": 7, "disgusted": 2})
    assert full.attributes == {"sex": "male", "age": "51", "intensity": "high"}
    assert clips["1091_WSI_DIS_XX"].attributes == {}
    assert full.modality_labels == {"face": "disgusted"}
    assert full.audio == "CREMA-D/AudioWAV/1001_IEO_ANG_HI.wav"
    assert full.video == "CREMA-D/VideoFlash/1001_IEO_ANG_HI.flv"
    assert clips["1002_TIE_NEU_XX"].audio == "CREMA-D/AudioMP3/1002_TIE_NEU_XX.mp3"
    assert (clips["1040_ITH_SAD_XX"].label, clips["1004_TSI_FEA_LO"].label) == ("sad", "fearful")
    irregular = clips["1040_ITH_SAD_XX"]  # the tables name it so, the file ends in _X
    assert (irregular.audio, irregular.votes) == ("CREMA-D/AudioWAV/1040_ITH_SAD_X.wav", {"sad": 6})
    assert (clips["1003_DFA_HAP_XX"].audio, clips["1003_DFA_HAP_XX"].text) == (None, "Don't forget a jacket.")
    assert clips["1091_WSI_DIS_XX"].modality_labels == {"speech": "neutral", "face": "disgusted"}
    assert {s.what: s.reason.partition(";")[0] for s in prepared.skipped} == {
        "AudioWAV/1001_IEO_JOY_HI.wav": "is not named like a clip of CREMA-D (actor_sentence_emotion_intensity)",
        "AudioWAV/noise.wav": "is not named like a clip of CREMA-D (actor_sentence_emotion_intensity)",
        "AudioWAV/1003_DFA_HAP_XX.wav": "is a git-lfs pointer, not the media",
        "copy/1001_IEO_ANG_HI.flv": "is a second copy of VideoFlash/1001_IEO_ANG_HI.flv",
        "tabulatedVotes.csv 1002_TIE_NEU_XX": "has no votes",
        str(root): "2 clips without media file are kept with their sentence alone",
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
