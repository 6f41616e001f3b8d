from __future__ import annotations

import pytest
import torch

from multiemo.encoders.face.face_timm import TimmFaceEncoder
from multiemo.errors import ConfigError
from tests.support.no_sync import no_sync
from tests.support.tensors import crops

FAMILIES = {
    "default": {},
    "odd size": {"size": 50},
    "map of one place": {"size": 32},
    "tokens after a class token": {"backbone": "test_vit", "backbone_options": {"img_size": 48}, "size": 48},
    "tokens after registers": {"backbone": "test_vit3", "backbone_options": {"img_size": 48}, "size": 48},
    "channels last": {
        "backbone": "swin_tiny_patch4_window7_224",
        "backbone_options": {"img_size": 64, "window_size": 2},
        "size": 64,
    },
    "convnext": {"backbone": "test_convnext", "size": 64},
    "mobilenetv3": {"backbone": "mobilenetv3_small_050", "size": 64},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_hidden_does_not_reach_the_painting_and_what_is_not_does(family: str) -> None:
    torch.manual_seed(0)
    encoder = TimmFaceEncoder(**FAMILIES[family]).eval()
    task = encoder.masked_task().eval()
    x, mask = crops(2, 1, size=encoder.input_spec.size)
    pictures = encoder.pictures(x, mask)
    hidden = task.hide(mask)
    painted = task.paint(encoder, pictures, hidden)
    assert painted.shape == pictures.shape
    noise = torch.randn_like(pictures)
    changed = torch.where(hidden, pictures + noise, pictures)
    assert torch.equal(task.paint(encoder, changed, hidden), painted)
    changed = torch.where(hidden, pictures, pictures + noise)
    assert not torch.allclose(task.paint(encoder, changed, hidden), painted, atol=1e-3)


def test_sixty_percent_in_squares_and_the_same_in_all_frames_of_a_clip() -> None:
    task = TimmFaceEncoder().masked_task()
    hidden = task.hide(torch.ones(3, 4, dtype=torch.bool))
    assert hidden.shape == (12, 1, 64, 64)
    clips = hidden.view(3, 4, 64, 64)
    assert (clips == clips[:, :1]).all()
    assert not torch.equal(clips[0, 0], clips[1, 0])
    squares = clips[:, 0].view(3, 8, 8, 8, 8).transpose(2, 3).flatten(3)
    assert (squares.all(-1) == squares.any(-1)).all()
    assert squares.any(-1).sum((1, 2)).tolist() == [38, 38, 38]


def test_losses_are_means_over_hidden_pixels_of_real_frames() -> None:
    encoder = TimmFaceEncoder().eval()
    task = encoder.masked_task()
    torch.nn.init.zeros_(task.decode.weight)
    torch.nn.init.constant_(task.decode.bias, 0.25)
    x, mask = crops(3, 1)
    x[~mask] = 200
    torch.manual_seed(5)
    loss, naive = task(encoder, x, mask)
    torch.manual_seed(5)
    hidden = task.hide(mask).view(*mask.shape, 64, 64)
    values = torch.cat([((x[b, f] / 255 - 0.5) / 0.25)[:, hidden[b, f]].flatten() for b, f in mask.nonzero().tolist()])
    torch.testing.assert_close(naive, values.abs().mean())
    torch.testing.assert_close(loss, (values - 0.25).abs().mean())


def test_it_trains_the_backbone_and_reads_nothing_back_to_the_host() -> None:
    encoder = TimmFaceEncoder(size=32)
    task = encoder.masked_task()
    assert all(module.training for module in encoder.modules())
    x, mask = crops(3, 1, 2, size=32)
    with no_sync():
        loss, naive = task(encoder, x, mask)
        loss.backward()
    assert loss.shape == naive.shape == ()
    assert not naive.requires_grad
    assert all(p.grad is not None for p in [*encoder.backbone.parameters(), *task.parameters()])


def test_encoders_that_cannot_are_named() -> None:
    with pytest.raises(ConfigError, match=r"encoders\.face\.freeze: a frozen backbone learns nothing"):
        TimmFaceEncoder(freeze="backbone").masked_task()
    crossed = TimmFaceEncoder(backbone="crossvit_tiny_240", size=240)  # two token grids side by side
    with pytest.raises(ConfigError, match=r"encoders\.face\.backbone: 'crossvit_tiny_240' has no spatial feature map"):
        crossed.masked_task()


def test_the_held_statistics_of_a_norm_stay_held() -> None:
    encoder = TimmFaceEncoder(freeze="norm").train()
    before = encoder.backbone.state_dict()["bn1.running_mean"].clone()
    encoder.masked_task()(encoder, *crops(2, 2))[0].backward()
    assert torch.equal(encoder.backbone.state_dict()["bn1.running_mean"], before)


def test_it_learns_to_paint_stripes() -> None:
    torch.manual_seed(0)
    encoder = TimmFaceEncoder(size=32, rotate=0, zoom=0, shift=0, light=0, flip=0, grey=0, erase=0)
    task = encoder.masked_task()
    x = torch.zeros(16, 1, 3, 32, 32, dtype=torch.uint8)
    x[::2, ..., :16] = 255
    x[1::2, ..., 16:] = 255
    mask = torch.ones(16, 1, dtype=torch.bool)
    optimizer = torch.optim.Adam([*encoder.parameters(), *task.parameters()], 3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss, naive = task(encoder, x, mask)
        loss.backward()
        optimizer.step()
    assert loss < 0.3 * naive
