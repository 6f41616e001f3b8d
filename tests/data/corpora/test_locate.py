"""Every corpus is found from a folder above it and, where its files say so, from one inside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from multiemo.data.prepare import prepare
from multiemo.errors import ManifestError
from multiemo.registry import corpora
from tests.support.corpora import ET_HEAD, HEAD, podcast, run, table, touch, write


@dataclass(frozen=True)
class Small:
    """A corpus in small.

    Args:
        files: empty ones.
        texts: {file: what it holds}.
        inside: a folder of it that is not the corpus by itself.
        options: of the adapter.
    """

    files: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    inside: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


FACE = " ".join(["7"] * 48 * 48)
SCORES = "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode\nv,1,words,1.0,,,,Positive,train\n"
SCORED = Small(("Raw/v/1.mp4",), {"label.csv": SCORES}, inside="Raw/v")
IEMOCAP = "[1.5 - 2.9]\tSes0{0}F_impro01_F000\thap\t[3.0, 3.0, 3.0]\n"
CORPORA = {
    "afew": Small(("Train_AFEW/Angry/1.avi", "Val_AFEW/Happy/2.avi"), inside="Train_AFEW"),
    "affectnet": Small(("train_set/images/0.jpg",), inside="train_set"),
    "chsims": SCORED,
    "ckplus": Small(
        ("cohn-kanade-images/S005/001/S005_001_00000001.png",),
        {"Emotion/S005/001/S005_001_00000001_emotion.txt": "3.0"},
        inside="cohn-kanade-images",
    ),
    "cmumosei": SCORED,
    "cmumosi": SCORED,
    "cremad": Small(("AudioWAV/1001_IEO_ANG_HI.wav",)),
    "dailydialog": Small(
        texts={"train/dialogues_train.txt": "Hi . __eou__\n", "train/dialogues_emotion_train.txt": "0\n"}
    ),
    "emodb": Small(("wav/03a01Fa.wav",)),
    "emorynlp": Small(
        texts={
            "emorynlp_train_final.csv": "Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode\n"
            "Hi,['Ross'],Joyful,1,1,1,1\n"
        }
    ),
    "emotiontalk": Small(
        ("Audio/wav/G00001_02_07_010.wav",),
        {"emotiontalk.csv": ET_HEAD + "x/G00001_02_07_010,sad,x,happy,sad,angry,后,G00001_02,G00001,07,train\n"},
        inside="Audio/wav",
    ),
    "enterface05": Small(("subject 1/anger/sentence 1/s1_an_1.avi",)),
    "esd": Small(("0001/Angry/0001_000351.wav",), {"0001/0001.txt": "0001_000351\tHi\tAngry\n"}, inside="0001/Angry"),
    "fer2013": Small(("train/angry/a.png", "test/happy/b.png"), inside="train"),
    "ferplus": Small(
        ("images/FER2013Train/fer0000000.png",),
        {
            "fer2013new.csv": "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,"
            "unknown,NF\nTraining,fer0000000.png,9,0,0,0,0,0,0,0,1,0\n"
        },
        inside="images/FER2013Train",
    ),
    "folders": Small(("angry/a.wav", "happy/b.wav")),
    "goemotions": Small(
        texts={
            "ekman/dev.tsv": "Hi\t3\tid1\n",
            "ekman/labels.txt": "anger\ndisgust\nfear\njoy\nneutral\nsadness\nsurprise",
        },
        options={"variant": "ekman"},
    ),
    "hfdataset": Small(options={"text": "said"}),
    "iemocap": Small(
        tuple(f"Session{n}/sentences/wav/Ses0{n}F_impro01/Ses0{n}F_impro01_F000.wav" for n in (1, 2)),
        {f"Session{n}/dialog/EmoEvaluation/Ses0{n}F_impro01.txt": IEMOCAP.format(n) for n in (1, 2)},
        inside="Session1",
    ),
    "meld": Small(
        ("train/train_splits/dia0_utt0.mp4",),
        {"train/train_sent_emo.csv": HEAD + "1,Hi,Ross,fear,negative,0,0,1,1,a,b\n"},
        inside="train/train_splits",
    ),
    "mer2023": Small(("train/a.avi",), {"train-label.csv": "name,discrete,valence\na,happy,1\n"}, inside="train"),
    "mspimprov": Small(
        ("session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav",),
        {"Evalution.txt": "UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.0; V:3.0; D:3.0 ; N:4.0;\n"},
        inside="session1",
    ),
    "msppodcast": Small(
        ("Audios/MSP-PODCAST_0001_0008.wav",),
        {"Labels/labels_consensus.csv": "FileName,EmoClass,Split_Set\nMSP-PODCAST_0001_0008.wav,A,Train\n"},
        inside="Audios",
    ),
    "rafdb": Small(
        ("basic/Image/aligned/train_00001_aligned.jpg",),
        {"basic/EmoLabel/list_patition_label.txt": "train_00001.jpg 5\n"},
        inside="basic/Image",
    ),
    "ravdess": Small(("Actor_01/03-01-05-01-01-01-01.wav",)),
    "savee": Small(("AudioData/DC/a01.wav",), inside="AudioData/DC/nothing"),
    "table": Small(("wavs/a.wav",), {"clips.csv": "file\nwavs/a.wav\n"}, inside="wavs", options={"audio": "file"}),
    "tess": Small(("OAF_angry/OAF_back_angry.wav",)),
}  # fmt: skip


def make(root: Path, corpus: str) -> Small:
    small = CORPORA[corpus]
    touch(root, *small.files)
    for name, text in small.texts.items():
        write(root / name, text)
    if small.inside is not None:
        (root / small.inside).mkdir(parents=True, exist_ok=True)
    if corpus == "affectnet":
        (root / "train_set/annotations").mkdir()
        np.save(root / "train_set/annotations/0_exp.npy", np.array("1"))
    if corpus == "hfdataset":
        root.mkdir(parents=True)
        pl.DataFrame({"said": ["hi"]}).write_parquet(root / "train.parquet")
    return small


@pytest.mark.parametrize("corpus", list(corpora))
def test_a_corpus_is_found_from_above_and_from_inside(tmp_path: Path, corpus: str) -> None:
    root = tmp_path / "disk/data/the corpus"
    small = make(root, corpus)
    touch(tmp_path / "disk/data", "other/readme.md", ".hidden/x")
    at_root = run(corpus, root, tmp_path / "m.jsonl", **small.options)
    assert at_root.root == root
    for place in (root.parent, root.parent.parent):
        above = run(corpus, place, tmp_path / "m.jsonl", **small.options)
        assert [c.id.rsplit("/", 1)[-1] for c in above.clips] == [c.id.rsplit("/", 1)[-1] for c in at_root.clips]
        assert [(c.label, c.split) for c in above.clips] == [(c.label, c.split) for c in at_root.clips]
    if small.inside is not None and not small.inside.endswith("nothing"):
        inside = run(corpus, root / small.inside, tmp_path / "m.jsonl", **small.options)
        assert [(c.id, c.label, c.split) for c in inside.clips] == [(c.id, c.label, c.split) for c in at_root.clips]


@pytest.mark.parametrize("corpus", ["ravdess", "folders"])
def test_a_manifest_inside_its_corpus_can_be_made_again(tmp_path: Path, corpus: str) -> None:
    make(tmp_path / "corpus", corpus)
    out = tmp_path / "corpus/manifests/m.jsonl"
    first = run(corpus, tmp_path / "corpus", out)
    assert (out.parent / "m.media").is_symlink()
    again = run(corpus, tmp_path / "corpus", out)
    assert again.clips == first.clips
    assert not [s.reason for s in again.skipped if ".jsonl" not in s.reason]


def test_of_two_corpora_neither_is_chosen(tmp_path: Path) -> None:
    make(tmp_path / "disk/one", "fer2013")
    make(tmp_path / "disk/two", "fer2013")
    with pytest.raises(
        ManifestError, match=r"found one/, two/; 2 folders in it look like the corpus; name one of .*one, .*two"
    ):
        prepare("fer2013", tmp_path / "disk", tmp_path / "m.jsonl")


def test_a_corpus_beside_the_named_folder_is_not_taken_for_it(tmp_path: Path) -> None:
    podcast(tmp_path / "disk/msp")
    write(tmp_path / "disk/msp/Labels/labels_consensus.csv", CORPORA["msppodcast"].texts["Labels/labels_consensus.csv"])
    (tmp_path / "disk/msp-new").mkdir()
    with pytest.raises(
        ManifestError, match=r"msp-new .*; .*disk above it looks like the corpus; name it if that is what you mean"
    ):
        prepare("msppodcast", tmp_path / "disk/msp-new", tmp_path / "m.jsonl")
    assert not (tmp_path / "m.jsonl").exists()


def test_a_file_of_the_corpus_names_it(tmp_path: Path) -> None:
    make(tmp_path / "raf", "rafdb")
    prepared = run("rafdb", tmp_path / "raf/basic/EmoLabel/list_patition_label.txt", tmp_path / "m.jsonl")
    assert [c.id for c in prepared.clips] == ["train_00001"]
    table(tmp_path / "mosi/label.csv", ("v", 1, "words", 1.0, "", "", "", "", "train"))
    assert len(run("cmumosi", tmp_path / "mosi/label.csv", tmp_path / "m.jsonl").clips) == 1
