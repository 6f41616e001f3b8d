"""Adapters on miniature layouts as published, on real corpora, and on folders that are something else."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

import multiemo.data.corpora
from multiemo.cli import app
from multiemo.data.corpora.source import mend
from multiemo.data.manifest import read_manifest
from multiemo.data.prepare import prepare
from multiemo.errors import ConfigError, ManifestError
from multiemo.registry import corpora
from multiemo.types import Clip, FeatureRef
from tests.support.corpora import ET_HEAD, HEAD, by_id, run, touch, write


def test_ravdess_merges_the_files_of_a_take(tmp_path: Path) -> None:
    root = touch(
        tmp_path / "RAVDESS",
        "Audio_Speech_Actors_01-24/Actor_01/03-01-05-02-02-01-01.wav",
        "Video_Speech_Actor_01/Actor_01/01-01-05-02-02-01-01.mp4",
        "Video_Speech_Actor_01/Actor_01/02-01-05-02-02-01-01.mp4",
        "Video_Speech_Actor_02/Actor_02/01-01-02-01-01-01-02.mp4",
        "Video_Speech_Actor_02/Actor_02/02-01-03-01-01-01-02.mp4",
        "Audio_Song_Actors_01-24/Actor_01/03-02-04-01-01-01-01.wav",
        "Actor_01/03-01-05-02-02-01-01.flac",
        "Actor_01/notes.wav",
    )
    write(root / "tracked/01-01-02-01-01-01-02.csv", "frame,AU01_r\n1,0\n")
    write(root / "means.csv", "clip,AU01_r\n01-01-05-02-02-01-01,0.5\n01-01-02-01-01-01-02,0.5\nnobody,1\n")
    prepared = run("ravdess", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert list(clips) == ["01-01-02-01-01-01-02", "01-01-03-01-01-01-02", "01-01-05-02-02-01-01"]
    take = clips["01-01-05-02-02-01-01"]
    assert take.audio == "RAVDESS/Actor_01/03-01-05-02-02-01-01.flac"
    assert take.video == "RAVDESS/Video_Speech_Actor_01/Actor_01/01-01-05-02-02-01-01.mp4"
    assert take.features == {"face": FeatureRef("RAVDESS/means.csv", "01-01-05-02-02-01-01")}
    assert (take.label_set, take.label, take.speaker, take.group, take.language) == (
        "ravdess8", "angry", "01", None, "en",
    )  # fmt: skip
    assert take.text == "Dogs are sitting by the door"
    video_only = clips["01-01-03-01-01-01-02"]
    assert video_only.audio is None
    assert video_only.video is not None
    with_sound = clips["01-01-02-01-01-01-02"]
    assert with_sound.audio == with_sound.video
    assert with_sound.label == "calm"
    assert with_sound.features["face"] == FeatureRef("RAVDESS/tracked/01-01-02-01-01-01-02.csv")
    reasons = sorted(s.reason.split(";")[0] for s in prepared.skipped)
    assert reasons == [
        "1 rows are of takes that have face features already",
        "1 rows do not begin with the name of a take",
        "1 takes of the song channel",
        "is a second copy of Actor_01/03-01-05-02-02-01-01.flac",
        "is not named like a RAVDESS take (MM-CC-EE-II-SS-RR-AA, audio 03, video 01 or 02)",
    ]


def test_ravdess_song(tmp_path: Path) -> None:
    root = touch(tmp_path / "r", "Actor_01/03-02-04-01-01-01-01.wav", "Actor_01/03-01-04-01-01-01-01.wav")
    assert list(by_id(run("ravdess", root, tmp_path / "m.jsonl", song="true"))) == [
        "01-01-04-01-01-01-01", "01-02-04-01-01-01-01",
    ]  # fmt: skip
    assert len(run("ravdess", root, tmp_path / "m.jsonl").clips) == 1
    with pytest.raises(ConfigError, match=r"prepare\.song"):
        prepare("ravdess", root, tmp_path / "m.jsonl", {"song": "perhaps"})


def test_fer2013_folders(tmp_path: Path) -> None:
    root = touch(tmp_path / "fer", "train/angry/1.png", "test/fear/1.jpg", "train/grumpy/2.png", "train/3.png")
    prepared = run("fer2013", root, tmp_path / "m.jsonl")
    clips = by_id(prepared)
    assert {k: (c.label, c.split, c.image) for k, c in clips.items()} == {
        "train/angry/1": ("angry", "train", "fer/train/angry/1.png"),
        "test/fear/1": ("fearful", "test", "fer/test/fear/1.jpg"),
    }
    assert all(c.cropped for c in prepared.clips)
    assert sorted(s.what for s in prepared.skipped) == ["train/3.png", "train/grumpy/2.png"]


def test_fer2013_pixels_become_pictures(tmp_path: Path) -> None:
    faces = [" ".join(str((i * k) % 256) for i in range(48 * 48)) for k in (1, 3)]
    rows = [f"3,{faces[0]},Training", f"6,{faces[1]},PublicTest", f"0,{faces[0]},PrivateTest"]
    bad = ["1,1 2 3,Training", f"9,{faces[0]},Training", f"-1,{faces[0]},Training", f"x,{faces[0]},Training"]
    write(tmp_path / "fer/fer2013.csv", "emotion,pixels,Usage\n" + "\n".join(rows + bad) + "\n")
    out = tmp_path / "deep" / "m.jsonl"
    for _ in range(2):  # its own folder may be written again
        prepared = run("fer2013", tmp_path / "fer", out)
    assert [(c.label, c.split) for c in prepared.clips] == [("happy", "train"), ("neutral", "val"), ("angry", "test")]
    assert prepared.clips[0].image == "m.media/train/happy/00001.png"
    assert all(c.cropped for c in prepared.clips)
    picture = cv2.imread(str(out.parent / "m.media/val/neutral/00002.png"), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (48, 48)
    assert " ".join(map(str, picture.ravel())) == faces[1]
    assert len(prepared.skipped) == 4
    touch(tmp_path, "other.media/mine.txt")
    with pytest.raises(ManifestError, match=r"other.media is there already and was not made by prepare"):
        prepare("fer2013", tmp_path / "fer", tmp_path / "other.jsonl")


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("icml_face_data.csv", "emotion, Usage, pixels\n3,Training,{0}\n6,PrivateTest,{0}\n", ["train", "test"]),
        ("train.csv", "emotion,pixels\n3,{0}\n", ["train"]),
        ("train.csv", "emotion, pixels\n3, {0}\n", ["train"]),
        ("fer2013.csv", " Emotion , Pixels , usage\n3,{0}, Training \n 6 ,{0},PrivateTest\n", ["train", "test"]),
        ("mine.csv", 'pixels,"emotion"\n"{0}",3\n', ["train"]),
    ],
)
def test_fer2013_as_the_competition_has_it(tmp_path: Path, name: str, text: str, parts: list[str]) -> None:
    write(tmp_path / "fer" / name, text.format(" ".join(["7"] * 48 * 48)))
    touch(tmp_path / "fer", "train/readme.txt")  # no folder of classes
    place = tmp_path / "fer" / (name if name == "mine.csv" else "")
    prepared = run("fer2013", place, tmp_path / "m.jsonl")
    assert [c.split for c in prepared.clips] == parts
    assert prepared.clips[0].label == "happy"


def test_pictures_are_never_written_through_an_old_link(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "m.media").symlink_to(tmp_path / "precious")
    face = " ".join(["7"] * 48 * 48)
    write(tmp_path / "fer2013.csv", f"emotion,pixels,Usage\n3,{face},Training\n")
    run("fer2013", tmp_path / "fer2013.csv", tmp_path / "m.jsonl")
    assert list((tmp_path / "precious").iterdir()) == []


def test_meld(tmp_path: Path) -> None:
    root = tmp_path / "MELD.Raw"
    write(
        root / "train/train_sent_emo.csv",
        HEAD
        + '2,"That’s all, folks",Joey,joy,positive,10,1,1,1,"00:00:05,000","00:00:06,000"\n'
        + '1,"He\x92s\x85 fine",Monica,anger,negative,10,0,1,1,"00:00:01,000","00:00:02,000"\n'
        + '3,"First",Ross,neutral,neutral,2,0,1,1,"00:00:01,000","00:00:02,000"\n'
        + '4,"What?",Ross,puzzled,neutral,2,1,1,1,"00:00:01,000","00:00:02,000"\n',
    )
    write(root / "dev_sent_emo.csv", HEAD + "1,It’s me,Ross,fear,negative,0,0,1,1,a,b\n", encoding="cp1252")
    touch(root, "train/train_splits/dia10_utt1.mp4", "train/train_splits/._dia10_utt0.mp4")
    prepared = run("meld", root, tmp_path / "m.jsonl")
    assert [c.id for c in prepared.clips] == [
        "train_dia2_utt0",
        "train_dia10_utt0",
        "train_dia10_utt1",
        "dev_dia0_utt0",
    ]
    _, damaged, last, dev = prepared.clips
    assert damaged.text == "He’s… fine"
    assert damaged.video is None
    assert last.video == last.audio == "MELD.Raw/train/train_splits/dia10_utt1.mp4"
    assert (last.speaker, last.group, last.label, last.split) == ("Joey", "train_dia10", "happy", "train")
    assert (last.start, last.end) == (None, None)
    assert (dev.text, dev.label, dev.split, dev.group) == ("It’s me", "fearful", "val", "dev_dia0")
    assert [s.what for s in prepared.skipped] == ["train_sent_emo.csv row 4"]


def test_meld_takes_the_clip_that_was_cut_anew(tmp_path: Path) -> None:
    rows = [f"{u},Hi,Ross,joy,positive,3,{u},1,1,a,b\n" for u in range(3)]
    write(tmp_path / "MELD.Raw/test_sent_emo.csv", HEAD + "".join(rows))
    folder = "test/output_repeated_splits_test"
    names = ("dia3_utt0.mp4", "final_videos_testdia3_utt0.mp4", "final_videos_testdia3_utt1.mp4", "dia3_utt2.mp4")
    touch(tmp_path / "MELD.Raw", *(f"{folder}/{name}" for name in names))
    prepared = run("meld", tmp_path / "MELD.Raw", tmp_path / "m.jsonl")
    taken = [names[1], names[2], names[3]]
    assert [c.video for c in prepared.clips] == [f"MELD.Raw/{folder}/{name}" for name in taken]
    assert [c.audio for c in prepared.clips] == [c.video for c in prepared.clips]
    assert [(s.what, s.reason) for s in prepared.skipped] == [
        (folder, "1 first cuts have a corrected one beside them (final_videos_test*.mp4)")
    ]


@pytest.mark.parametrize(
    ("damaged", "meant"),
    [
        ("It\u00e2\u20ac\u2122s", "It’s"),  # UTF-8 read as Windows-1252
        ("It\u00e2\x80\x99s", "It’s"),  # UTF-8 read as Latin-1
        ("\x93Wow\x94", "“Wow”"),  # Windows-1252 kept as control characters
        ("Nestlé’s fiancée — Adiós…", "Nestlé’s fiancée — Adiós…"),
        ("你好，世界", "你好，世界"),
    ],
)
def test_mending_text(damaged: str, meant: str) -> None:
    assert mend(damaged) == meant
    assert mend(meant) == meant


def test_goemotions(tmp_path: Path) -> None:
    write(tmp_path / "ekman/labels.txt", "anger\ndisgust\nfear\njoy\nneutral\nsadness\nsurprise")
    write(tmp_path / "ekman/dev.tsv", 'He said "hi\t3,4\tid1\nbad\t9\tid2\nbad row\n')
    prepared = run("goemotions", tmp_path, tmp_path / "m.jsonl", variant="ekman")
    (clip,) = prepared.clips
    assert (clip.id, clip.text, clip.labels, clip.label_set, clip.split) == (
        "id1", 'He said "hi', ("happy", "neutral"), "ekman7", "val",
    )  # fmt: skip
    assert [s.what for s in prepared.skipped] == ["dev.tsv line 2", "dev.tsv line 3"]
    with pytest.raises(ConfigError, match=r"prepare\.variant"):
        prepare("goemotions", tmp_path, tmp_path / "m.jsonl", {"variant": "ekmann"})


def test_goemotions_as_published_gives_both_variants(tmp_path: Path) -> None:
    from multiemo.labels import LABEL_SETS

    write(tmp_path / "emotions.txt", "\n".join(LABEL_SETS["goemotions28"]))
    write(tmp_path / "train.tsv", "text\t2,3,17\tid1\n")
    out = tmp_path / "m.jsonl"
    assert run("goemotions", tmp_path, out).clips[0].labels == ("anger", "annoyance", "joy")
    assert run("goemotions", tmp_path, out, variant="ekman").clips[0].labels == ("angry", "happy")
    write(tmp_path / "emotions.txt", "anger\nsplendour")
    with pytest.raises(ManifestError, match=r"lists 2 labels \(anger, splendour, ...\), not those of goemotions28"):
        prepare("goemotions", tmp_path, out)


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


def test_emodb(tmp_path: Path) -> None:
    root = touch(tmp_path / "emodb", "wav/03a01Fa.wav", "wav/16b10Td.wav", "wav/hello.wav")
    prepared = run("emodb", root, tmp_path / "m.jsonl")
    happy, sad = prepared.clips
    assert (happy.id, happy.speaker, happy.label, happy.language) == ("03a01Fa", "03", "happy", "de")
    assert happy.text == "Der Lappen liegt auf dem Eisschrank."
    assert (sad.speaker, sad.label) == ("16", "sad")
    assert [s.what for s in prepared.skipped] == ["wav/hello.wav"]


def test_table(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t/clips.csv",
        "Utterance;emotion;who;from;part\n"
        "Hi there;Joy;ann;1.5;train\n;Joy;ann;;\nOh;bliss;ann;;\nWell;sad;bob;soon;\nNo label;;bob;;test\n",
    )
    options = {
        "text": "Utterance", "label": "emotion", "label_set": "ekman7", "speaker": "who", "start": "from",
        "split": "part", "corpus": "mine", "language": "en",
    }  # fmt: skip
    prepared = run("table", path.parent, tmp_path / "m.parquet", **options)
    assert prepared.clips == [
        Clip(id="clips-000001", corpus="mine", language="en", label_set="ekman7", text="Hi there", label="happy",
             speaker="ann", start=1.5, split="train"),
        Clip(id="clips-000005", corpus="mine", language="en", label_set="ekman7", text="No label", speaker="bob",
             split="test"),
    ]  # fmt: skip
    assert [s.what for s in prepared.skipped] == ["clips.csv row 2", "clips.csv row 3", "clips.csv row 4"]
    for change, message in [
        (
            {"text": "utterance"},
            r"no column 'utterance' .*did you mean 'Utterance'\? its columns: Utterance, emotion, who",
        ),
        ({"label_set": ""}, "unknown label set"),
        ({"txet": "Utterance"}, r"prepare\.txet: unknown option"),
    ]:
        with pytest.raises((ManifestError, ConfigError), match=message):
            prepare("table", path, tmp_path / "m.jsonl", {**options, **change})
    with pytest.raises(ManifestError, match="label and label_set belong together"):
        prepare("table", path, tmp_path / "m.jsonl", {"text": "Utterance", "label": "emotion"})
    with pytest.raises(ManifestError, match="no content"):
        prepare("table", path, tmp_path / "m.jsonl", {"speaker": "who"})


def test_own_labels_go_before_aliases_and_every_change_is_listed(tmp_path: Path) -> None:
    words = ["Joy", "joy", "Contempt", "ANG", "happy", "bliss", "bliss"]
    path = write(tmp_path / "clips.csv", "text,emotion\n" + "".join(f"t,{word}\n" for word in words))
    options = {"text": "text", "label": "emotion", "label_set": "custom:joy,contempt,anger,happy"}
    prepared = run("table", path, tmp_path / "m.jsonl", **options)
    assert [c.label for c in prepared.clips] == ["joy", "joy", "contempt", "anger", "happy"]
    assert prepared.labels == {
        ("Joy", "joy"): 1, ("joy", "joy"): 1, ("Contempt", "contempt"): 1, ("ANG", "anger"): 1, ("happy", "happy"): 1,
        ("bliss", None): 2,
    }  # fmt: skip
    said = CliRunner().invoke(
        app,
        ["prepare", "table", str(path), "--out", str(tmp_path / "m.jsonl"), *(f"{k}={v}" for k, v in options.items())],
    )
    assert (
        "label bliss has no place, left out: 2\nlabel Joy became joy: 1\nlabel Contempt became contempt: 1"
        in said.output
    )
    assert "became happy" not in said.output


def test_a_table_of_face_crops(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    path = write(tmp_path / "faces.csv", "file,said\na.png,\n,hello\n")
    options = {"image": "file", "text": "said", "cropped": "true"}
    prepared = run("table", path, tmp_path / "m.jsonl", **options)
    assert [(c.image, c.text, c.cropped) for c in prepared.clips] == [("a.png", None, True), (None, "hello", False)]
    assert not any(c.cropped for c in run("table", path, tmp_path / "m.jsonl", image="file").clips)
    with pytest.raises(ManifestError, match=r"table: cropped=true, but no pictures; .* image=file"):
        prepare("table", path, tmp_path / "m.jsonl", {"text": "said", "cropped": "true"})
    with pytest.raises(ConfigError, match=r"prepare\.cropped: .*got 'perhaps'"):
        prepare("table", path, tmp_path / "m.jsonl", {**options, "cropped": "perhaps"})


OPTIONS = {"hfdataset": {"text": "text"}, "table": {"text": "text"}}


@pytest.mark.parametrize("corpus", list(corpora))
def test_a_folder_that_is_not_the_corpus(tmp_path: Path, corpus: str) -> None:
    out = tmp_path / "m.jsonl"
    with pytest.raises(ManifestError, match=f"{corpus}: .*gone does not exist; expected"):
        prepare(corpus, tmp_path / "gone", out, OPTIONS.get(corpus, {}))
    root = touch(tmp_path / "wrong", "cats/tom.jpg", "readme.md")
    with pytest.raises(ManifestError, match=r"does not look like the corpus: expected .*; found cats/, readme.md"):
        prepare(corpus, root, out, OPTIONS.get(corpus, {}))
    assert not out.exists()


def test_unknown_corpus(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown corpus 'ravdes'; did you mean 'ravdess'"):
        prepare("ravdes", tmp_path, tmp_path / "m.jsonl")


def test_links(tmp_path: Path) -> None:
    root = touch(tmp_path / "far/ravdess", "Actor_01/03-01-04-01-01-01-01.wav")
    out = tmp_path / "manifests/speech.jsonl"
    (clip,) = run("ravdess", root, out).clips
    assert clip.audio == "speech.media/Actor_01/03-01-04-01-01-01-01.wav"
    link = out.parent / "speech.media"
    assert link.resolve() == root
    link.unlink()
    link.symlink_to(tmp_path)  # an older link is replaced
    run("ravdess", root, out)
    assert link.resolve() == root
    (clip,) = run("ravdess", root, root / "m.jsonl").clips
    assert clip.audio == "Actor_01/03-01-04-01-01-01-01.wav"
    link.unlink()
    link.mkdir()
    with pytest.raises(ManifestError, match=r"speech.media is a real file or folder"):
        prepare("ravdess", root, out)


def test_relative_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "data", "Actor_01/03-01-04-01-01-01-01.wav")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (clip,) = run("ravdess", Path("../data"), Path("m.jsonl")).clips
    assert clip.audio == "m.media/Actor_01/03-01-04-01-01-01-01.wav"
    (clip,) = run("ravdess", Path("../data"), Path("../m.jsonl")).clips
    assert clip.audio == "data/Actor_01/03-01-04-01-01-01-01.wav"


def test_no_link_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = touch(tmp_path / "far", "Actor_01/03-01-04-01-01-01-01.wav")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with pytest.raises(ManifestError, match="put the manifest at or above the corpus folder"):
        prepare("ravdess", root, tmp_path / "m" / "m.jsonl")


def test_text_corpora_make_no_link(tmp_path: Path) -> None:
    write(tmp_path / "src/dev_sent_emo.csv", HEAD + "1,Hi,Ross,fear,negative,0,0,1,1,a,b\n")
    run("meld", tmp_path / "src", tmp_path / "m/meld.jsonl")
    assert [p.name for p in (tmp_path / "m").iterdir()] == ["meld.jsonl"]


REAL = [
    ("ravdess", {}, 1080, {None: 1080}, 18),
    pytest.param("fer2013", {}, 12978, {"train": 9389, "test": 3589}, 0, marks=pytest.mark.slow),
    ("meld", {}, 11098, {"train": 9989, "val": 1109}, 274),
    pytest.param("goemotions", {}, 48836, {"train": 43410, "val": 5426}, 0, marks=pytest.mark.slow),
    pytest.param("goemotions", {"variant": "ekman"}, 48836, {"train": 43410, "val": 5426}, 0, marks=pytest.mark.slow),
    pytest.param("emotiontalk", {}, 17321, {"train": 15413, "val": 1908}, 17, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("corpus", "options", "count", "parts", "speakers"), REAL)
def test_real_corpora(
    real_data: Path,
    tmp_path: Path,
    corpus: str,
    options: dict[str, str],
    count: int,
    parts: dict[str, int],
    speakers: int,
) -> None:
    prepared = prepare(corpus, real_data / corpus, tmp_path / "m.jsonl", options)
    assert len(prepared.clips) == count
    assert prepared.skipped == []
    assert Counter(clip.split for clip in prepared.clips) == parts
    assert len({clip.speaker for clip in prepared.clips} - {None}) == speakers
    if corpus == "ravdess":
        assert all(clip.audio and "face" in clip.features for clip in prepared.clips)
    assert read_manifest(tmp_path / "m.jsonl") == prepared.clips


def test_every_adapter_is_announced_and_imported_when_it_is_wanted() -> None:
    package = Path(multiemo.data.corpora.__file__).parent
    written = [
        re.findall(r'^@corpora.register\("(\w+)"', path.read_text("utf-8"), re.M) for path in package.rglob("*.py")
    ]
    assert sorted(name for names in written for name in names) == corpora.names()
    for name in corpora:
        assert corpora.get(name, where="test").__name__ == name
