"""Private runs: which encoders and settings they take, what they spend, and what a model folder says about it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

import multiemo.encoders  # noqa: F401  (registers)
from multiemo.config import load_config, parse_config
from multiemo.config.reading import stored_config
from multiemo.data.collate import Collate
from multiemo.data.splits.seen import Seen
from multiemo.errors import ConfigError
from multiemo.model import EmotionModel
from multiemo.registry import encoders
from multiemo.runs import train
from multiemo.runs.evaluation import evaluate_run
from multiemo.runs.folder.privacy_facts import PrivacyFacts
from multiemo.runs.model_folder import load_bundle
from multiemo.runs.parts import build_encoder
from multiemo.runs.private import check_unprotected, plan_private
from multiemo.training.objectives import Labels
from multiemo.training.private import PrivateGradients, PrivateStage, unit_masses
from multiemo.types import Clip, FaceSpec, Sample, SpeechSpec, TextSpec

BASE = {
    "name": "x",
    "label_set": "polarity3",
    "data": {"manifest": "m.jsonl"},
    "encoders": {"text": {"name": "text_transformer"}},
    "stages": ["text"],
    "privacy": {"epsilon": 8.0},
}
#: Small options of the encoders that learn from scratch, which is all that have parameters and no ``model``.
FROM_SCRATCH = {
    "text_transformer": {"dim": 16, "layers": 1, "heads": 2, "ngram_dim": 8, "ngram_buckets": 64, "vocab_size": 600},
    "speech_prosody": {"width": 4, "out_dim": 16},
    "face_timm": {"dim": 16, "size": 32},
    "features": {},
}


def private_encoder(name, **options):
    modality = encoders.facts(name)["modality"] or "face"
    values = {**BASE, "encoders": {modality: {"name": name, **options}}, "stages": [modality]}
    return modality, build_encoder(stored_config(values), modality, feature_dim=5 if name == "features" else None)


def one_input(spec):
    if isinstance(spec, TextSpec):
        return torch.randint(5, 11, (6,))
    if isinstance(spec, SpeechSpec):
        return torch.randn(40, spec.n_mels + 11 * spec.prosody)
    if isinstance(spec, FaceSpec):
        return torch.randint(0, 256, (2, 3, spec.size, spec.size), dtype=torch.uint8)
    return torch.randn(4, 5)


def test_every_encoder_that_learns_from_scratch_is_listed_here():
    ours = {name for name in encoders.names() if encoders.get(name, where=name).__module__.startswith("multiemo.")}
    others = {name for name in ours if "rules" in name or "pretrained" in name or "prompted" in name}
    assert ours == others | set(FROM_SCRATCH)


@pytest.mark.parametrize("name", FROM_SCRATCH)
def test_encoders_from_scratch_train_privately(name):
    torch.manual_seed(0)
    modality, encoder = private_encoder(name, **FROM_SCRATCH[name])
    assert not any(isinstance(norm, _BatchNorm) for norm in encoder.modules())
    objective = Labels(
        EmotionModel({modality: encoder}, 3), load_defaults(), task="single", frequencies=torch.full((3,), 1 / 3)
    ).train()
    sample = Sample(
        "a", "c", "s", {modality: one_input(encoder.input_spec)}, {}, torch.eye(3)[0], torch.full((3,), torch.nan)
    )
    batch = Collate((modality,), 3)([sample])
    private = PrivateGradients(PrivateStage(0.0, 1.0, 1.0, 1.0), objective, list(objective.parameters()))
    for _ in range(2):  # buffers are compared after the first
        objective(batch, unit_masses(objective, batch, 1)).backward()
        private.add()
    private.release()
    moved = sum(bool(p.grad.abs().sum() > 0) for p in objective.parameters())
    assert moved > 0.8 * len(list(objective.parameters()))


@pytest.mark.parametrize("backbone", ["default", "mobilenetv3_small_050"])
def test_faces_without_batch_norm_are_read_the_same_alone_and_padded(backbone):
    torch.manual_seed(0)
    _, encoder = private_encoder("face_timm", dim=16, size=32, backbone=backbone)
    encoder.eval()
    x, mask = torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8), torch.tensor([[1, 1, 1], [1, 0, 0]]).bool()
    torch.testing.assert_close(encoder(x, mask)[1:], encoder(x[1:, :1], mask[1:, :1]), atol=2e-4, rtol=1e-3)


def test_a_frozen_backbone_keeps_its_batch_norm():
    _, encoder = private_encoder("face_timm", dim=16, size=32, freeze="backbone")
    assert any(isinstance(norm, _BatchNorm) for norm in encoder.modules())


def load_defaults():
    return parse_config(BASE).training_of("text")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"training": {"mixup": 0.4}}, r"training\.mixup: 0\.4 mixes clips"),
        ({"training": {"balanced_sampling": 1.0}}, r"training\.balanced_sampling"),
        ({"training": {"accumulate": 2}}, r"training\.accumulate"),
        ({"training": {"budget": {"text": 100.0}}}, r"training\.budget"),
        ({"per_stage": {"text": {"unfreeze": {"text": 1.0}}}}, r"per_stage\.text\.unfreeze"),
        ({"training": {"clip_norm": 2.0}}, r"training\.clip_norm: .*privacy\.max_grad_norm"),
        ({"compile": True}, r"compile: "),
        ({"precision": "fp16"}, r"precision: fp16"),
        ({"privacy": {"epsilon": 0}}, r"privacy\.epsilon"),
        ({"privacy": {"epsilon": 1, "max_norm": 1}}, r"privacy\.max_norm: unknown config key; did you mean"),
        ({"privacy": {"epsilon": 1, "unit": "group"}}, r"privacy\.unit"),
    ],
)
def test_settings_that_would_break_the_guarantee_are_refused_by_their_key(change, words):
    with pytest.raises(ConfigError, match=words):
        parse_config({**BASE, **change})


def test_recipes_leave_out_what_privacy_excludes():
    speech = {**BASE, "encoders": {"speech": {"name": "speech_prosody"}}, "stages": ["speech"]}
    recipe = parse_config(speech).recipes["speech"]
    assert "mixup" not in recipe
    assert "clip_norm" not in recipe
    assert recipe["ema"] == 0.995
    assert parse_config({**speech, "privacy": None}).recipes["speech"]["mixup"] == 0.8


def part_of(clips):
    return SimpleNamespace(dataset=SimpleNamespace(clips=clips))


def test_a_delta_above_one_in_n_and_people_without_names_are_refused():
    part = part_of([Clip(id=str(i), corpus="c") for i in range(20)])
    config = parse_config({**BASE, "privacy": {"epsilon": 8.0, "delta": 0.1}})
    with pytest.raises(ConfigError, match=r"privacy\.delta: 0\.1 protects nobody among 20 clips"):
        plan_private(config, {"text": (part, list(range(20)))}, 1)
    by_speaker = parse_config({**BASE, "privacy": {"epsilon": 8.0, "unit": "speaker"}})
    with pytest.raises(ConfigError, match=r"privacy\.unit: clip '0' has no speaker"):
        plan_private(by_speaker, {"text": (part, list(range(20)))}, 1)
    with pytest.raises(ConfigError, match="in one process"):
        plan_private(config, {"text": (part, list(range(20)))}, 2)


def test_a_checkpoint_that_knows_the_clips_of_train_is_refused():
    clips = [Clip(id="a", corpus="c", speaker="1"), Clip(id="b", corpus="c", speaker="2")]
    config = parse_config(BASE)
    check_unprotected(config, Seen.of([Clip(id="other", corpus="c", speaker="1")]), clips, "init.text (runs/x)")
    with pytest.raises(ConfigError, match=r"init\.text \(runs/x\): was trained on clip 'c:b'"):
        check_unprotected(config, Seen.of(clips[1:]), clips, "init.text (runs/x)")


@pytest.mark.slow
def test_a_private_run_from_config_to_card(tiny_config, tmp_path):
    """All three branches and the fused stage: one budget, stated the same everywhere, and a folder that loads."""
    pytest.importorskip("opacus")
    config = load_config(
        tiny_config(tmp_path, privacy="{epsilon: 30.0, delta: 1.0e-3}", training="{epochs: 1, batch_size: 8}")
    )
    run = train(config, tmp_path / "run")
    facts = PrivacyFacts.from_json(load_bundle(tmp_path / "run").facts["privacy"])
    assert [each.stage for each in facts.stages] == ["text", "speech", "face", "fuse"]
    assert len({each.noise_multiplier for each in facts.stages}) == 1
    assert 29 < facts.epsilon <= 30
    branch = PrivacyFacts.from_json(load_bundle(tmp_path / "run" / "branches" / "face").facts["privacy"])
    assert branch.epsilon < facts.epsilon
    lines = (tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[-1])["epsilon"] == facts.epsilon
    stated = f"({facts.epsilon:.2f}, 0.001)-differentially private"
    validation = json.loads((tmp_path / "run" / "validation.json").read_text("utf-8"))
    assert any(stated in note for note in validation["notes"])
    assert any(stated in note for note in evaluate_run(tmp_path / "run", split="test").notes)
    assert any("vocabulary of the text tokenizer" in part for part in facts.not_covered)
    assert run.bundle.voice is None
    from multiemo.report.card import model_card

    assert f"**Epsilon {facts.epsilon:.2f} at delta 0.001**" in model_card(tmp_path / "run")
