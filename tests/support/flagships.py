"""Miniatures of published corpora with real media, and tiny models in place of the large ones that a config names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import timm
import torch
import transformers

from multiemo.config import load_config
from multiemo.data.manifest.reading import read_manifest
from multiemo.media.reading import read_media
from multiemo.synthetic.film import write_wav
from multiemo.synthetic.voice import RATE
from tests.support.corpora import HEAD, ratings, table, write
from tests.support.tiny_speech import save_model
from tests.support.tiny_text import ARCHITECTURES

#: Emotions of MELD, in the words of its table.
_MELD = ("neutral", "joy", "sadness", "anger", "surprise", "fear", "disgust")
_ET = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")


@dataclass(frozen=True)
class Footage:
    """Two films of a person who speaks, and their sound."""

    films: tuple[Path, ...]
    sounds: tuple[Path, ...]

    def film(self, place: Path, number: int) -> None:
        """Put a film at a place; its content tells its format, whatever the suffix."""
        _put(self.films[number % len(self.films)], place)

    def sound(self, place: Path, number: int) -> None:
        """Put the sound of a film at a place."""
        _put(self.sounds[number % len(self.sounds)], place)


def _put(file: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, place)


def footage(manifest: Path, folder: Path) -> Footage:
    """Films of a synthetic corpus in which a face is seen and a voice is heard.

    Args:
        manifest: manifest of the corpus.
        folder: where the sound is written.
    """
    clips = [c for c in read_manifest(manifest) if c.video and {"speech", "face"} <= c.modality_labels.keys()]
    films = tuple(manifest.parent / str(clip.video) for clip in clips[:2])
    sounds = []
    for film in films:
        samples = read_media(film, rate=RATE).audio
        assert samples is not None
        sounds.append(folder / f"{film.stem}.wav")
        write_wav(sounds[-1], samples)
    return Footage(films, tuple(sounds))


# --------------------------------------------------------------------------------------------------------- the corpora
def iemocap(root: Path, media: Footage) -> None:
    """Five sessions, a dialogue each, two actors who show two of four classes each."""
    for session in range(1, 6):
        folder, name = root / f"Session{session}/dialog", f"Ses0{session}F_impro01"
        turns, words = [], []
        for number, (sex, code) in enumerate(zip("FMFM", ("ang", "exc", "sad", "neu"), strict=True)):
            turn, start = f"{name}_{sex}{number:03d}", 0.1 * (number // 2)
            turns.append(f"[{start:.4f} - {start + 1:.4f}]\t{turn}\t{code}\t[{1 + number % 5}.0, 2.5, 3.{number}]\n")
            words.append(f"{turn} [{start:08.4f}-{start + 1:08.4f}]: Turn {number} of the two.\n")
        write(folder / f"EmoEvaluation/{name}.txt", "% [START_TIME - END_TIME]\n\n" + "\n".join(turns))
        write(folder / f"transcriptions/{name}.txt", "".join(words))
        media.film(folder / f"avi/DivX/{name}.avi", session)


def meld(root: Path, media: Footage) -> None:
    """Friends in dialogues of each part."""
    folders = {
        "train": "train/train_splits", "dev": "dev/dev_splits_complete", "test": "test/output_repeated_splits_test",
    }  # fmt: skip
    for part, folder in folders.items():
        rows = []
        turns = [(0, emotion) for emotion in _MELD] + [(1, emotion) for emotion in _MELD[:3]]
        for number, (dialogue, emotion) in enumerate(turns if part == "train" else turns[:3]):
            speaker = ("Joey", "Monica", "Ross")[number % 3]
            rows.append(f'1,"What is it, {number}?",{speaker},{emotion},neutral,{dialogue},{number},1,1,a,b\n')
            media.film(root / folder / f"dia{dialogue}_utt{number}.mp4", number)
        write(root / f"{part}_sent_emo.csv", HEAD + "".join(rows))


def cremad(root: Path, media: Footage) -> None:
    """Six actors who show each emotion once."""
    for actor, code in product(range(1001, 1007), ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")):
        media.sound(root / f"AudioWAV/{actor}_IEO_{code}_XX.wav", actor)
        media.film(root / f"VideoFlash/{actor}_IEO_{code}_XX.flv", actor)


def cmumosei(root: Path, media: Footage) -> None:
    """Five videos in three parts; every emotion occurs, and sentences without any."""
    parts = {"v1": "train", "v2": "train", "v3": "train", "v4": "valid", "v5": "test"}
    rows, judged = [], []
    for video, part in parts.items():
        for clip in range(7 if video == "v1" else 3):
            rows.append((video, clip, f"sentence {clip} of {video}", clip - 3, "", "", "", "", part))
            judged.append((video, str(clip), [int(clip == k) for k in range(6)]))
            media.film(root / f"Raw/{video}/{clip}.mp4", clip)
    table(root / "label.csv", *rows)
    ratings(root / "Labels/5000_batch_raw.csv", *judged)


def chsims(root: Path, media: Footage) -> None:
    """Five films in three parts; the modalities alone are judged differently."""
    parts = {"video_0001": "train", "video_0002": "train", "video_0003": "train", "video_0004": "valid",
             "video_0005": "test"}  # fmt: skip
    rows = []
    for (video, part), (clip, score) in product(parts.items(), enumerate((-0.8, 0.0, 0.6, 1.0), start=1)):
        rows.append((video, f"{clip:04d}", "我不想嫁给他", score, -score, score, 0.0, "", part))
        media.film(root / f"Raw/{video}/{clip:04d}.mp4", clip)
    table(root / "label.csv", *rows)


def msppodcast(root: Path, media: Footage) -> None:
    """Turns of two speakers and of an unknown one to train on, and of others in each published part."""
    speakers = {"19": "Train", "Unknown": "Train", "20": "Train", "88": "Development", "97": "Test1", "98": "Test2"}
    rows, votes = [], []
    for (podcast, (speaker, part)), (turn, code) in product(enumerate(speakers.items(), 1), enumerate("ASHUFDCN")):
        if (podcast + turn) % 2:
            continue
        name = f"MSP-PODCAST_{podcast:04d}_{turn:04d}"
        rows.append(f"{name}.wav,{code},{1 + turn % 7}.0,{7 - turn % 7}.0,{1 + turn % 5}.5,{speaker},Male,{part}\n")
        names = ("Angry", "Sad", "Happy", "Surprise", "Fear", "Disgust", "Contempt", "Neutral")
        votes += [f"{name}.wav,W{n},{names[(turn + n // 2) % 8]}\n" for n in range(3)]
        write(root / f"Transcripts/{name}.txt", f"Not again, {turn}.\n")
        media.sound(root / f"Audios/{name}.wav", turn)
    head = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
    write(root / "Labels/labels_consensus.csv", head + "".join(rows))
    write(root / "Labels/labels_detailed.csv", "FileName,Worker,EmoClass_Major\n" + "".join(votes))


def emotiontalk(root: Path, media: Footage) -> None:
    """Dialogues of two people in each published part, in the JSON files of the release."""
    for group, (dialogue, people) in {
        "G00009": ("42", ("14", "15")), "G00010": ("43", ("16", "17")), "G00001": ("02", ("05", "07")),
        "G00003": ("11", ("12", "13")),
    }.items():  # fmt: skip
        for number in range(7 if group == "G00009" else 3):
            speaker = people[number % 2]
            stem = f"{group}_{dialogue}_{speaker}_{number:03d}"
            place = f"{group}/{group}_{dialogue}/{group}_{dialogue}_{speaker}/{stem}"
            for kind, shift in {"Text": 1, "Audio": 2, "Video": 3, "Multimodal": 0}.items():
                label = _ET[(number + shift) % 7]
                note = {"data": {"a": {"emotion": label}}, "speaker_id": speaker, "emotion_result": label}
                note |= {"content": f"后来第{number}天。"} if kind in ("Text", "Audio") else {}
                write(root / f"{kind}/json/{place}.json", json.dumps(note, ensure_ascii=False))
            media.sound(root / f"Audio/wav/{place}.wav", number)
            media.film(root / f"Multimodal/mp4/{place}.mp4", number)


#: {config: writes the corpus that it is for into a folder}.
MINIATURES: dict[str, Callable[[Path, Footage], None]] = {
    "iemocap": iemocap, "meld": meld, "cremad": cremad, "cmumosei": cmumosei, "chsims": chsims,
    "msppodcast": msppodcast, "emotiontalk": emotiontalk,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- the models
@dataclass(frozen=True)
class StandIns:
    """Tiny model folders of the architectures that the configs name."""

    folder: Path

    def overrides(self, path: Path) -> list[str]:
        """Overrides that replace every hub model that a config names, and shorten what its encoders read."""
        return list(self._overrides(path))

    def _overrides(self, path: Path) -> Iterator[str]:
        for m, part in load_config(path).encoders.items():
            model = str(part.options.get("model", ""))
            if part.name == "text_pretrained" and _is_hub_name(model):
                yield f"encoders.{m}.model={self._text('roberta' if 'roberta' in model else 'bert')}"
            elif part.name == "speech_pretrained" and _is_hub_name(model):
                kind = next(kind for kind in ("wavlm", "hubert", "whisper", "wav2vec2-layer") if kind[:5] in model)
                yield f"encoders.{m}.model={self._speech(kind)}"
                yield f"encoders.{m}.max_seconds=1"
            elif part.name == "face_timm" and part.options.get("pretrained"):
                yield f"encoders.{m}.backbone=local-dir:{self._face()}"
                yield f"encoders.{m}.frames=2"

    def _text(self, name: str) -> Path:
        folder = self.folder / name
        if not folder.exists():
            characters = "abcdefghijklmnopqrstuvwxyz0123456789,.?后来第天我不想嫁给他。"
            pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters)]
            config = ARCHITECTURES[name]()
            config.vocab_size, config.max_position_embeddings = len(pieces), 514
            torch.manual_seed(0)
            transformers.AutoModel.from_config(config).save_pretrained(folder)
            transformers.BertTokenizer(vocab={p: i for i, p in enumerate(pieces)}).save_pretrained(folder)
        return folder

    def _speech(self, kind: str) -> Path:
        return self.folder / kind if (self.folder / kind).exists() else save_model(kind, self.folder)

    def _face(self) -> Path:
        folder = self.folder / "face"
        if not folder.exists():
            torch.manual_seed(0)
            model = timm.create_model("test_vit", num_classes=5, img_size=112)
            model.pretrained_cfg["input_size"] = (3, 112, 112)
            timm.models.save_for_hf(model, str(folder), safe_serialization=True)
        return folder


def _is_hub_name(model: str) -> bool:
    return not model.startswith(("package:", "/", "."))
