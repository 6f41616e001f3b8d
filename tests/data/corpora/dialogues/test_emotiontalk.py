"""The adapter ``emotiontalk`` on a miniature of its published layout."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from multiemo.labels import LABEL_SETS
from tests.support.corpora import ET_HEAD, run, touch, write


def test_emotiontalk(tmp_path: Path) -> None:
    root = tmp_path / "et"
    name = "G00001/G00001_02/G00001_02_{0}/G00001_02_{0}_{1}"
    write(
        root / "emotiontalk.csv",
        ET_HEAD
        + f"{name.format('07', '010')},sad,[over/]x,happy,neutral,angry,后,G00001_02,G00001,07,train\n"
        + f"{name.format('05', '009')},sad,x,happy,neutral,surprised,先,G00001_02,G00001,05,val\n"
        + f"{name.format('05', '011')},sad,x,happy,neutral,bliss,坏,G00001_02,G00001,05,val\n",
    )
    touch(
        root,
        "Audio/wav/G00001/G00001_02/G00001_02_05/G00001_02_05_009.wav",
        "Video/mp4/G00001/G00001_02_05_009.mp4",
        "Multimodal/mp4/G00001/G00001_02_05_009.mp4",
    )
    prepared = run("emotiontalk", root, tmp_path / "m.jsonl")
    first, second = prepared.clips
    assert (first.id, first.text, first.label, first.split) == ("G00001_02_05_009", "先", "surprised", "val")
    assert first.modality_labels == {"text": "sad", "speech": "happy", "face": "neutral"}
    assert first.audio == "et/Audio/wav/G00001/G00001_02/G00001_02_05/G00001_02_05_009.wav"
    assert first.video == "et/Multimodal/mp4/G00001/G00001_02_05_009.mp4"
    assert (second.speaker, second.group, second.language, second.audio) == ("07", "G00001_02", "zh", None)
    assert "'bliss'" in prepared.skipped[0].reason


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
        "notes.json": "does not have the path of an annotation of EmotionTalk",
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
