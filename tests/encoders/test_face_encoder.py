from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from multiemo.encoders.face import TimmFaceEncoder
from multiemo.encoders.face_augment import FaceAugment
from multiemo.encoders.lora import Lora
from multiemo.errors import CheckpointError, ConfigError
from multiemo.registry import encoders
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


@pytest.mark.parametrize(
    ("backbone", "options", "size"),
    [
        ("resnet10t", {}, 64),
        ("mobilenetv3_small_050", {}, 48),
        ("convnext_atto", {}, 64),
        ("test_vit", {"img_size": 48}, 48),
        ("resnet10t", {"norm_layer": "groupnorm1", "channels": [32, 32, 64, 64]}, 48),
    ],
)
def test_timm_families_build_without_download(backbone: str, options: dict[str, object], size: int) -> None:
    encoder = TimmFaceEncoder(backbone=backbone, backbone_options=options, size=size, dim=16).eval()
    assert encoder.input_spec.size == size
    assert encoder(*crops(2, 1, size=size)).shape == (2, 16)


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


def test_local_checkpoint_brings_weights_and_statistics(tmp_path: Path) -> None:
    source = timm.create_model("test_resnet", num_classes=1000)
    save_file(source.state_dict(), tmp_path / "r.safetensors")
    encoder = TimmFaceEncoder(backbone="test_resnet", checkpoint=tmp_path / "r.safetensors", size=64)
    torch.testing.assert_close(encoder.backbone.state_dict()["conv1.0.weight"], source.state_dict()["conv1.0.weight"])
    assert encoder.input_spec.mean == tuple(source.pretrained_cfg["mean"])
    encoder.save_assets(tmp_path)
    assert json.loads((tmp_path / "backbone.json").read_text())["architecture"] == "test_resnet"


def test_checkpoints_that_do_not_fit_are_named(tmp_path: Path) -> None:
    wrong = tmp_path / "weights.pth"
    wrong.write_bytes(b"PK")
    with pytest.raises(ConfigError, match=r"encoders\.face\.checkpoint.*weights\.pth.*safetensors"):
        TimmFaceEncoder(backbone="test_resnet", checkpoint=wrong)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not tensors")
    with pytest.raises(ConfigError, match=r"cannot read .*broken\.safetensors"):
        TimmFaceEncoder(backbone="test_resnet", checkpoint=broken)
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere\.safetensors"):
        TimmFaceEncoder(backbone="test_resnet", checkpoint=tmp_path / "nowhere.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, other)
    with pytest.raises(ConfigError, match=r"other\.safetensors is no checkpoint of 'test_resnet'.*lacks"):
        TimmFaceEncoder(backbone="test_resnet", checkpoint=other)
    with pytest.raises(ConfigError, match="exclude each other"):
        TimmFaceEncoder(backbone="test_resnet", pretrained=True, checkpoint=other)


def test_a_folder_saved_by_timm(tmp_path: Path) -> None:
    name = f"local-dir:{tmp_path}"
    with pytest.raises(ConfigError, match=r"encoders\.face\.backbone: timm cannot build.*config\.json"):
        TimmFaceEncoder(backbone=name)
    source = timm.create_model("test_resnet", num_classes=5)
    timm.models.save_for_hf(source, str(tmp_path), safe_serialization=True)
    encoder = TimmFaceEncoder(backbone=name, pretrained=True, size=64)
    torch.testing.assert_close(encoder.backbone.state_dict()["conv1.0.weight"], source.state_dict()["conv1.0.weight"])
    encoder.save_assets(tmp_path)
    again = TimmFaceEncoder(backbone=name, pretrained=True, assets=tmp_path)
    again.load_state_dict(encoder.state_dict())
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"holds no model\.safetensors"):
        TimmFaceEncoder(backbone=name, pretrained=True, size=64)


def test_unknown_names_and_options_are_named() -> None:
    with pytest.raises(
        ConfigError, match=r"encoders\.face\.backbone: timm has no model 'resnet5O'.*did you mean .*resnet50"
    ):
        TimmFaceEncoder(backbone="resnet5O")
    with pytest.raises(ConfigError, match=r"backbone_options: timm cannot build 'test_resnet' from .*widht"):
        TimmFaceEncoder(backbone="test_resnet", backbone_options={"widht": 3})
    with pytest.raises(
        ConfigError, match=r"encoders\.face\.size: 'vit_tiny_patch16_224' does not take 64 px.*img_size: 64"
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
    with pytest.raises(ConfigError, match=r"encoders\.face\.backbone_options\.checkpoint_path: the encoder sets it"):
        TimmFaceEncoder(backbone="test_resnet", backbone_options={"checkpoint_path": "weights.pth"})
    with pytest.raises(ConfigError, match=r"encoders\.face\.backbone: 'test_resnet' gives .* not one vector"):
        TimmFaceEncoder(backbone="test_resnet", backbone_options={"global_pool": ""})


def test_an_unreachable_hub_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("Name or service not known\nlong trace")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(ConfigError) as caught:
        TimmFaceEncoder(backbone="resnet18", pretrained=True)
    message = str(caught.value)
    assert "encoders.face.backbone" in message
    assert "'resnet18'" in message
    assert "checkpoint" in message
    assert "\n" not in message


def test_augmentation_is_one_draw_a_clip_and_keeps_range() -> None:
    torch.manual_seed(3)
    augment = FaceAugment(flip=0.5, rotate=20, zoom=0.2, shift=0.1, light=0.3, grey=0.5, erase=1.0)
    picture = torch.rand(1, 3, 32, 32)
    frames = picture.expand(6, 3, 32, 32)
    out = augment(frames, torch.tensor([0, 0, 0, 1, 1, 1]), 2)
    assert out.min() >= 0
    assert out.max() <= 1
    torch.testing.assert_close(out[0], out[2])
    torch.testing.assert_close(out[3], out[5])
    assert (out[0] - out[3]).abs().mean() > 0.01


def test_augmentation_of_strength_zero_changes_nothing_and_a_flip_mirrors() -> None:
    picture = torch.rand(4, 3, 32, 32)
    clip = torch.arange(4)
    still = FaceAugment(flip=0, rotate=0, zoom=0, shift=0, light=0, grey=0, erase=0)
    torch.testing.assert_close(still(picture, clip, 4), picture, atol=1e-5, rtol=1e-5)
    mirrored = FaceAugment(flip=1, rotate=0, zoom=0, shift=0, light=0, grey=0, erase=0)
    torch.testing.assert_close(mirrored(picture, clip, 4), picture.flip(-1), atol=1e-5, rtol=1e-5)


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
