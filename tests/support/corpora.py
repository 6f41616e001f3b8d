"""Folders laid out as corpora are, and the adapters run over them."""

from __future__ import annotations

import csv
import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from multiemo.data.manifest.reading import media_path, read_manifest
from multiemo.data.prepare import PreparedCorpus, clip_paths, prepare
from multiemo.types import Clip


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def run(corpus: str, root: Path, out: Path, /, **options: str) -> PreparedCorpus:
    prepared = prepare(corpus, root, out, options)
    assert read_manifest(out) == prepared.clips
    for clip in prepared.clips:
        for path in clip_paths(clip):
            assert media_path(path, out.parent).is_file()
    return prepared


def by_id(prepared: PreparedCorpus) -> dict[str, Clip]:
    return {clip.id: clip for clip in prepared.clips}


HEAD = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
ET_HEAD = "name,text_label,text_raw,audio_label,video_label,mm_label,text,dialogue,group,speaker,official_split\n"
COLUMNS = ("video_id", "clip_id", "text", "label", "label_T", "label_A", "label_V", "annotation", "mode")


def table(path: Path, *rows: tuple[Any, ...]) -> Path:
    out = io.StringIO()
    csv.writer(out).writerows([COLUMNS, *rows])
    return write(path, out.getvalue())


def ratings(path: Path, *rows: tuple[str, str, Sequence[float | str]]) -> Path:
    """A file of raters' answers in the first release of CMU-MOSEI: (video, clip, answers), a row a rater."""
    names = ("happiness", "sadness", "anger", "surprise", "disgust", "fear")
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("HITId", "Input.VIDEO_ID", "Input.CLIP", *(f"Answer.{name}" for name in names)))
    writer.writerows(("x", video, clip, *answers) for video, clip, answers in rows)
    return write(path, out.getvalue())


TURNS = {
    "MSP-PODCAST_0001_0008.wav": "A,5.2,2.2,5.8,19,Male,Train",
    "MSP-PODCAST_0001_0019.wav": "X,4.0,4.0,4.0,19,Male,Train",
    "MSP-PODCAST_0002_0033.wav": "U,7.0,4.0,1.0,Unknown,Unknown,Development",
    "MSP-PODCAST_0003_0001.wav": "C,3.0,3.0,,88,Female,Validation",
    "MSP-PODCAST_0004_0001.wav": "H,4.6,6.0,4.6,97,Female,Test1",
    "MSP-PODCAST_0005_0001.wav": "N,4.0,4.0,4.0,98,Female,Test2",
    "MSP-PODCAST_0006_0001.wav": "Q,4.0,4.0,4.0,99,Female,Train",
    "MSP-PODCAST_0007_0001.wav": "S,4.0,4.0,4.0,99,Female,Train",
}


def podcast(root: Path) -> Path:
    touch(root, *(f"Audios/{name}" for name in TURNS if "_0007_" not in name))
    write(root / "Transcripts/MSP-PODCAST_0001_0008.txt", "Not again.\n")
    return root


def dump(path: Path, tree: Any, protocol: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(tree, protocol))
    return path
