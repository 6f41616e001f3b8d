"""Batch normalisations of several processes: converted without a loss, and held where nothing is to be learnt."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import multiemo.encoders  # noqa: F401  (registers)
from multiemo.config import TrainingConfig
from multiemo.data.collate import Collate
from multiemo.encoders.base import Encoder
from multiemo.model import EmotionModel
from multiemo.registry import encoders
from multiemo.training.objectives import Labels
from multiemo.training.parallel import Replica, share_norms
from multiemo.types import Sample

FACES = {"frames": 1, "dim": 8, "size": 64}
ENCODERS = {
    "norm with activation": ("face_timm", {**FACES, "backbone": "mobilenetv3_small_050"}, (1, 3, 64, 64)),
    "the same, another family": ("face_timm", {**FACES, "backbone": "efficientnet_lite0"}, (1, 3, 64, 64)),
    "plain norm": ("face_timm", FACES, (1, 3, 64, 64)),
    "speech": ("speech_prosody", {"width": 4, "n_mels": 16, "out_dim": 8}, (32, 27)),
}


def make(kind: str) -> tuple[Encoder, torch.Tensor, torch.Tensor]:
    name, options, shape = ENCODERS[kind]
    torch.manual_seed(0)
    modality = "speech" if kind == "speech" else "face"
    encoder = encoders.build(name, options, where=f"encoders.{modality}", modality=modality)
    for norm in encoder.modules():
        if isinstance(norm, _BatchNorm):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    x = torch.randint(0, 256, (4, *shape), dtype=torch.uint8) if modality == "face" else torch.randn(4, *shape)
    return encoder.eval(), x, torch.ones(4, shape[0], dtype=torch.bool)


@pytest.mark.parametrize("kind", ENCODERS)
def test_norms_keep_what_they_do_when_processes_share_them(kind):
    encoder, x, mask = make(kind)
    with torch.no_grad():
        before, weights = encoder(x, mask), list(encoder.parameters())
        for _ in range(2):  # a branch is converted for its own stage, and again for the fused one
            share_norms(encoder)
            torch.testing.assert_close(encoder(x, mask), before, rtol=1e-6, atol=1e-6)
    assert all(ours is theirs for ours, theirs in zip(encoder.parameters(), weights, strict=True))
    norms = [m for m in encoder.modules() if isinstance(m, _BatchNorm)]
    assert norms
    assert {isinstance(m, nn.SyncBatchNorm) for m in norms} == {True}


def test_torch_s_own_converter_loses_the_activation():
    encoder, x, mask = make("norm with activation")
    with torch.no_grad():
        before = encoder(x, mask)
        lost = nn.SyncBatchNorm.convert_sync_batchnorm(encoder)(x, mask)
    assert (lost - before).abs().max() > 0.1


def test_a_picture_alone_is_computed_again_with_the_norms_it_was_seen_with():
    """Its last map is one pixel: a batch normalisation has no statistics of it, in the forward pass nor in the next."""
    options = {**FACES, "size": 32, "backbone": "mobilenetv3_small_050"}
    encoder = encoders.build("face_timm", options, where="encoders.face", modality="face")
    encoder.recompute_activations()
    model = EmotionModel({"face": encoder}, 3)
    objective = Labels(model, TrainingConfig(), task="single", frequencies=torch.ones(3) / 3)
    picture = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    sample = Sample("a", "c", "s", {"face": picture}, {}, torch.eye(3)[0], torch.full((3,), torch.nan))
    batch = Collate(("face",), 3)([sample])
    replica = Replica(objective, Accelerator(cpu=True), shard=False)
    with replica.step(batch, for_more=False), pytest.raises(ValueError, match="more than 1 value per channel"):
        replica.outer(batch).backward()
    before = {k: v.clone() for k, v in encoder.named_buffers()}
    batch.together = {"face": 1}
    with replica.step(batch, for_more=False):
        replica.outer(batch).backward()
    assert all(torch.equal(v, before[k]) for k, v in encoder.named_buffers())
    assert all(m.training for m in encoder.modules())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.backbone.parameters())
