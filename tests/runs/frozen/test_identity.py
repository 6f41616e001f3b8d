"""Nothing that changes what a frozen encoder computes leaves its digest, and so its keys in the cache, unchanged."""

from __future__ import annotations

import inspect
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from multiemo.encoders.base import Encoder
from multiemo.registry import encoders
from multiemo.runs.frozen.identity import _PLACES, embedding_digest, states_digest
from tests.support.tensors import padded, waves
from tests.support.tiny_language_models import save_language_model
from tests.support.tiny_media_models import save_media_model
from tests.support.tiny_speech import save_model
from tests.support.tiny_text import batch, save_tiny

LABELS = ("happy", "sad")
#: {encoder: {argument: a value, another}}, of every argument but those that name a place of weights.
ARGUMENTS: dict[str, dict[str, tuple[Any, Any]]] = {
    "features": {
        "modality": ("face", "text"), "dim": (3, 4), "hidden": (8, 12), "layers": (1, 2), "dropout": (0.5, 0.4),
        "pooling": ("mean", "attention"), "noise": (0.5, 0.4), "feature_dropout": (0.2, 0.1), "max_steps": (9, 8),
        "columns": (("a", "b", "c"), ("a", "b", "d")), "speaker_normalization": (False, True),
    },
    "face_timm": {
        "backbone": ("default", "mobilenetv3_small_050"), "backbone_options": (None, {"stem_width": 4}),
        "size": (32, 48), "frames": (3, 2), "fps": (4.0, 2.0), "detector": ("auto", "haar"),
        "detector_size": (320, 160), "pretrained": (False, False), "dim": (8, 16), "temporal": ("mean", "attention"),
        "dropout": (0.2, 0.1),
        "freeze": ("nothing", "norm"), "lora": (None, {"rank": 2, "targets": ["conv2"]}), "flip": (0.5, 0.0),
        "rotate": (15.0, 0.0), "zoom": (0.15, 0.0), "shift": (0.08, 0.0), "light": (0.25, 0.0), "grey": (0.1, 0.0),
        "erase": (0.25, 0.0), "mirror": (False, True),
    },
    "face_prompted": {
        "language": ("en", "zh"), "frames": (1, 2), "size": (16, 24), "fps": (4.0, 2.0), "detector": ("auto", "haar"),
        "detector_size": (320, 160), "labels": (LABELS, ("happy", "angry")), "task": ("single", "multi"),
    },
    "face_rules": {"dim": (2, 3), "max_steps": (9, 8), "columns": (("AU06_r", "AU12_r"), ("AU06_r", "AU15_r"))},
    "face_rules_landmarks": {
        "size": (32, 48), "frames": (3, 2), "fps": (4.0, 2.0), "detector": ("haar.onnx", "other.onnx"),
    },
    "speech_prosody": {
        "n_mels": (8, 16), "prosody": (True, False), "sample_rate": (16000, 8000), "max_seconds": (3.0, 2.0),
        "trim": (40.0, 0.0), "width": (4, 8), "out_dim": (8, 16), "dropout": (0.3, 0.1), "stretch": (0.15, 0.0),
        "mel_shift": (2.0, 0.0), "pitch_shift": (2.0, 0.0), "gain": (6.0, 0.0), "tilt": (6.0, 0.0),
        "noise": (30.0, 0.0), "time_mask": (0.15, 0.0), "mel_mask": (0.15, 0.0), "channel_mask": (0.1, 0.0),
        "speaker_normalization": (False, True),
    },
    "speech_pretrained": {
        "pooling": ("attentive", "mean"), "layers": ("mixed", "concatenated"),
        "freeze": ("none", "feature_extractor"), "frozen_layers": (0, 1),
        "lora": ({"rank": 2, "alpha": 4.0}, {"rank": 2, "alpha": 8.0}), "prosody": (False, True), "out_dim": (8, 12),
        "dropout": (0.1, 0.2), "time_mask": (0.1, 0.0), "feature_mask": (0.1, 0.0), "whisper_window": ("clip", "30s"),
        "max_seconds": (3.0, 2.0), "trim": (40.0, 0.0), "speaker_normalization": (False, True),
    },
    "speech_prompted": {
        "language": ("en", "zh"), "max_seconds": (2.0, 1.0), "trim": (40.0, 0.0),
        "labels": (LABELS, ("happy", "angry")), "task": ("single", "multi"),
    },
    "speech_rules": {"sample_rate": (16000, 8000), "max_seconds": (3.0, 2.0), "trim": (40.0, 0.0)},
    "text_rules": {"lexicon": ("", "words"), "language": ("", "en")},
    "text_transformer": {
        "dim": (16, 24), "layers": (1, 2), "heads": (2, 4), "dropout": (0.1, 0.2), "token_dropout": (0.1, 0.2),
        "ngram_dim": (8, 4), "ngram_orders": (2, 3), "ngram_buckets": (64, 128), "ngram_dropout": (0.1, 0.2),
        "ngram_weighting": ("count", "tfidf"), "vocab_size": (600, 700), "characters": (False, True),
        "max_tokens": (24, 16), "context": (0, 1),
    },
    "text_pretrained": {
        "pooling": ("mean", "cls"), "freeze": (False, True), "frozen_layers": (0, 1),
        "lora": ({"rank": 2, "alpha": 4.0}, {"rank": 2, "alpha": 8.0}), "max_tokens": (24, 16), "context": (0, 1),
        "prefix": ("", "good"),
    },
    "text_prompted": {
        "language": ("en", "zh"), "max_tokens": (64, 32), "context": (0, 1), "labels": (LABELS, ("happy", "angry")),
        "task": ("single", "multi"),
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """{encoder: folder of the tiny model that it reads}."""
    folder = tmp_path_factory.mktemp("models")
    return {
        "face_prompted": str(save_media_model(folder / "face", "qwen2_vl")),
        "speech_pretrained": str(save_model("whisper", folder)),
        "speech_prompted": str(save_media_model(folder / "speech", "qwen2_audio")),
        "text_pretrained": str(save_tiny(folder / "text", "bert")),
        "text_prompted": str(save_language_model(folder / "words", "qwen2")),
    }


@pytest.fixture(autouse=True)
def _no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiemo.encoders.face.face_rules.make_detector", lambda *_, **__: None)


def made(name: str, models: dict[str, str], **arguments: Any) -> Encoder:
    torch.manual_seed(0)
    by_code = {"modality", "columns", "labels", "task"} | ({"dim"} if name in ("features", "face_rules") else set())
    given = {key: value for key, value in arguments.items() if key in by_code}
    options = {key: value for key, value in arguments.items() if key not in by_code}
    model = {"model": models[name]} if name in models else {}
    built = encoders.build(name, {**model, **options}, where="encoders.x", **given)
    assert isinstance(built, Encoder)
    return built.eval()


def pair(name: str, argument: str, models: dict[str, str], **fixed: Any) -> tuple[Encoder, Encoder]:
    """Two encoders that differ in one argument, with the same weights if these have the same shapes."""
    plain = {key: one for key, (one, _) in ARGUMENTS[name].items()} | fixed
    if argument == "freeze":
        plain["lora"] = None  # the two exclude each other
    if (name, argument) == ("speech_pretrained", "speaker_normalization"):
        plain |= {"freeze": "all", "frozen_layers": 0, "lora": None}  # which it needs
    one = made(name, models, **plain)
    other = made(name, models, **plain | {argument: ARGUMENTS[name][argument][1]})
    shapes = [{key: value.shape for key, value in each.state_dict().items()} for each in (one, other)]
    if shapes[0] == shapes[1]:
        other.load_state_dict(one.state_dict())
    return one, other


def changes() -> Iterator[Any]:
    for name, arguments in ARGUMENTS.items():
        for argument, (one, other) in arguments.items():
            if one != other:
                slow = [pytest.mark.slow] if name.endswith("_prompted") else []
                yield pytest.param(name, argument, marks=slow, id=f"{name}-{argument}")


# other tests register encoders of their own
@pytest.mark.parametrize("name", [name for name in encoders if encoders._modules.get(name, "").startswith("multiemo.")])
def test_two_values_of_every_argument_are_compared(name: str) -> None:
    taken = inspect.signature(encoders.get(name, where="x")).parameters.keys() - _PLACES
    assert taken == ARGUMENTS[name].keys(), "state two values of each argument above"


@pytest.mark.parametrize(("name", "argument"), changes())
def test_another_value_of_an_argument_is_another_digest(name: str, argument: str, models: dict[str, str]) -> None:
    one, other = pair(name, argument, models)
    assert embedding_digest(one, "no") != embedding_digest(other, "no")


@pytest.mark.parametrize("name", ["face_timm", "text_pretrained", "speech_pretrained"])
def test_the_same_encoder_has_the_same_digest(name: str, models: dict[str, str], tmp_path: Path) -> None:
    plain = {key: one for key, (one, _) in ARGUMENTS[name].items()}
    encoder = made(name, models, **plain)
    encoder.save_assets(tmp_path)
    again = made(name, models, **plain, assets=tmp_path)
    again.load_state_dict(encoder.state_dict())
    if name != "text_pretrained":  # its input names the tokenizer
        again.input_spec = encoder.input_spec
        assert embedding_digest(encoder, "no") == embedding_digest(again, "no")
    assert embedding_digest(encoder, "no") == embedding_digest(made(name, models, **plain), "no")
    assert embedding_digest(encoder, "no") != embedding_digest(encoder, "bf16")


def test_defaults_are_recorded_and_a_parent_s_arguments_are_not() -> None:
    class Smaller(type(made("features", {}, modality="face", dim=3))):
        def __init__(self, *, size: int = 4) -> None:
            super().__init__(modality="text", dim=3, hidden=size)

    assert Smaller().options == {"size": 4}
    assert made("features", {}, modality="face", dim=3).options["max_steps"] == 256


#: Frozen parts, and an input of each.
FROZEN = [
    ("text_pretrained", {"freeze": True, "lora": None}),
    ("text_pretrained", {"frozen_layers": 1, "lora": None}),
    ("speech_pretrained", {"freeze": "all", "lora": None}),
    ("speech_pretrained", {"frozen_layers": 1, "lora": None}),
]


@pytest.mark.parametrize(("name", "fixed"), FROZEN, ids=str)
def test_states_have_another_digest_if_they_differ(name: str, fixed: dict[str, Any], models: dict[str, str]) -> None:
    x, mask = batch() if name == "text_pretrained" else padded(waves([0.3, 0.5]))
    kept = []
    for argument in ARGUMENTS[name].keys() - fixed.keys() - {"freeze", "frozen_layers"}:
        one, other = pair(name, argument, models, **fixed)
        parts = [each.frozen_part() for each in (one, other)]
        if parts[0] is None or parts[1] is None:
            continue
        digests = {states_digest(each, part, "no") for each, part in zip((one, other), parts, strict=True)}
        if len(digests) == 2:
            continue
        kept.append(argument)
        with torch.no_grad():
            (states, steps), (others, steps_too) = (each.frozen_states(x, mask) for each in (one, other))
        assert torch.equal(states, others), argument
        assert torch.equal(steps, steps_too), argument
    assert {"out_dim", "dropout"} <= set(kept) or name == "text_pretrained"


def test_the_architecture_of_a_pretrained_model_is_part_of_the_digest(models: dict[str, str], tmp_path: Path) -> None:
    """Another number of heads changes what the same weights compute."""
    folder = shutil.copytree(models["text_pretrained"], tmp_path / "text")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_attention_heads": 4}))
    for fixed in ({"freeze": True}, {"frozen_layers": 1}):
        one = made("text_pretrained", models, max_tokens=24, **fixed)
        other = made("text_pretrained", {"text_pretrained": str(folder)}, max_tokens=24, **fixed)
        other.input_spec = one.input_spec
        parts = one.frozen_part(), other.frozen_part()
        assert parts[0] is not None
        assert parts[1] is not None
        assert embedding_digest(one, "no") != embedding_digest(other, "no")
        assert states_digest(one, parts[0], "no") != states_digest(other, parts[1], "no")
