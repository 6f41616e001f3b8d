"""Rows keep their rules, files come back as they were written, and every complaint names the row and the value."""

from __future__ import annotations

import copy
import cProfile
import gc
import json
import os
import pickle
import tracemalloc
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multiemo.data.manifest import formats
from multiemo.data.manifest.checks import check_media, check_rows
from multiemo.data.manifest.reading import media_path, read_manifest, write_manifest
from multiemo.data.splits.split import check_disjoint
from multiemo.data.splits.strategies import holdout, kfold
from multiemo.errors import ManifestError, MediaError
from multiemo.labels import LABEL_SETS
from multiemo.types import MODALITIES, Clip, FeatureRef
from tests.support.jsonl import write_lines
from tests.support.progress import Counted

GOOD: dict[str, Any] = {"id": "a", "corpus": "mine", "text": "Hello."}

FULL = Clip(
    id="full",
    corpus="mine",
    speaker="01",
    group="d1",
    language="zh",
    text="你好 👋",
    audio="media/a.wav",
    video="media/a.mp4",
    image="a/../b.png",
    cropped=True,
    features={"face": FeatureRef("au.csv", "full"), "speech": FeatureRef("s.npy")},
    start=0.5,
    end=2.0,
    label_set="ekman7",
    votes={"happy": 3.0, "sad": 0.0},
    modality_labels={"speech": "sad"},
    valence=-1.0,
    arousal=0.0,
    dominance=1.0,
    split="val",
    attributes={"sex": "female", "age": "34"},
)


def lines(path: Path, *rows: Any) -> Path:
    return write_lines(path, rows)


@pytest.mark.parametrize("name", ["m.jsonl", "m.parquet"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    clips = [FULL, Clip(id="bare", corpus="other", text="x"), Clip(
        id="many", corpus="mine", image="i.png", label_set="ekman7", labels=("happy", "sad")
    ), Clip(
        id="own", corpus="mine", text="x", label_set="custom:glad,very sad", label="glad", votes={"very sad": 2.0}
    )]  # fmt: skip
    write_manifest(clips, tmp_path / name)
    assert read_manifest(tmp_path / name) == clips
    assert os.listdir(tmp_path) == [name]


def test_absent_keys_are_missing_in_jsonl(tmp_path: Path) -> None:
    write_manifest([Clip(id="a", corpus="mine", text="x")], tmp_path / "m.jsonl")
    assert json.loads((tmp_path / "m.jsonl").read_text()) == {"id": "a", "corpus": "mine", "text": "x"}


def test_false_is_as_good_as_absent(tmp_path: Path) -> None:
    path = lines(tmp_path / "m.jsonl", {**GOOD, "cropped": False}, {**GOOD, "id": "b", "video": "b.mp4"})
    assert [clip.cropped for clip in read_manifest(path)] == [False, False]
    write_manifest(read_manifest(path), tmp_path / "again.jsonl")
    assert "cropped" not in (tmp_path / "again.jsonl").read_text()


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda s: s.strip())
paths = st.lists(st.text("abc é你.", min_size=1).filter(lambda s: s.strip(".") and s.strip()), min_size=1).map("/".join)
unit = st.floats(-1, 1, allow_nan=False)
label = st.sampled_from(LABEL_SETS["ekman7"])


@st.composite
def clips(draw: st.DrawFn) -> Clip:
    target = draw(
        st.one_of(
            st.fixed_dictionaries({"label": label}),
            st.fixed_dictionaries({"labels": st.lists(label, min_size=1, unique=True).map(tuple)}),
            st.fixed_dictionaries({"votes": st.dictionaries(label, st.floats(0.5, 9), min_size=1)}),
            st.just({}),
        )
    )
    start = draw(st.none() | st.floats(0, 1e6))
    return Clip(
        id=draw(words),
        corpus=draw(words),
        text=draw(words),
        speaker=draw(st.none() | words),
        image="i.png",
        cropped=draw(st.booleans()),
        audio=draw(st.none() | paths),
        features=draw(st.dictionaries(st.sampled_from(MODALITIES), st.builds(FeatureRef, paths, st.none() | words))),
        modality_labels=draw(st.dictionaries(st.sampled_from(MODALITIES), label)),
        start=start,
        end=None if start is None else draw(st.none() | st.just(start + 1)),
        valence=draw(st.none() | unit),
        attributes=draw(st.dictionaries(st.sampled_from(["sex", "age"]), words)),
        split=draw(st.sampled_from([None, "train", "val", "test"])),
        label_set="ekman7",
        **target,
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_manifest_as_windows_saves_it(tmp_path: Path, encoding: str) -> None:
    rows = ['{"id": "1", "corpus": "c", "text": "我很好"}', '{"id": "2", "corpus": "c", "text": "né"}', "{"]
    (tmp_path / "m.jsonl").write_bytes("\r\n".join(rows[:2]).encode(encoding))
    assert [clip.text for clip in read_manifest(tmp_path / "m.jsonl")] == ["我很好", "né"]
    (tmp_path / "m.jsonl").write_bytes("\r\n".join(rows).encode(encoding))
    assert [problem.row for problem in check_rows(tmp_path / "m.jsonl")] == [3]


@settings(max_examples=40, deadline=None)
@given(st.lists(clips(), min_size=1, max_size=5, unique_by=lambda clip: clip.id), st.sampled_from(["jsonl", "parquet"]))
def test_round_trip_of_any_clip(tmp_path_factory: pytest.TempPathFactory, written: list[Clip], form: str) -> None:
    path = tmp_path_factory.mktemp("m") / f"m.{form}"
    write_manifest(written, path)
    assert read_manifest(path) == written


BAD: list[tuple[dict[str, Any], str]] = [
    ({"speker": "x"}, r"unknown key 'speker'; did you mean 'speaker'\?"),
    ({"speaker": None}, "speaker is null .*leave the key out"),
    ({"speaker": 3}, r"speaker is a number \(3\); it must be a string"),
    ({"id": " "}, "id is ' '"),
    ({"text": ""}, "text is ''; leave the key out if there is no text"),
    ({"text": " \n\t"}, "leave the key out if there is no text"),
    ({"start": "1"}, r"start is a string \('1'\); it must be a number"),
    ({"start": True}, r"start is a boolean"),
    ({"start": float("nan")}, "start is nan; it must be a finite number"),
    ({"end": float("inf")}, "end is inf; it must be a finite number"),
    ({"end": 10**400}, "end is inf"),
    ({"start": -0.5}, "start is -0.5; it must be 0 or more"),
    ({"start": 2, "end": 2}, "start 2 is not before end 2"),
    ({"valence": 1.2}, r"valence is 1.2; rescale it to -1..1"),
    ({"label": "happy"}, "the row has label but no label_set"),
    ({"modality_labels": {"face": "sad"}}, "the row has modality_labels but no label_set"),
    ({"label_set": "ekmann7"}, "label_set is 'ekmann7'; did you mean 'ekman7'"),
    ({"label_set": "custom:sad"}, "label_set: 'custom:sad' has fewer than two labels"),
    ({"label_set": "custom:sad,glad", "label": "happy"}, "label: 'happy' is not in label set custom:sad,glad; its"),
    ({"label_set": "ekman7", "votes": {"sad": 1}, "labels": ["sad"]}, "has labels and votes; give one"),
    ({"label_set": "ekman7", "label": "hapy"}, "label: 'hapy' is not in label set ekman7; did you mean 'happy'"),
    ({"label_set": "ekman7", "label": ["happy"]}, "label is a list"),
    ({"label_set": "ekman7", "labels": []}, "labels is .*one or more"),
    ({"label_set": "ekman7", "labels": ["sad", "sad"]}, "twice"),
    ({"label_set": "ekman7", "label": "sad", "labels": ["sad"]}, "has label and labels; give one"),
    ({"label_set": "ekman7", "votes": {"sad": -1}}, "votes.sad is -1; a count must be 0 or more"),
    ({"label_set": "ekman7", "votes": {"sad": 0}}, "sum to 0"),
    ({"label_set": "ekman7", "votes": {"joy": 2}}, "votes: 'joy' is not in label set ekman7"),
    ({"label_set": "ekman7", "votes": ["sad"]}, "votes is a list"),
    ({"label_set": "ekman7", "modality_labels": {"voice": "sad"}}, "modality_labels.voice: unknown modality"),
    ({"modality_labels": None}, "modality_labels is null; it must be an object"),
    ({"label_set": "ekman7", "modality_labels": ["sad"]}, "modality_labels is a list; it must be an object"),
    ({"attributes": ["female"]}, "attributes is a list; it must be an object like"),
    ({"attributes": {"age": 34}}, r"attributes.age is a number \(34\); it must be a string"),
    ({"split": "dev"}, "split is 'dev'; it must be one of train, val, test"),
    ({"audio": "/etc/passwd"}, "audio is the absolute path '/etc/passwd'"),
    ({"audio": "C:\\a.wav"}, "absolute path"),
    ({"video": "a/../../b.mp4"}, r"video 'a/../../b.mp4' leaves the manifest's folder"),
    ({"image": "a\\..\\..\\b.png"}, "leaves the manifest's folder"),
    ({"image": "a\0.png"}, "NUL"),
    ({"image": "a.png", "cropped": "true"}, r"cropped is a string \('true'\); it must be true or false"),
    ({"image": "a.png", "cropped": 1}, r"cropped is a number \(1\); it must be true or false"),
    ({"image": "a.png", "cropped": None}, "cropped is null .*leave the key out"),
    ({"cropped": True}, "cropped is true, but the row has neither image nor video; leave the key out"),
    ({"audio": "a.wav", "cropped": True, "features": {"face": {"path": "a.npy"}}}, "neither image nor video"),
    ({"features": {"face": "au.csv"}}, "features.face is 'au.csv'; it must be an object with 'path'"),
    ({"features": {"face": {"path": "../au.csv"}}}, "features.face.path '../au.csv' leaves"),
    ({"features": {"body": {"path": "x.npy"}}}, "features.body: unknown modality"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[m[:40] for _, m in BAD])
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = lines(tmp_path / "m.jsonl", {"id": "first", "corpus": "mine", "text": "x"}, {**GOOD, **change})
    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(path)
    assert f"{path}, row 2" in str(caught.value)
    assert "\n" not in str(caught.value)
    (problem,) = check_rows(path)
    assert problem.row == 2


@pytest.mark.parametrize("key", ["id", "corpus"])
def test_required_keys(tmp_path: Path, key: str) -> None:
    row = {k: v for k, v in GOOD.items() if k != key}
    with pytest.raises(ManifestError, match=f"row 1.*{key} is missing"):
        read_manifest(lines(tmp_path / "m.jsonl", row))


def test_a_row_without_content(tmp_path: Path) -> None:
    path = lines(tmp_path / "m.jsonl", {"id": "a", "corpus": "mine", "features": {}})
    with pytest.raises(ManifestError, match=r"row 1 \(clip 'a'\): has neither text, audio, video, image nor features"):
        read_manifest(path)


def test_every_bad_row_is_listed_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"id": "a", "corpus": "c", "text": "x"}\n'
        b"\n"
        b'{"id": "a", "corpus": "c", "text": "x"}\n'
        b'{"id": "b", \n'
        b"[1]\n"
        b'{"id": "c", "corpus": "c", "text": "\xff"}\n'
        b'{"id": "d", "corpus": "c", "text": "\\ud83d"}\n'
        b'{"id": "e", "corpus": "c", "text": "\\ud83d\\ude00"}\n'
    )
    problems = check_rows(path)
    assert [p.row for p in problems] == [3, 4, 5, 6, 7]
    assert "id 'a' is also the id of row 1" in problems[0].message
    assert [p.message.split(";")[0].split(" (")[0] for p in problems[1:4]] == [
        "is not JSON", "is a list, not an object", "is not UTF-8 text",
    ]  # fmt: skip
    with pytest.raises(ManifestError, match=r"row 3 \(clip 'a'\).*and 4 more bad rows"):
        read_manifest(path)


def test_parquet_rows_keep_the_same_rules(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    rows = [{**GOOD, "valence": 0.5, "speaker": None}, {**GOOD, "id": "b", "valence": 1.5, "speaker": "x"}]
    pl.DataFrame(rows).write_parquet(path)
    (problem,) = check_rows(path)
    assert (problem.row, problem.id) == (2, "b")
    assert "valence is 1.5" in problem.message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.jsonl", None, "no such file"),
        ("m.jsonl", b"", "has no rows"),
        ("m.parquet", b"not parquet", "is not a Parquet file"),
        ("m.csv", b"id\n", "unknown manifest format '.csv'"),
    ],
)
def test_files_that_are_no_manifests(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path / name)


def test_a_bad_clip_leaves_the_old_manifest(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    write_manifest([Clip(id="a", corpus="mine", text="x")], path)
    with pytest.raises(ManifestError, match=r"not written: row 2.*unique"):
        write_manifest([Clip(id="b", corpus="mine", text="x")] * 2, path)
    with pytest.raises(ManifestError, match="there are no clips"):
        write_manifest([], path)
    assert [clip.id for clip in read_manifest(path)] == ["a"]
    assert os.listdir(tmp_path) == ["m.jsonl"]


def test_media_are_opened_once_and_every_problem_is_named(tmp_path: Path, counted: Counted) -> None:
    (tmp_path / "long.wav").touch()
    (tmp_path / "broken.mp4").touch()
    (tmp_path / "au.csv").write_text("clip,AU01_r\na,1.0\nb,nan\n")
    rows = [
        {"id": "a", "corpus": "c", "audio": "long.wav", "features": {"face": {"path": "au.csv", "key": "a"}}},
        {"id": "b", "corpus": "c", "audio": "long.wav", "features": {"face": {"path": "au.csv", "key": "b"}}},
        {"id": "c", "corpus": "c", "video": "broken.mp4", "audio": "gone.wav"},
        {"id": "bad", "corpus": "c"},
    ]
    opened: list[str] = []

    def probe(path: Path, kind: str) -> None:
        opened.append(path.name)
        if path.name == "broken.mp4":
            raise MediaError(f"{path}: empty file")

    problems = check_media(lines(tmp_path / "m.jsonl", *rows), probe, counted)
    assert opened == ["long.wav", "broken.mp4"]
    assert counted.steps == [(1, 3), (2, 3), (3, 3)]
    assert [(p.row, p.id) for p in problems] == [(2, "b"), (3, "c"), (3, "c")]
    assert "AU01_r" in problems[0].message
    assert "gone.wav" in problems[1].message
    assert "empty file" in problems[2].message


def test_media_path() -> None:
    assert media_path("a/b.wav", Path("m")) == Path("m/a/b.wav")


def many(number: int) -> list[Clip]:
    """Rows of a dialogue corpus, a tenth of them a speaker."""
    return [
        Clip(
            id=f"clip-{i:07d}", corpus="c", speaker=f"spk{i * 10 // number}", group=f"dia{i // 20}", language="en",
            text=f"what is said in {i:07d}", video=f"media/{i // 100:05d}.mp4", start=i + 0.125, end=i + 1.5,
            label_set="ekman7", label=LABEL_SETS["ekman7"][i % 7], modality_labels={"text": "happy"}, valence=0.25,
        )
        for i in range(number)
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_memory_and_work_of_a_row_do_not_grow_with_the_manifest(tmp_path: Path, form: str) -> None:
    """Ten times the rows: at most as many bytes and calls a row, give or take a hash table's spare room."""
    bytes_a_row: dict[str, list[float]] = defaultdict(list)
    calls_a_row: dict[str, list[float]] = defaultdict(list)
    for number in (400, 4000):
        clips, path = many(number), tmp_path / f"{number}.{form}"
        steps: dict[str, Callable[[], object]] = {
            "write": lambda clips=clips, path=path: write_manifest(clips, path),
            "check": lambda path=path: check_rows(path),
            "read": lambda path=path: read_manifest(path),
            "split": lambda clips=clips: check_disjoint(holdout(clips), clips),
            "fold": lambda clips=clips: kfold(clips, 3, 1),
        }
        for name, step in steps.items():
            tracemalloc.start()
            kept = step()
            bytes_a_row[name].append(tracemalloc.get_traced_memory()[1] / number)
            tracemalloc.stop()
            del kept
            profile = cProfile.Profile()
            profile.runcall(step)
            calls_a_row[name].append(sum(entry.callcount for entry in profile.getstats()) / number)
    for figures in (bytes_a_row, calls_a_row):
        for name, (small, large) in figures.items():
            assert large < 1.2 * small, (name, small, large)
    assert bytes_a_row["read"][1] < 1000
    if form == "jsonl":
        assert bytes_a_row["check"][1] < 250
        assert bytes_a_row["write"][1] < 250


def test_rows_share_what_they_repeat(tmp_path: Path) -> None:
    write_manifest(many(20), tmp_path / "m.jsonl")
    first, *others = read_manifest(tmp_path / "m.jsonl")
    for key in ("corpus", "language", "label_set", "group"):
        assert all(getattr(clip, key) is getattr(first, key) for clip in others)
    assert all(clip.features is first.features for clip in others)
    assert copy.deepcopy(others[0]) == pickle.loads(pickle.dumps(others[0])) == others[0]


@pytest.mark.parametrize("group", [3, 100])
def test_parquet_is_read_in_pieces_whatever_its_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    monkeypatch.setattr(formats, "_CHUNK_ROWS", 7)
    clips = many(30)
    write_manifest(clips, tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet") == clips
    pl.read_parquet(tmp_path / "m.parquet").write_parquet(tmp_path / "n.parquet", row_group_size=group)
    assert read_manifest(tmp_path / "n.parquet") == clips
    bad = pl.read_parquet(tmp_path / "m.parquet").with_columns(
        valence=pl.when(pl.col("id") == clips[22].id).then(7.0).otherwise(pl.col("valence"))
    )
    bad.write_parquet(tmp_path / "bad.parquet", row_group_size=group)
    assert [(p.row, p.id) for p in check_rows(tmp_path / "bad.parquet")] == [(23, clips[22].id)]


def test_reading_leaves_garbage_collection_as_it_was(tmp_path: Path) -> None:
    path = lines(tmp_path / "m.jsonl", {"id": "a"})
    assert gc.isenabled()
    with pytest.raises(ManifestError):
        read_manifest(path)
    assert gc.isenabled()
    gc.disable()
    try:
        read_manifest(lines(tmp_path / "m.jsonl", GOOD))
        assert not gc.isenabled()
    finally:
        gc.enable()
