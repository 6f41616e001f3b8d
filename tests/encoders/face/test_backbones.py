"""Backbones of the face encoder: built, loaded, grouped by depth, adapted, recomputed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from multiemo.encoders.face.face_timm import TimmFaceEncoder
from multiemo.errors import ConfigError
from multiemo.registry import encoders
from tests.support.tensors import crops

VIT = {"backbone": "test_vit", "backbone_options": {"img_size": 48}, "size": 48, "dim": 16}
QUIET = {"rotate": 0, "zoom": 0, "shift": 0, "light": 0, "flip": 0, "grey": 0, "erase": 0}
FAMILIES = {
    "default": {},
    "vit": VIT,
    "convnext": {"backbone": "test_convnext", "size": 64},
    "efficientnet": {"backbone": "test_efficientnet", "size": 64},
    "mobilenetv3": {"backbone": "mobilenetv3_small_050", "size": 64},
    "no order of timm's": {"backbone": "pit_ti_224", "size": 224},
}


def step(encoder: TimmFaceEncoder, *lengths: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    out = encoder(*crops(*lengths, size=encoder.input_spec.size))
    (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    return {n: p.grad for n, p in encoder.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_in_one_group_and_the_groups_follow_the_depth(family: str) -> None:
    encoder = TimmFaceEncoder(temporal="transformer", **FAMILIES[family])
    groups = encoder.layer_groups()
    assert len(groups) >= (2 if family == "no order of timm's" else 4)
    listed = [id(p) for group in groups for p in group]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(p) for p in encoder.parameters()}
    depth = {id(p): d for d, group in enumerate(groups) for p in group}
    names = {n: depth[id(p)] for n, p in encoder.named_parameters()}
    first = next(n for n, _ in encoder.named_parameters() if n.startswith("backbone."))
    assert names[first] == 0
    assert {d for n, d in names.items() if not n.startswith("backbone.")} == {len(groups) - 1}


def test_blocks_of_a_vision_transformer_have_a_group_each() -> None:
    encoder = TimmFaceEncoder(**VIT)
    groups = encoder.layer_groups()
    for index, block in enumerate(encoder.backbone.blocks):
        assert set(block.parameters()) <= set(groups[index + 1])
    assert encoder.backbone.patch_embed.proj.weight in set(groups[0])
    assert set(encoder.backbone.norm.parameters()) <= set(groups[-2])


@pytest.mark.parametrize("family", ["default", "vit"])
def test_adapters_train_and_the_backbone_does_not(family: str, tmp_path: Path) -> None:
    lora = {"rank": 2} if family == "vit" else {"rank": 2, "targets": ["conv1", "conv2"]}
    options = {"lora": lora, **FAMILIES[family]}
    encoder = encoders.build("face_timm", options, where="encoders.face")
    trained = {n for n, p in encoder.named_parameters() if p.requires_grad}
    assert any("lora_A" in n for n in trained)
    assert all("lora_" in n or n.startswith("project.") for n in trained)
    listed = [id(p) for group in encoder.layer_groups() for p in group]
    assert sorted(listed) == sorted(id(p) for p in encoder.parameters())

    before = {n: p.clone() for n, p in encoder.named_parameters()}
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], 0.5)
    for _ in range(2):  # the second matrix starts at zero, so the first one moves in the second step
        optimizer.zero_grad()
        assert set(step(encoder, 2, 1)) == trained
        optimizer.step()
    assert {n for n, p in encoder.named_parameters() if not torch.equal(p, before[n])} == trained

    encoder.save_assets(tmp_path)
    again = encoders.build("face_timm", options, where="encoders.face", assets=tmp_path)
    assert again.load_state_dict(encoder.state_dict()) is not None
    x, mask = crops(2, 1, size=encoder.input_spec.size)
    assert torch.equal(again.eval()(x, mask), encoder.eval()(x, mask))


def test_adapters_without_a_place_are_named() -> None:
    with pytest.raises(ConfigError, match=r"encoders\.face\.lora\.targets: the backbone has no query or value layers"):
        encoders.build("face_timm", {"lora": {}}, where="encoders.face")
    with pytest.raises(ConfigError, match=r"encoders\.face\.lora\.targets: the backbone has no layer 'attn'"):
        encoders.build("face_timm", {**VIT, "lora": {"targets": ["attn"]}}, where="encoders.face")
    depthwise = {"backbone": "test_convnext", "size": 64, "lora": {"targets": ["conv_dw"]}}
    with pytest.raises(ConfigError, match=r"encoders\.face\.lora: peft cannot adapt conv_dw with rank 8: .*groups"):
        encoders.build("face_timm", depthwise, where="encoders.face")
    with pytest.raises(ConfigError, match=r"encoders\.face\.lora\.rank.* got 0"):
        encoders.build("face_timm", {**VIT, "lora": {"rank": 0}}, where="encoders.face")


@pytest.mark.parametrize("family", ["default", "vit", "convnext", "efficientnet", "mobilenetv3"])
def test_recomputed_activations_give_the_same_gradients_and_statistics(family: str) -> None:
    kept = TimmFaceEncoder(dropout=0.0, **FAMILIES[family])
    recomputing = TimmFaceEncoder(dropout=0.0, **FAMILIES[family])
    recomputing.load_state_dict(kept.state_dict())
    recomputing.recompute_activations()
    recomputing.recompute_activations()  # asked twice, it is still done once
    passes = {"kept": 0, "recomputing": 0}
    for name, encoder in (("kept", kept), ("recomputing", recomputing)):
        for module in encoder.backbone.modules():
            module.register_forward_pre_hook(lambda *_, name=name: passes.update({name: passes[name] + 1}))
    for _ in range(2):
        wanted, got = step(kept, 3, 2), step(recomputing, 3, 2)
        assert wanted.keys() == got.keys()
        for name, grad in wanted.items():
            torch.testing.assert_close(got[name], grad, atol=1e-5, rtol=1e-4)
    assert passes["recomputing"] > 1.3 * passes["kept"]
    for name, value in kept.state_dict().items():
        torch.testing.assert_close(recomputing.state_dict()[name], value, atol=1e-6, rtol=1e-5)
    recomputing.eval()
    x, mask = crops(2, 1, size=kept.input_spec.size)
    torch.testing.assert_close(recomputing(x, mask), kept.eval()(x, mask), atol=1e-5, rtol=1e-4)


def test_a_backbone_that_cannot_recompute_is_named_and_a_frozen_one_has_nothing_to() -> None:
    with pytest.raises(ConfigError, match=r"encoders\.face\.backbone: timm's 'dla46x_c' cannot recompute"):
        TimmFaceEncoder(backbone="dla46x_c", size=32).recompute_activations()
    TimmFaceEncoder(backbone="dla46x_c", size=32, freeze="backbone").recompute_activations()


@pytest.mark.parametrize("architecture", ["test_vit", "test_convnext", "test_resnet"])
def test_a_folder_of_timm_through_build_step_assets_and_rebuild(architecture: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = timm.create_model(architecture, num_classes=5)
    timm.models.save_for_hf(source, str(tmp_path / "model"), safe_serialization=True)
    size = source.pretrained_cfg["input_size"][-1]
    options = {"backbone": f"local-dir:{tmp_path / 'model'}", "pretrained": True, "dim": 8, "frames": 2}
    encoder = encoders.build("face_timm", options, where="encoders.face")
    assert encoder.input_spec.size == size
    picture = torch.rand(1, 3, size, size)
    with torch.no_grad():
        wanted = source.eval().forward_head(source.forward_features(picture), pre_logits=True)
        torch.testing.assert_close(encoder.backbone.eval()(picture), wanted)
    encoder.train()
    optimizer = torch.optim.AdamW(encoder.parameters(), 1e-3)
    step(encoder, 2, 1)
    optimizer.step()
    encoder.save_assets(tmp_path / "assets")
    (tmp_path / "model").rename(tmp_path / "gone")
    again = encoders.build("face_timm", options, where="encoders.face", assets=tmp_path / "assets")
    again.load_state_dict(encoder.state_dict())
    x, mask = crops(2, 1, size=size)
    assert torch.equal(again.eval()(x, mask), encoder.eval()(x, mask))
    assert again.input_spec == encoder.input_spec


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
    with pytest.raises(ConfigError, match=r"other\.safetensors is not a checkpoint of 'test_resnet'.*lacks"):
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
