"""The same seed gives the same weights on any number of loader workers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from multiemo.config import load_config
from multiemo.inputs import dataset
from multiemo.runs import train

#: Everything in training that is random: the order, dropout, hidden tokens, augmented sound and faces, mixed clips,
#: hidden modalities, clips drawn by label.
_SETTINGS = (
    "encoders.text={name: text_transformer, dim: 16, layers: 1, heads: 2, vocab_size: 600, dropout: 0.2, "
    "token_dropout: 0.2}",
    "encoders.speech={name: speech_prosody, width: 8, out_dim: 16}",
    "encoders.face={name: face_timm, backbone: mobilenetv3_small_050, size: 32, frames: 2, dim: 16}",
    "training.epochs=1",
    "training.mixup=0.2",
    "training.modality_dropout=0.5",
    "training.balanced_sampling=0.5",
)


def weights(folder: Path) -> dict[str, str]:
    """The digest of every file with weights."""
    files = sorted(folder.rglob("model.safetensors"))
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.mark.slow
def test_the_number_of_workers_does_not_change_the_weights(tiny_config, tmp_path, monkeypatch):
    found = {}
    for workers in (0, 1, 2):
        if workers:  # from disk, so that workers load every batch
            monkeypatch.setattr(dataset, "MEMORY_LIMIT", 0)
        else:  # everything happens in this process
            monkeypatch.setattr(dataset, "_MIN_CLIPS_FOR_WORKERS", 10**9)
        given = [*_SETTINGS, f"data.workers={workers or 1}", f"data.cache={tmp_path / f'cache{workers}'}"]
        train(load_config(tiny_config(tmp_path), given), tmp_path / f"run{workers}")
        found[workers] = weights(tmp_path / f"run{workers}")
        monkeypatch.undo()
    assert list(found[0]) == [
        *(f"branches/{m}/model.safetensors" for m in ("face", "speech", "text")),
        "model/model.safetensors",
    ]
    assert found[1] == found[0]
    assert found[2] == found[0]
