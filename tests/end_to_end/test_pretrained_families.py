"""Folders of pretrained models of every family: pretrain a branch, fuse, be killed, resume, predict."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
import transformers

import multiemo
from multiemo.config import load_config
from multiemo.data.manifest.reading import read_manifest
from multiemo.runs import load_bundle, train
from multiemo.runs.pipeline import _Session
from tests.support.tiny_decoders import DECODERS, save_decoder
from tests.support.tiny_speech import FAMILIES as SPEECH
from tests.support.tiny_speech import save_model
from tests.support.tiny_text import ARCHITECTURES
from tests.support.tiny_training import Killed

TEXT = ["bert", "roberta", "qwen2"]
FACE = ["test_vit", "test_convnext"]
#: The others run with ``-m slow``, as in CI.
ALWAYS = ("bert",)


def save_text_model(name: str, folder: Path, texts: list[str]) -> Path:
    """With a vocabulary of the texts' own characters."""
    characters = sorted({c for text in texts for c in text.lower() if not c.isspace()})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters)]
    config = ARCHITECTURES[name]()
    config.vocab_size = len(pieces)
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(folder / name)
    transformers.BertTokenizer(vocab={p: i for i, p in enumerate(pieces)}).save_pretrained(folder / name)
    return folder / name


def encoder_of(name: str, folder: Path, texts: list[str]) -> tuple[str, str]:
    """(modality, config line) of an encoder over a folder that is made here."""
    if name in TEXT:
        extra = {"roberta": ", lora: {rank: 2}", "qwen2": ", lora: {rank: 2}, prefix: 'Feeling: '"}.get(name, "")
        decoder = name in DECODERS
        model_folder = save_decoder(folder / name, name) if decoder else save_text_model(name, folder, texts)
        return "text", f"{{name: text_pretrained, model: '{model_folder}', max_tokens: 24{extra}}}"
    if name in FACE:
        torch.manual_seed(0)
        model = timm.create_model(name, num_classes=5)
        timm.models.save_for_hf(model, str(folder / name), safe_serialization=True)
        extra = ", lora: {rank: 2}" if name == "test_vit" else ""
        return "face", f"{{name: face_timm, backbone: 'local-dir:{folder / name}', pretrained: true, frames: 2{extra}}}"
    extra = {"wavlm": ", lora: {rank: 2}", "hubert": ", prosody: true", "whisper": ", freeze: all"}.get(name, "")
    model_folder = save_model(name, folder)
    return "speech", f"{{name: speech_pretrained, model: '{model_folder}', out_dim: 16, max_seconds: 1.5{extra}}}"


@pytest.mark.parametrize(
    "name", [n if n in ALWAYS else pytest.param(n, marks=pytest.mark.slow) for n in (*TEXT, *SPEECH, *FACE)]
)
def test_pretrain_fuse_resume_predict(name, tiny_config, small_corpus, tmp_path, monkeypatch):
    clips = [c for c in read_manifest(small_corpus) if c.video and c.text]
    modality, line = encoder_of(name, tmp_path, [c.text for c in clips])
    other = "speech" if modality == "text" else "text"
    small = {
        "speech": "{name: speech_prosody, width: 4, out_dim: 16}",
        "text": "{name: text_transformer, dim: 16, layers: 1, heads: 2, vocab_size: 600}",
    }
    order = tuple(m for m in ("text", "speech", "face") if m in (modality, other))
    decay = ", ".join(f"{m}: 0.9" for m in order if m != "speech")
    config = load_config(
        tiny_config(
            tmp_path,
            modalities=order,
            encoders=f"{{{modality}: {line}, {other}: {small[other]}}}",
            stages=f"[{modality}, fuse]",
            training=f"{{epochs: 1, batch_size: 8, save_steps: 1, keep: 2, layer_decay: {{{decay}}}}}",
        )
    )
    real = _Session._save

    def falls(self, bundle, folder):
        if folder.name == "model":
            raise Killed
        real(self, bundle, folder)

    monkeypatch.setattr(_Session, "_save", falls)
    with pytest.raises(Killed):
        train(config, tmp_path / "run")
    monkeypatch.setattr(_Session, "_save", real)
    last = sorted((tmp_path / "run" / "state" / "fuse").glob("step-*"))[-1]
    last.unlink()  # as if it had been killed within the epoch
    run = train(config, tmp_path / "run", resume=True)
    assert run.validation.n > 0
    assert load_bundle(tmp_path / "run" / "branches" / modality).model.modalities == (modality,)

    model = multiemo.load(tmp_path / "run")
    answers = (model.predict(small_corpus.parent / c.video, text=c.text) for c in clips)
    answer = next(a for a in answers if set(a["present"]) == set(order))
    assert sum(answer["segments"][0]["probs"].values()) == pytest.approx(1.0, abs=1e-5)
    assert set(answer["segments"][0]["by_modality"]) == set(order)
