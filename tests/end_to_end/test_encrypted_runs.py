"""A run with an encrypted cache and model folder: nothing in them is readable, and commands work with the key."""

from __future__ import annotations

import base64
import json
import shutil

import pytest

from multiemo import encryption
from multiemo.config import load_config
from multiemo.encryption import is_sealed
from multiemo.errors import CheckpointError
from multiemo.runs import train
from multiemo.runs.model_folder import load_bundle

SECRET = bytes(range(32))
pytestmark = pytest.mark.slow


def test_train_resume_evaluate_predict_card_and_purge_with_a_key(tiny_config, small_corpus, tmp_path, cli, monkeypatch):
    corpus = tmp_path / "corpus"
    shutil.copytree(small_corpus.parent, corpus)
    manifest, run = corpus / small_corpus.name, tmp_path / "run"
    monkeypatch.setenv(encryption.KEY, base64.b64encode(SECRET).decode())
    split = "{val: 0.3, test: 0.34, seed: 1}"
    data = f"{{manifest: '{manifest}', cache: '{tmp_path / 'cache'}', workers: 1, split: {split}}}"
    written = tiny_config(tmp_path, data=data)
    train(load_config(written), run)
    rows = [json.loads(line) for line in manifest.read_text("utf-8").splitlines()]
    said = [row["text"] for row in rows if "text" in row]
    texts = {text.encode() for text in said} | {word.encode() for text in said for word in text.split()}
    folders = [tmp_path / "cache", run / "state", *(p for p in (run / "model", *(run / "branches").iterdir()))]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    readable = {"backbone.json", "README.md", "users.lock", "lock.mdb"}
    for file in files:
        content = file.read_bytes()
        assert is_sealed(content) or file.name in {"data.mdb", *readable}, file
        found = [text for text in texts if len(text) > 6 and text in content and file.name != "README.md"]
        assert not found, (file, found)
        assert b"safetensors" not in content
        assert b'"dtype"' not in content
    assert {"model.safetensors", "seen.safetensors", "tokenizer.json", "config.json"} <= {
        f.name for f in files if is_sealed(f.read_bytes())
    }
    assert cli("train", written, "--out", run, "--resume")[0] == 0
    assert cli("evaluate", run, "--json", tmp_path / "e.json")[0] == 0
    assert (run / "model" / "README.md").read_text("utf-8").startswith("---")
    clip = corpus / next(row["video"] for row in rows if "video" in row)
    code, out, _ = cli("predict", run, clip, "--text", "what a day", "--json", "-")
    assert code == 0
    assert json.loads(out)["inputs"][0]["segments"]
    speaker = next(r["speaker"] for r in rows if r["speaker"] in (run / "splits.json").read_text("utf-8"))
    code, out, _ = cli("cache", "purge", "--speaker", speaker, "--run", run, "--manifest", manifest, "--yes")
    assert code == 0, out
    assert is_sealed((run / "model" / "config.json").read_bytes())
    load_bundle(run)
    monkeypatch.delenv(encryption.KEY)
    code, _, error = cli("predict", run, clip)
    assert (code, error.count("\n")) == (1, 1)
    assert "config.json: is encrypted; set MULTIEMO_KEY_FILE" in error
    monkeypatch.setenv(encryption.KEY, bytes(32).hex())
    with pytest.raises(CheckpointError, match="encrypted with another key"):
        load_bundle(run)
    monkeypatch.setenv(encryption.KEY, SECRET.hex())
    weights = run / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: is not the file that config\.json was written for"):
        load_bundle(run)
