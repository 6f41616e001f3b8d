"""Several processes against one: same losses, same weights, shares that lack a modality, shared norms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file
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
from tests.support.fit_in_processes import CASES, fit_cases, make_samples
from tests.support.lacking_in_processes import CASES as LACKING_CASES
from tests.support.lacking_in_processes import CONTROLS, make_sampler
from tests.support.lacking_in_processes import make_samples as lacking_samples
from tests.support.processes import start

MODULE = "tests.support.fit_in_processes"


def run_two(folder: Path, names: str, *, resume: bool = False) -> None:
    folder.mkdir(exist_ok=True)
    done = start(MODULE, folder, names, "resume" if resume else "anew")
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cases in one process and in two."""
    folder = tmp_path_factory.mktemp("parallel")
    (folder / "one").mkdir()
    fit_cases(folder / "one", list(CASES), resume=False)
    run_two(folder / "two", ",".join(CASES))
    return folder


def history(folder: Path, name: str, end: str = "") -> list[dict]:
    return json.loads((folder / name / f"said{end}.json").read_text())["history"]


def assert_close(one: Path, other: Path) -> None:
    ours, theirs = load_file(one), load_file(other)
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        torch.testing.assert_close(theirs[key], value, rtol=2e-3, atol=2e-4, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_are_one(fitted: Path, name: str) -> None:
    one, two = history(fitted / "one", name), history(fitted / "two", name)
    assert [r["step"] for r in one] == [r["step"] for r in two]
    for ours, theirs in zip(one, two, strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-4)
        assert theirs["val"]["loss"] == pytest.approx(ours["val"]["loss"], rel=1e-3)
    assert one[-1]["loss"] < one[0]["loss"]
    assert_close(fitted / "one" / name / "model.safetensors", fitted / "two" / name / "model.safetensors")


@pytest.mark.slow
def test_every_validation_clip_is_measured_once_and_in_order(fitted: Path) -> None:
    wanted = [s.id for s in make_samples(33, 1)]
    for seen in json.loads((fitted / "two" / "ddp" / "said.json").read_text())["seen"]:
        assert seen == wanted


@pytest.mark.slow
def test_two_processes_resume_where_they_were(fitted: Path) -> None:
    """From the second state of many, within an epoch, with DDP and EMA and with FSDP."""
    names = ("ddp-ema", "fsdp")
    run_two(fitted / "two", ",".join(names), resume=True)
    for name in names:
        straight, again = history(fitted / "two", name), history(fitted / "two", name, "-resumed")
        assert [r["loss"] for r in again] == pytest.approx([r["loss"] for r in straight], rel=1e-5)
        assert_close(fitted / "two" / name / "model.safetensors", fitted / "two" / name / "model-resumed.safetensors")


LACKING = "tests.support.lacking_in_processes"


@pytest.fixture(scope="module")
def fitted_lacking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cases in one process and in two."""
    folder = tmp_path_factory.mktemp("lacking")
    for count in (1, 2):
        (folder / str(count)).mkdir()
        done = start(LACKING, folder / str(count), ",".join(LACKING_CASES), 240, count=count)
        assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_shares_lack_what_others_have_and_batches_lack_it_altogether() -> None:
    samples = lacking_samples()
    kinds = set()
    for epoch in range(2):
        shares = []
        for rank in range(2):
            sampler = make_sampler(samples, rank=rank, processes=2)
            sampler.epoch = epoch
            shares.append(list(sampler))
        for pair in zip(*shares, strict=True):
            for m in ("text", "speech", "face"):
                having = sorted(sum(m in samples[i].inputs for i in share) for share in pair)
                kinds.add((m, having[0], min(having[1], 2)))
    assert kinds >= {("text", 0, 1), ("text", 0, 2), ("speech", 0, 1), ("face", 0, 2), ("face", 0, 1), ("face", 0, 0)}


@pytest.mark.slow
@pytest.mark.parametrize("name", LACKING_CASES)
def test_two_processes_are_one_where_shares_lack_a_modality(fitted_lacking: Path, name: str) -> None:
    one, two = (json.loads((fitted_lacking / count / f"{name}.json").read_text()) for count in "12")
    for ours, theirs in zip(one, two, strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], abs=2e-6)
        assert theirs["val"]["loss"] == pytest.approx(ours["val"]["loss"], abs=2e-6)
    ours, theirs = (load_file(fitted_lacking / count / f"{name}.safetensors") for count in "12")
    for key, value in ours.items():
        torch.testing.assert_close(theirs[key], value, rtol=1e-4, atol=1e-5, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTROLS)
def test_processes_that_do_not_know_what_the_others_have_wait_in_vain(tmp_path: Path, name: str) -> None:
    done = start(LACKING, tmp_path, name, 8)
    assert done.returncode != 0
    assert not list(tmp_path.iterdir())


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
