"""Valence, arousal and dominance of every adapter that gives them: the direction and the ends of the published scale.

Every fixture is a miniature of the release with the ratings that its classes have there, on the scale and in the
direction of the release. A sign that is turned round, or two dimensions that change places, put a class on the wrong
side of another one.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
import pytest

from multiemo.registry import corpora
from multiemo.types import DIMENSIONS, Clip
from tests.support.corpora import ratings, run, table, touch, write

#: (label, {dimension: rating as published}).
Row: TypeAlias = tuple[str, Mapping[str, float]]

#: What is more than what, whoever rates it: Russell & Mehrabian 1977, table 2 (see multiemo/labels/circumplex.py).
MORE = {
    "valence": [("happy", "sad"), ("happy", "angry"), ("positive", "neutral"), ("neutral", "negative")],
    "arousal": [("angry", "sad"), ("surprised", "sad"), ("happy", "sad")],
    "dominance": [("angry", "sad"), ("happy", "sad")],
}


def vad(valence: float, arousal: float, dominance: float) -> dict[str, float]:
    return {"valence": valence, "arousal": arousal, "dominance": dominance}


def iemocap(root: Path, rows: Sequence[Row]) -> None:
    folder = root / "Session1"
    lines = []
    for number, (label, r) in enumerate(rows):
        name = f"Ses01F_impro01_F{number:03d}"
        code = {"happy": "hap"}.get(label, label[:3])
        ratings = f"[{r['valence']:.4f}, {r['arousal']:.4f}, {r['dominance']:.4f}]"
        lines.append(f"[{number}.5000 - {number}.9000]\t{name}\t{code}\t{ratings}\n")
        touch(folder, f"sentences/wav/Ses01F_impro01/{name}.wav")
    write(folder / "dialog/EmoEvaluation/Ses01F_impro01.txt", "% [START_TIME - END_TIME]\n\n" + "\n".join(lines))


def mspimprov(root: Path, rows: Sequence[Row]) -> None:
    lines = []
    for number, (label, r) in enumerate(rows):
        name = f"S01A-F01-P-FM{number:02d}"
        rated = f"A:{r['arousal']:.6f}; V:{r['valence']:.6f}; D:{r['dominance']:.6f} ; N:4.000000;"
        lines.append(f"UTD-IMPROV-{name}.avi; {label[0].upper()}; {rated}\n")
        touch(root, f"session1/S01A/P/MSP-IMPROV-{name}.wav")
    write(root / "Evalution.txt", "\n".join(lines))


def msppodcast(root: Path, rows: Sequence[Row]) -> None:
    lines = []
    for number, (label, r) in enumerate(rows):
        name = f"MSP-PODCAST_0001_{number:04d}.wav"
        rated = f"{r['arousal']},{r['valence']},{r['dominance']}"
        lines.append(f"{name},{label[0].upper()},{rated},7,Male,Train\n")
        touch(root, f"Audios/{name}")
    head = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
    write(root / "Labels/labels_consensus.csv", head + "".join(lines))


CODES = ("neutral", "happy", "sad", "surprised", "fearful", "disgusted", "angry", "contemptuous")


def affectnet_lists(root: Path, rows: Sequence[Row]) -> None:
    head = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n"
    lines = [
        f"1/{n}.jpg,1,1,9,9,1;2,{CODES.index(label)},{r['valence']},{r['arousal']}" for n, (label, r) in enumerate(rows)
    ]
    touch(root, *(f"Manually_Annotated_Images/1/{n}.jpg" for n in range(len(rows))))
    write(root / "Manually_Annotated_file_lists/training.csv", head + "\n".join(lines))


def affectnet_folders(root: Path, rows: Sequence[Row]) -> None:
    for number, (label, r) in enumerate(rows):
        touch(root, f"train_set/images/{number}.jpg")
        (root / "train_set/annotations").mkdir(exist_ok=True)
        for kind, value in (("exp", CODES.index(label)), ("val", r["valence"]), ("aro", r["arousal"])):
            np.save(root / f"train_set/annotations/{number}_{kind}.npy", np.array(str(value)))


def mer2023(root: Path, rows: Sequence[Row]) -> None:
    lines = [f"sample_{n:08d},{label},{r['valence']}" for n, (label, r) in enumerate(rows)]
    touch(root, *(f"train/sample_{n:08d}.avi" for n in range(len(rows))))
    write(root / "train-label.csv", "name,discrete,valence\n" + "\n".join(lines))


def mmsa(root: Path, rows: Sequence[Row]) -> None:
    table(
        root / "label.csv",
        *(("v", n, "words", r["valence"], "", "", "", "", "train") for n, (_, r) in enumerate(rows)),
    )


OURS = ("happy", "sad", "angry", "surprised", "disgusted", "fearful")


def mosei_emotions(root: Path, rows: Sequence[Row]) -> None:
    mmsa(root, rows)
    ratings(
        root / "Labels/5000_batch_raw.csv",
        *(("v", str(n), [int(label == ours) for ours in OURS]) for n, (label, _) in enumerate(rows)),
    )


def columns(rows: Sequence[Row]) -> dict[str, list[float | str]]:
    return {
        "said": [f"words {n}" for n in range(len(rows))],
        "emotion": [label for label, _ in rows],
        **{name: [r[name] for _, r in rows] for name in DIMENSIONS},
    }


NAMED = {"text": "said", "label": "emotion", "label_set": "ekman7", **{name: name for name in DIMENSIONS}}


@dataclass(frozen=True)
class Case:
    """One published layout.

    Args:
        corpus: the adapter.
        write: makes the folder from rows.
        means: {class: its mean ratings}, where the source below gives them, else ratings of the side it lies on.
        little, much: the ends of the scale, as published.
        options: of the adapter.
    """

    corpus: str
    write: Callable[[Path, Sequence[Row]], object]
    means: Mapping[str, Mapping[str, float]]
    little: Mapping[str, float]
    much: Mapping[str, float]
    options: Mapping[str, str] = field(default_factory=dict)


#: Class means of the two releases: wasef-c/Contrastive_Prototypical_SER, emotion_centroids.csv, brought back to 1..5.
IEMOCAP = {
    "neutral": vad(2.97, 2.73, 2.83), "happy": vad(3.95, 3.12, 2.92), "sad": vad(2.25, 2.56, 2.83),
    "angry": vad(1.91, 3.64, 3.95),
}  # fmt: skip
MSPIMPROV = {
    "neutral": vad(2.95, 3.87, 2.86), "happy": vad(4.05, 3.07, 3.41), "sad": vad(1.99, 3.72, 2.76),
    "angry": vad(1.98, 2.76, 3.55),
}  # fmt: skip
#: The sides that face-analysis/emonet, emonet/data/affecnet.py, cleans the pictures of a class by.
AFFECTNET = {
    "happy": {"valence": 0.6, "arousal": 0.1}, "sad": {"valence": -0.6, "arousal": -0.2},
    "surprised": {"valence": 0.1, "arousal": 0.6}, "fearful": {"valence": -0.2, "arousal": 0.6},
    "angry": {"valence": -0.5, "arousal": 0.5}, "disgusted": {"valence": -0.6, "arousal": 0.4},
}  # fmt: skip
PLAIN = {"happy": vad(0.7, 0.4, 0.3), "sad": vad(-0.6, -0.4, -0.4), "angry": vad(-0.5, 0.6, 0.3)}


def scores(bound: float) -> dict[str, dict[str, float]]:
    return {label: {"valence": sign * bound / 3} for label, sign in (("negative", -1), ("neutral", 0), ("positive", 1))}


def sentiment(corpus: str, bound: float) -> Case:
    return Case(corpus, mmsa, scores(bound), {"valence": -bound}, {"valence": bound})


CASES = {
    "iemocap": Case("iemocap", iemocap, IEMOCAP, vad(1, 1, 1), vad(5, 5, 5)),
    "mspimprov": Case("mspimprov", mspimprov, MSPIMPROV, vad(1, 5, 1), vad(5, 1, 5)),
    "msppodcast": Case(
        "msppodcast",
        msppodcast,
        {label: {d: 4 + 3 * value for d, value in ratings.items()} for label, ratings in PLAIN.items()},
        vad(1, 1, 1),
        vad(7, 7, 7),
    ),
    "affectnet lists": Case(
        "affectnet", affectnet_lists, AFFECTNET, {"valence": -1, "arousal": -1}, {"valence": 1, "arousal": 1}
    ),
    "affectnet folders": Case(
        "affectnet", affectnet_folders, AFFECTNET, {"valence": -1, "arousal": -1}, {"valence": 1, "arousal": 1}
    ),
    "mer2023": Case(
        "mer2023",
        mer2023,
        {"happy": {"valence": 2.5}, "sad": {"valence": -2.5}, "angry": {"valence": -2.0}, "worried": {"valence": -1.5}},
        {"valence": -5},
        {"valence": 5},
    ),
    "cmumosi": sentiment("cmumosi", 3),
    "cmumosei": sentiment("cmumosei", 3),
    "cmumosei emotions": Case(
        "cmumosei",
        mosei_emotions,
        {"happy": {"valence": 1.3}, "sad": {"valence": -0.7}, "angry": {"valence": -1.0}},
        {"valence": -3},
        {"valence": 3},
        {"label_set": "ekman6"},
    ),
    "chsims": sentiment("chsims", 1),
    "table": Case(
        "table",
        lambda root, rows: pl.DataFrame(columns(rows)).write_csv(root / "clips.csv"),
        PLAIN, vad(-1, -1, -1), vad(1, 1, 1), NAMED,
    ),
    "hfdataset": Case(
        "hfdataset",
        lambda root, rows: pl.DataFrame(columns(rows)).write_parquet(root / "train.parquet"),
        PLAIN, vad(-1, -1, -1), vad(1, 1, 1), NAMED,
    ),
}  # fmt: skip


def prepared(case: Case, folder: Path, rows: Sequence[Row]) -> list[Clip]:
    root = folder / "corpus"
    root.mkdir()
    case.write(root, rows)
    clips = run(case.corpus, root, folder / "m.jsonl", **case.options).clips
    assert len(clips) == len(rows)
    return clips


def check_order(clips: Sequence[Clip], dimension: str) -> int:
    """Every pair of ``MORE`` that the clips have is the right way round; how many there are."""
    by_label: dict[str, list[float]] = defaultdict(list)
    for clip in clips:
        (label,) = [clip.label] if clip.label is not None else clip.labels or ()
        by_label[label].append(getattr(clip, dimension))
    pairs = [pair for pair in MORE[dimension] if set(pair) <= by_label.keys()]
    for more, less in pairs:
        assert np.mean(by_label[more]) > np.mean(by_label[less]), f"{dimension}: {more} is not above {less}"
    return len(pairs)


@pytest.mark.parametrize("name", CASES)
def test_classes_lie_on_their_sides(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    clips = prepared(case, tmp_path, list(case.means.items()))
    for dimension in DIMENSIONS:
        if dimension not in case.little:
            assert {getattr(clip, dimension) for clip in clips} == {None}
            continue
        assert check_order(clips, dimension)
        with pytest.raises(AssertionError, match=f"{dimension}: .* is not above"):
            check_order([replace(c, **{dimension: -getattr(c, dimension)}) for c in clips], dimension)


@pytest.mark.parametrize("name", CASES)
def test_the_ends_of_a_scale_are_one(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    label = next(iter(case.means))
    low, high = prepared(case, tmp_path, [(label, case.little), (label, case.much)])
    assert {d: (getattr(low, d), getattr(high, d)) for d in case.little} == dict.fromkeys(case.little, (-1.0, 1.0))


def test_no_adapter_with_dimensions_is_left_out() -> None:
    sources = {name: inspect.getsource(inspect.getmodule(corpora.get(name, where="test"))) for name in corpora}
    giving = {name for name, source in sources.items() if any(d in source for d in DIMENSIONS)}
    assert giving == {case.corpus for case in CASES.values()}
