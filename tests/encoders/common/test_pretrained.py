"""Finding pretrained models, and the messages if there are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from multiemo.encoders.common.pretrained import resolve_model
from multiemo.encoders.text.text_pretrained import TextPretrained
from multiemo.errors import ConfigError
from tests.support.tiny_text import save_bert


def test_folders_that_are_no_models(tmp_path: Path):
    where = "text.encoder.model"
    with pytest.raises(ConfigError, match=r"text\.encoder\.model: .* it has no config\.json"):
        resolve_model(str(tmp_path), where)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"no \*.safetensors weights"):
        resolve_model(str(tmp_path), where)
    (tmp_path / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ConfigError, match="does not load as a text model"):
        TextPretrained(model=str(tmp_path))
    for name, words in {
        str(tmp_path / "config.json"): "is not a folder",
        "./missing": "is not a folder",
        "package:no_such_package_here": "no Python package",
        "package:json": "contains no folder",
        "a/b/c": "neither a folder nor a hub name",
    }.items():
        with pytest.raises(ConfigError, match=words):
            resolve_model(name, where)


def test_the_network_is_not_asked_when_offline(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match="'no/such-model' is not in the local model cache and this run is offline"):
        resolve_model("no/such-model", "text.encoder.model")


def test_an_unreachable_hub_is_said_at_once(monkeypatch):
    import huggingface_hub

    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)
    with pytest.raises(ConfigError, match=r"text\.encoder\.model: the hub cannot be reached for 'no/such-model'"):
        resolve_model("no/such-model", "text.encoder.model")


def test_a_model_inside_an_installed_package(monkeypatch, tmp_path: Path):
    package = tmp_path / "some_model_wheel"
    save_bert(package / "deep" / "model")
    (package / "__init__.py").write_text("")
    (package / "deep" / "config.json").write_text("{}")
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve_model("package:some_model_wheel", "text.encoder.model") == str(package / "deep" / "model")
