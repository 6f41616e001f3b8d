"""The face encoder: gradients, padding, batch statistics, freezing, options."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from multiemo.encoders.common.lora import Lora
from multiemo.encoders.face import face_timm
from multiemo.encoders.face.face_timm import TimmFaceEncoder
from multiemo.errors import CheckpointError, ConfigError
from multiemo.registry import encoders
from tests.support.no_sync import HostSync, no_sync
from tests.support.tensors import crops


@pytest.mark.parametrize("temporal", ["mean", "attention", "transformer"])
def test_every_trainable_parameter_gets_a_gradient(temporal: str) -> None:
    encoder = encoders.build("face_timm", {"temporal": temporal, "dim": 48}, where="encoders.face")
    out = encoder(*crops(3, 1, 2))
    assert out.shape == (3, 48) == (3, encoder.out_dim)
    out.square().sum().backward()
    without = [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize("temporal", ["mean", "attention", "transformer"])
def test_padding_and_neighbours_do_not_change_an_embedding(temporal: str) -> None:
    encoder = TimmFaceEncoder(temporal=temporal).eval()
    x, mask = crops(3, 1, 2, pad=4)
    x[~mask] = 77
    together = encoder(x, mask)
    for row, length in enumerate((3, 1, 2)):
        alone = encoder(x[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-4, rtol=1e-4)


def statistics_after(x: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    encoder = TimmFaceEncoder(rotate=0, zoom=0, shift=0, light=0, flip=0, grey=0, erase=0)
    encoder.train()(x, mask)
    return {k: v.clone() for k, v in encoder.backbone.state_dict().items() if "running" in k}


def test_padding_brings_only_the_clips_own_frames_into_batch_statistics() -> None:
    x, mask = crops(2, 3, pad=4)
    plain = statistics_after(x, mask)
    x[~mask] = 77
    for key, value in statistics_after(x, mask).items():
        assert torch.equal(value, plain[key]), key
    # By hand: 2 and 3 frames in 7 places.
    frames = [0, 1, 0, 1, 0, 1, 0], [0, 1, 2, 0, 1, 2, 0]
    spelled = torch.stack([clip[rows] for clip, rows in zip(x, frames, strict=True)])
    for key, value in statistics_after(spelled, torch.ones_like(mask)).items():
        assert torch.equal(value, plain[key]), key


def test_clips_of_one_length_weigh_the_same_in_batch_statistics_however_they_are_padded() -> None:
    means = [statistics_after(*crops(2, 2, pad=pad))["bn1.running_mean"] for pad in (0, 2, 6)]
    torch.testing.assert_close(means[0], means[1], atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(means[0], means[2], atol=1e-6, rtol=1e-4)


def test_a_batch_of_stills_and_a_single_still() -> None:
    encoder = TimmFaceEncoder(size=32)
    assert encoder(*crops(1, 1, 1, size=32)).shape == (3, encoder.out_dim)
    assert encoder(*crops(1, size=32)).isfinite().all()
    assert all(m.training for m in encoder.modules())


def test_with_mirror_a_face_and_its_mirror_image_have_one_embedding_outside_training() -> None:
    torch.manual_seed(0)
    encoder = TimmFaceEncoder(size=32, mirror=True).eval()
    x, mask = crops(2, 1, size=32)
    both = encoder(x, mask)
    torch.testing.assert_close(encoder(x.flip(-1), mask), both, atol=1e-5, rtol=1e-4)
    encoder.mirror = False
    plain, mirrored = encoder(x, mask), encoder(x.flip(-1), mask)
    assert not torch.allclose(plain, both, atol=1e-3)
    assert not torch.allclose(plain, mirrored, atol=1e-3)


def test_the_spec_says_how_to_crop() -> None:
    encoder = TimmFaceEncoder(size=48, frames=1, detector="haar")
    assert (encoder.input_spec.size, encoder.input_spec.frames, encoder.input_spec.detector) == (48, 1, "haar")


def test_freezing() -> None:
    frozen = TimmFaceEncoder(freeze="backbone").train()
    assert not any(p.requires_grad for p in frozen.backbone.parameters())
    held = TimmFaceEncoder(freeze="norm").train()
    for encoder in (frozen, held):
        before = encoder.backbone.state_dict()["bn1.running_mean"].clone()
        encoder(*crops(2, 2)).sum().backward()
        assert torch.equal(encoder.backbone.state_dict()["bn1.running_mean"], before)
    assert all(p.grad is not None for p in held.backbone.parameters())


def test_rebuilt_from_its_assets_it_is_the_same(tmp_path: Path) -> None:
    options = {"backbone": "test_vit", "backbone_options": {"img_size": 48}, "size": 48}
    first = encoders.build("face_timm", options, where="encoders.face").eval()
    first.save_assets(tmp_path / "assets")
    # Even if the config names weights that cannot be had, nothing is looked up.
    again = encoders.build(
        "face_timm", {**options, "pretrained": True}, where="encoders.face", assets=tmp_path / "assets"
    ).eval()
    again.load_state_dict(first.state_dict())
    x, mask = crops(2, 1, size=48)
    torch.testing.assert_close(first(x, mask), again(x, mask))
    assert again.input_spec == first.input_spec
    with pytest.raises(CheckpointError, match=r"backbone\.json"):
        TimmFaceEncoder(assets=tmp_path)


def test_unknown_names_and_options_are_named() -> None:
    with pytest.raises(
        ConfigError, match=r"encoders\.face\.backbone: timm has no model 'resnet5O'.*did you mean .*resnet50"
    ):
        TimmFaceEncoder(backbone="resnet5O")
    with pytest.raises(ConfigError, match=r"backbone_options: timm cannot build 'test_resnet' from .*widht"):
        TimmFaceEncoder(backbone="test_resnet", backbone_options={"widht": 3})
    with pytest.raises(
        ConfigError, match=r"encoders\.face\.size: 'vit_tiny_patch16_224' does not accept 64 px.*img_size: 64"
    ):
        TimmFaceEncoder(backbone="vit_tiny_patch16_224", size=64)
    with pytest.raises(ConfigError, match=r"encoders\.face\.temporal"):
        encoders.build("face_timm", {"temporal": "median"}, where="encoders.face")
    with pytest.raises(ConfigError, match=r"encoders\.face\.frames: must be at least 1, got 0"):
        TimmFaceEncoder(frames=0)
    with pytest.raises(ConfigError, match=r"encoders\.face\.dropout: must lie within 0 and 1, got 1\.5"):
        TimmFaceEncoder(dropout=1.5)
    with pytest.raises(ConfigError, match="no published weights"):
        TimmFaceEncoder(pretrained=True)


def test_options_that_exclude_each_other_or_are_not_the_users_are_named() -> None:
    with pytest.raises(ConfigError, match=r"encoders\.face\.lora and encoders\.face\.freeze: backbone exclude"):
        TimmFaceEncoder(freeze="backbone", lora=Lora())
    with pytest.raises(ConfigError, match=r"face\.backbone_options\.checkpoint_path: the encoder sets this option"):
        TimmFaceEncoder(backbone="test_resnet", backbone_options={"checkpoint_path": "weights.pth"})
    with pytest.raises(ConfigError, match=r"encoders\.face\.backbone: 'test_resnet' returns shape .* not one vector"):
        TimmFaceEncoder(backbone="test_resnet", backbone_options={"global_pool": ""})


def test_augmentation_stops_in_evaluation() -> None:
    encoder = TimmFaceEncoder().eval()
    x, mask = crops(2, 1)
    assert torch.equal(encoder(x, mask), encoder(x, mask))


def test_learns_to_tell_two_pictures_apart() -> None:
    torch.manual_seed(0)
    encoder = TimmFaceEncoder(size=32, dim=16, dropout=0.0, flip=0.0)
    head = torch.nn.Linear(16, 2)
    x = torch.zeros(8, 1, 3, 32, 32, dtype=torch.uint8)
    x[::2, ..., :16] = 255
    x[1::2, ..., 16:] = 255
    y, mask = torch.tensor([0, 1] * 4), torch.ones(8, 1, dtype=torch.bool)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 2e-3)
    for _ in range(15):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(head(encoder(x, mask)), y).backward()
        optimizer.step()
    assert (head(encoder.eval()(x, mask)).argmax(1) == y).all()


@pytest.mark.parametrize("temporal", ["mean", "attention", "transformer"])
def test_pooling_and_projection_are_new_beside_a_pretrained_backbone(temporal: str, tmp_path: Path) -> None:
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "r.safetensors")
    given = {"backbone": "test_resnet", "size": 64, "temporal": temporal}
    encoder = TimmFaceEncoder(checkpoint=tmp_path / "r.safetensors", **given)
    assert encoder.untrained == {n for n, _ in encoder.named_parameters() if not n.startswith("backbone.")}
    assert "project.0.weight" in encoder.untrained
    scratch = TimmFaceEncoder(**given)
    assert scratch.untrained is None
    assert not scratch.fresh_parameters()  # it is new as a whole and has the rate of its branch


@pytest.mark.parametrize("temporal", ["mean", "attention", "transformer"])
@pytest.mark.parametrize("lengths", [(3, 1, 2), (2, 2), (1, 1)])
def test_a_step_reads_nothing_back_to_the_host(temporal: str, lengths: tuple[int, ...]) -> None:
    encoder = TimmFaceEncoder(temporal=temporal, size=32, grey=0.5, erase=0.5)
    x, mask = crops(*lengths, size=32)
    with no_sync():
        encoder(x, mask).square().mean().backward()
    with pytest.raises(HostSync), no_sync():
        x[mask]


@pytest.mark.parametrize("train", [False, True])
def test_pictures_are_normalised_in_one_pass_on_a_gpu(train: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same values, to the rounding of float32, in the layout that convolutions there need."""
    encoder = encoders.build("face_timm", {"size": 16}, where="face").train(train)
    x, mask = crops(3, 2, size=16)
    torch.manual_seed(1)
    expected = encoder.pictures(x, mask)
    monkeypatch.setattr(face_timm, "half_of", lambda images: torch.bfloat16)
    torch.manual_seed(1)
    made = encoder.pictures(x, mask)
    torch.testing.assert_close(made, expected, rtol=1e-6, atol=1e-6)
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert expected.std() > 0.1
