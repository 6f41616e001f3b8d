"""Composite clips: one label and one part for all modalities, even use, no leak, paths that resolve."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from multiemo.data.composite import compose, compose_manifests
from multiemo.data.manifest.reading import media_path, read_manifest, write_manifest
from multiemo.data.manifest.rows import PARTS
from multiemo.data.prepare import clip_paths, prepare
from multiemo.data.splits.split import Split, check_disjoint
from multiemo.data.splits.strategies import by_speakers, holdout, official
from multiemo.errors import ConfigError, ManifestError, SplitError
from multiemo.types import Clip, FeatureRef, Modality

COUNT = {"train": 10, "val": 3, "test": 2}
TWO = ("happy", "sad")


def source(modality: Modality, per_part: int = 4) -> list[Clip]:
    """Clips of two labels and three speakers, each speaker in a part of his own."""
    content = {
        "text": {"text": "words", "language": "en"},
        "speech": {"audio": "a.wav", "text": "must not be taken"},
        "face": {"image": "f.png", "cropped": True, "features": {"face": FeatureRef("au.csv", "k")}},
    }[modality]
    return [
        Clip(id=f"{part}{label}{i}", corpus=f"{modality}-corpus", speaker=f"s-{part}", label_set="ekman7", label=label,
             split=part, **content)
        for part in PARTS for label in TWO for i in range(per_part)
    ]  # fmt: skip


def sources() -> dict[Modality, list[Clip]]:
    return {"text": source("text"), "speech": source("speech"), "face": source("face")}


def test_modalities_share_label_and_part() -> None:
    clips = compose(sources(), label_set="ekman7", per_label=COUNT, labels=TWO, seed=1)
    assert Counter((c.split, c.label) for c in clips) == {(p, lab): n for p, n in COUNT.items() for lab in TWO}
    assert len({c.id for c in clips}) == len(clips)
    first = clips[0]
    assert first == Clip(
        id="composite-train-00000", corpus="composite", speaker="speech-corpus:s-train", language="en", text="words",
        audio="a.wav", image="f.png", cropped=True, features={"face": FeatureRef("au.csv", "k")},
        label_set="ekman7", label="happy", split="train",
        modality_labels={"text": "happy", "speech": "happy", "face": "happy"},
    )  # fmt: skip
    check_disjoint(official(clips), clips)


def test_every_source_clip_is_used_evenly() -> None:
    marked = sources()
    marked["text"] = [replace(c, text=c.id) for c in marked["text"]]
    clips = compose(marked, label_set="ekman7", per_label=COUNT, labels=TWO)
    uses = Counter(c.text for c in clips if c.split == "train" and c.label == "happy")
    assert sorted(uses.values()) == [2, 2, 3, 3]
    assert {c.text for c in clips if c.split == "val"} <= {f"val{label}{i}" for label in TWO for i in range(4)}
    assert all(str(c.text).startswith(f"{c.split}{c.label}") for c in clips)


def test_the_seed_decides() -> None:
    marked = {**sources(), "text": [replace(c, text=c.id) for c in source("text")]}
    made = [compose(marked, label_set="ekman7", per_label=COUNT, labels=TWO, seed=s) for s in (0, 0, 1)]
    assert made[0] == made[1]
    assert made[0] != made[2]


@pytest.mark.parametrize("modality", ["text", "speech", "face"])
def test_a_speaker_in_two_parts_is_refused(modality: Modality) -> None:
    leaky = sources()
    leaky[modality] = [replace(c, speaker="same") for c in leaky[modality]]
    with pytest.raises(
        SplitError, match=f"speaker '{modality}-corpus:same' of the {modality} source is in train and val"
    ):
        compose(leaky, label_set="ekman7", per_label=COUNT, labels=TWO)
    compose(leaky, label_set="ekman7", per_label=COUNT, labels=TWO, group_by={modality: "clip"})


def test_refusals() -> None:
    def attempt(match: str, error: type[Exception] = ManifestError, **change: object) -> None:
        arguments = {"sources": sources(), "label_set": "ekman7", "per_label": COUNT, "labels": TWO, **change}
        given = arguments.pop("sources")
        with pytest.raises(error, match=match):
            compose(given, **arguments)  # type: ignore[arg-type]

    attempt("text has no 'neutral' clip in train; leave the label out", labels=None)
    attempt("'bliss' is not in ekman7", labels=("bliss",))
    attempt("unknown label set 'ekman8'", ConfigError, label_set="ekman8")
    attempt("has label set ekman7, not fer7", label_set="fer7")
    attempt("give a count of 1 or more", per_label={"train": 1})
    attempt("two or three of text, speech, face", sources={"text": source("text")})
    unsplit = {**sources(), "face": [replace(c, split=None) for c in source("face")]}
    attempt("face clip 'trainhappy0' is in no part", SplitError, sources=unsplit)
    attempt("of the speech source has no speech", sources={**sources(), "speech": source("text")})
    spans = [replace(c, start=0.0, end=1.0) for c in source("speech")]
    assert compose({**sources(), "speech": spans}, label_set="ekman7", per_label=COUNT, labels=TWO)[0].end == 1.0
    videos = [replace(c, image=None, video="v.mp4") for c in source("face")]
    attempt("cannot have two spans", sources={**sources(), "speech": spans, "face": videos})


def stored(folder: Path, modality: Modality, **change: object) -> tuple[Path, Split]:
    """A manifest with media files beside it, and its official split."""
    folder.mkdir(parents=True)
    for name in ("a.wav", "f.png", "au.csv"):
        (folder / name).touch()
    clips = [replace(c, **change) for c in source(modality)]  # type: ignore[arg-type]
    write_manifest(clips, folder / "m.jsonl")
    return folder / "m.jsonl", official(clips)


def test_from_manifests_every_path_resolves(tmp_path: Path) -> None:
    out = tmp_path / "run" / "composite.jsonl"
    given = {
        "text": stored(tmp_path / "text", "text"),
        "speech": stored(tmp_path / "speech", "speech", label_set="ravdess8"),
        "face": stored(tmp_path / "run" / "inside", "face"),
    }
    assert compose_manifests(given, out, label_set="ekman7", per_label=COUNT, labels=TWO) == out
    clips = read_manifest(out)
    assert len(clips) == 30
    assert clips[0].audio == "composite.speech.media/a.wav"
    assert clips[0].image == "inside/f.png"
    assert {path.name for path in out.parent.iterdir()} == {"composite.jsonl", "composite.speech.media", "inside"}
    for clip in clips:
        assert all(media_path(path, out.parent).is_file() for path in clip_paths(clip))
    for clip in clips:
        assert clip.label_set == "ekman7"


def test_labels_are_mapped_and_the_lost_are_left_out(tmp_path: Path) -> None:
    clips = [
        *(
            replace(c, label_set="goemotions28", label=None, labels=("joy", "love"), id=f"{c.id}")
            for c in source("text")
        ),
        *(
            replace(c, label_set="goemotions28", label=None, labels=("joy", "anger"), id=f"{c.id}x")
            for c in source("text")
        ),
    ]
    write_manifest(clips, tmp_path / "t.jsonl")
    given = {"text": (tmp_path / "t.jsonl", official(clips)), "speech": stored(tmp_path / "speech", "speech")}
    out = compose_manifests(given, tmp_path / "c.jsonl", label_set="ekman7", per_label=COUNT, labels=["happy"])
    assert {clip.label for clip in read_manifest(out)} == {"happy"}


@pytest.mark.slow
def test_real_corpora(real_data: Path, tmp_path: Path) -> None:
    made: dict[Modality, tuple[Path, Split]] = {}
    clips = prepare("meld", real_data / "meld", tmp_path / "meld.jsonl").clips
    made["text"] = (tmp_path / "meld.jsonl", holdout(clips, group_by="speaker"))
    clips = prepare("ravdess", real_data / "ravdess", tmp_path / "ravdess.jsonl").clips
    made["speech"] = (tmp_path / "ravdess.jsonl", by_speakers(clips, train=["01-12"], val=["13-15"], test=["16-18"]))
    clips = prepare("fer2013", real_data / "fer2013", tmp_path / "fer.jsonl").clips
    made["face"] = (tmp_path / "fer.jsonl", official(clips, group_by="clip"))
    out = compose_manifests(
        made, tmp_path / "run/composite.jsonl", label_set="ekman7", per_label={"train": 40, "val": 20, "test": 20}
    )
    composed = read_manifest(out)
    assert len(composed) == 7 * 80
    for clip in composed:
        assert all(media_path(path, out.parent).is_file() for path in clip_paths(clip))
        actor = int(str(clip.speaker).split(":")[1])
        assert clip.split == ("train" if actor <= 12 else "val" if actor <= 15 else "test")
        assert f"/{'test' if clip.split == 'test' else 'train'}/" in str(clip.image)
