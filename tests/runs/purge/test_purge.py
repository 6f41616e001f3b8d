"""Removing a person: what is left holds neither their names nor anything made from their clips."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import lmdb
import pytest

from multiemo.data.cache.keys import KINDS, earlier_key, embedding_key
from multiemo.data.cache.store import Store
from multiemo.data.cache.tensors import TensorCache
from multiemo.data.manifest.reading import read_manifest
from multiemo.errors import CheckpointError, ConfigError
from multiemo.inputs.dataset import ClipDataset
from multiemo.progress import Progress
from multiemo.report import save_evaluation
from multiemo.runs import evaluate_run, load_bundle
from multiemo.runs.folder.lock import lock_folder
from multiemo.runs.folder.source import stored_source
from multiemo.runs.purge import folders
from multiemo.runs.purge.purge import purge
from multiemo.runs.purge.records import PurgeReceipt

#: Suffixes of the corpus's media.
MEDIA = (".mp4", ".wav")


class Place:
    """A corpus, a run over it and a cache that holds inputs and embeddings of every clip."""

    def __init__(self, root: Path) -> None:
        self.root, self.run, self.cache = root, root / "run", root / "cache"
        self.manifest = root / "corpus" / "manifest.jsonl"

    def purge(self, speaker: str, **options) -> PurgeReceipt:
        return purge(speaker, cache=self.cache, manifests=[self.manifest], runs=[self.run], **options)

    def fill(self, cache: Path, clips) -> None:
        """Cache the inputs of clips, and an embedding of each."""
        bundle = load_bundle(self.run)
        store = TensorCache(cache)
        dataset = ClipDataset(clips, self.manifest.parent, bundle.inputs, bundle.space(), cache=store)
        found = dataset.prepare()
        for m, lengths in found.lengths.items():
            for i in (i for i, length in enumerate(lengths) if length):
                store.put(embedding_key(dataset.input_key(i, m), "weights"), dataset[i].inputs[m])
        store.close()

    def files(self) -> dict[str, bytes]:
        """Everything but media, by path; of the cache its entries, since the file itself may change when it is read."""
        kept = {}
        for path in sorted(self.root.rglob("*")):
            if path.is_file() and path.suffix not in MEDIA and path.name not in (".lock", "lock.mdb", "users.lock"):
                kept[path.relative_to(self.root).as_posix()] = path.read_bytes() if path.name != "data.mdb" else b""
        return kept | {key.hex(): b"" for key in keys(self.cache)}


def keys(cache: Path) -> set[bytes]:
    """The keys of a cache, read without our code."""
    with lmdb.open(str(cache), readonly=True, lock=False, max_dbs=2) as environment:
        table = environment.open_db(b"entries", create=False)
        with environment.begin(db=table) as transaction:
            return {bytes(key) for key, _ in transaction.cursor()}


def without_digests(found: set[bytes]) -> set[bytes]:
    """Keys without those of file digests, which depend on paths."""
    return {key for key in found if key[-1] != KINDS.index("file digest")}


def copy(source: Path, target: Path) -> None:
    """Copy a place; media are linked."""
    shutil.copytree(source, target, copy_function=lambda a, b: (os.link if a.endswith(MEDIA) else shutil.copy2)(a, b))


@pytest.fixture(scope="module")
def original(tiny_run, small_corpus, tmp_path_factory) -> Place:
    place = Place(tmp_path_factory.mktemp("place"))
    shutil.copytree(small_corpus.parent, place.root / "corpus")
    shutil.copytree(tiny_run, place.run)
    (place.run / "places.json").write_text(json.dumps({"manifests": {}, "cache": None}))
    save_evaluation(place.run, evaluate_run(place.run, manifest=place.manifest, split="test"))
    place.fill(place.cache, read_manifest(place.manifest))
    return place


@pytest.fixture
def place(original, tmp_path) -> Place:
    copy(original.root, tmp_path / "place")
    return Place(tmp_path / "place")


def person_of(place: Place, part: str) -> str:
    """A speaker of a part of the split, without the corpus."""
    return json.loads((place.run / "splits.json").read_text())["fuse"]["groups"][part][0].partition(":")[2]


def find(root: Path, names: list[bytes]) -> list[Path]:
    """The files whose bytes or whose path contain a name."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return [p for p in files if any(name in p.read_bytes() or name in bytes(p.relative_to(root)) for name in names)]


@pytest.mark.parametrize("part", ["train", pytest.param("test", marks=pytest.mark.slow)])
def test_nothing_of_the_person_is_left(place, part, tmp_path, conforms):
    speaker = person_of(place, part)
    clips = read_manifest(place.manifest)
    own = [clip for clip in clips if clip.speaker == speaker]
    names = [speaker.encode(), *(clip.id.encode() for clip in own)]
    place.fill(tmp_path / "own", own)
    made_from_them = without_digests(keys(tmp_path / "own"))
    assert made_from_them <= keys(place.cache), "otherwise the comparison below compares nothing"
    assert {path.name for path in find(place.root, names)} >= {"manifest.jsonl", "splits.json"}
    before, files = keys(place.cache), {path for clip in own for path in (clip.audio, clip.video) if path}

    receipt = place.purge(speaker, media=True, dry=False)

    assert find(place.root, names) == []
    left = keys(place.cache)
    assert not left & made_from_them
    assert without_digests(left) == without_digests(before) - made_from_them, "entries of other people are lost"
    assert len(before) - len(left) == len(made_from_them) + len(files), "digests of their files are left"
    data = (place.cache / "data.mdb").read_bytes()
    assert not any(key in data for key in made_from_them), "deleted entries stay in unused space"
    conforms(json.loads(json.dumps(receipt)), PurgeReceipt)
    assert receipt.clips == len(own)
    weights = [entry.place for entry in receipt.remains if "weights" in entry.why]
    folders = ["branches/face", "branches/speech", "branches/text", "model"] if part == "train" else []
    assert sorted(weights) == [str(place.run / folder) for folder in folders]

    files = place.files()
    again = place.purge(speaker, media=True, dry=False)
    assert again.removed == []
    assert place.files() == files

    source, _ = stored_source(place.run, load_bundle(place.run), place.manifest)
    assert source.part("test"), "the run has lost its split"


def test_a_listing_changes_nothing_and_lists_what_is_removed(place):
    speaker, before = person_of(place, "train"), place.files()
    listing = place.purge(speaker)
    assert not listing.done
    assert place.files() == before
    assert place.purge(speaker, dry=False).removed == listing.removed != []


@pytest.mark.fault("kill -9 during `cache purge`", "the next call finishes it")
@pytest.mark.slow
def test_an_interrupted_purge_is_finished_by_the_next_call(place, tmp_path, monkeypatch):
    speaker = person_of(place, "test")
    whole = Place(tmp_path / "whole")
    copy(place.root, whole.root)
    whole.purge(speaker, dry=False)
    original, written = folders.write_atomically, []

    def interrupted(path: Path, content) -> None:
        if len(written) == stop:
            raise KeyboardInterrupt
        written.append(path)
        original(path, content)

    for stop in (0, 3):
        other = Place(tmp_path / f"stopped{stop}")
        copy(place.root, other.root)
        written.clear()
        monkeypatch.setattr(folders, "write_atomically", interrupted)
        try:
            other.purge(speaker, dry=False)
        except KeyboardInterrupt:
            monkeypatch.setattr(folders, "write_atomically", original)
            other.purge(speaker, dry=False)
        else:
            pytest.fail("it was not interrupted")
        monkeypatch.setattr(folders, "write_atomically", original)
        same, expected = other.files(), whole.files()
        for receipts in ("run/purges.jsonl", "cache/purges.jsonl"):
            del same[receipts], expected[receipts]
        assert same == expected


def test_a_run_in_use_is_refused_and_not_touched(place):
    before = place.files()
    with (
        lock_folder(place.run, Progress()),
        pytest.raises(CheckpointError, match=r"is using this folder"),
    ):
        place.purge(person_of(place, "train"), dry=False)
    assert place.files() == before


def test_entries_are_found_after_their_media_are_gone(place):
    speaker = person_of(place, "train")
    files = sorted((place.root / "corpus").rglob(f"{speaker}-*"))
    store = TensorCache(place.cache)
    for path in files[1:]:
        store.content_digest(path)
    store.close()
    for path in files:
        path.unlink()
    receipt = place.purge(speaker, dry=False)
    (count,) = (entry.count for entry in receipt.removed if entry.what == "cache entries")
    assert count > 5 * len(files), "only entries of texts were found"
    assert any(entry.why.startswith("1 media files of the person are missing") for entry in receipt.remains)


def test_entries_of_unknown_origin_are_removed_too(place):
    key = min(key for key in keys(place.cache) if key[-1] == 1)
    opened = Store(place.cache)
    opened.run(lambda t, o: t.put(earlier_key(key), b"x", db=o.entries), write=True)
    opened.close()
    receipt = place.purge(person_of(place, "train"), dry=False)
    assert [e.count for e in receipt.removed if "earlier version" in e.what] == [1]
    assert earlier_key(key) not in keys(place.cache)


def test_a_name_of_two_people_is_refused(place):
    rows = place.manifest.read_text().splitlines()
    row = json.loads(rows[0])
    row |= {"id": "other", "corpus": "elsewhere"}
    place.manifest.write_text("\n".join([*rows, json.dumps(row)]) + "\n")
    with pytest.raises(ConfigError, match=f"elsewhere:{row['speaker']}, synthetic-demo:{row['speaker']}"):
        place.purge(row["speaker"])
    assert place.purge(f"elsewhere:{row['speaker']}").clips == 1


def test_the_command_lists_removes_and_writes_a_receipt(place, cli):
    speaker = person_of(place, "train")
    command = ["cache", "purge", "--speaker", speaker, "--run", place.run, "--manifest", place.manifest]
    code, output, _ = cli(*command, "--folder", place.cache)
    assert code == 0
    assert "--yes removes it" in output
    assert "the person's media files are kept; --media deletes them" in output
    code, output, _ = cli(*command, "--folder", place.cache, "--yes", "--json", "-")
    assert code == 0
    (receipt,) = json.loads(output)["receipts"]
    assert receipt["done"]
    assert speaker not in output.replace(str(place.root), "")
    assert "nothing found" in cli(*command, "--folder", place.cache)[1]
