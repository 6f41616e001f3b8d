"""Evidence inside face crops, against a model that looks at one place of one frame."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

import multiemo.encoders  # noqa: F401  (registers)
from multiemo.explanation.attribution import attribute
from multiemo.explanation.evidence.base import ClipInput
from multiemo.explanation.evidence.face import EDGE, REGIONS, FaceEvidence, region_masks
from multiemo.inputs import build_input
from multiemo.inputs.material import Pictures
from multiemo.registry import encoders
from multiemo.types import FaceSpec
from tests.support.tiny_media_models import save_media_model

SIDE = 56
NAMES = [*REGIONS, EDGE]


class Planted:
    """Brightness of a patch at the mouth, averaged over frames; like a frozen backbone it has no gradients."""

    def __init__(self, crops):
        self.x, self.compute = crops, SimpleNamespace(device=torch.device("cpu"))

    def __call__(self, x, mask):
        assert x.dtype == torch.uint8
        patch = x[:, :, :, 44:48, 26:30].float().mean((2, 3, 4)) / 255
        return (patch * mask).sum(1) / mask.sum(1)


def crops(frames, bright):
    x = torch.full((frames, 3, SIDE, SIDE), 60, dtype=torch.uint8)
    x[bright, :, 43:49, 25:31] = 250
    return x


def clip(x, **facts):
    return ClipInput("face", build_input("face", FaceSpec(size=x.shape[-1])), x, **facts)


def test_regions_share_out_every_pixel_once():
    for side in (32, 64, 224):
        masks = region_masks(side)
        assert bool((masks.sum(0) == 1).all())
        assert bool((masks.sum((1, 2)) > 0).all())
        assert masks[NAMES.index("eyes"), round(0.38 * side), round(0.31 * side)] == 1


def test_bright_patch_is_found_in_its_region_frame_and_cell():
    x = crops(4, 2)
    target, evidence = Planted(x), FaceEvidence()
    regions, frames = evidence.views(clip(x, times=[0.0, 0.5, 1.0, 1.5], start=10.0), target)
    scores, _ = attribute(regions, target)
    assert NAMES[int(scores.argmax())] == "mouth"
    assert scores.max() > 5 * scores.abs().sort().values[-2]
    scores, _ = attribute(frames, target)
    assert int(scores.argmax()) == 2
    assert (frames.parts[2].name, frames.parts[2].start) == ("frame 3", 11.0)
    found = evidence.maps(clip(x[:3]), target)
    assert [len(m.scores) for m in found] == [7] * 3
    grid = np.array(found[2].scores)
    assert np.unravel_index(grid.argmax(), grid.shape) == (5, 3)
    assert np.abs(found[0].scores).max() < 1e-6
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(found[2].picture), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(picture[:, :, ::-1].transpose(2, 0, 1), x[2].numpy())


def test_single_picture_says_that_it_has_no_frames_to_compare():
    x = crops(1, 0)
    still = Pictures(np.zeros((1, 80, 80, 3), np.uint8), np.zeros(1), cropped=True, still=True)
    views = FaceEvidence().views(clip(x, raw=still), Planted(x))
    assert [view.unit for view in views] == ["region"]
    assert any("single picture" in note for note in views[0].notes)
    assert any("not aligned" in note for note in views[0].notes)
    assert len(FaceEvidence().maps(clip(x, raw=still), Planted(x))) == 1


def test_estimated_times_are_named_as_such():
    x = crops(2, 0)
    frames = FaceEvidence().views(clip(x), Planted(x))[1]
    assert [p.start for p in frames.parts] == [0.0, 0.25]
    assert frames.notes == ["the times of the frames are estimated from the frame rate"]


#: Those that read pictures; ``face_rules`` reads action units.
PICTURES = [n for n in encoders.names(modality="face") if encoders.get(n, where="x").input_kind in (None, "face")]


@pytest.mark.parametrize("freeze", ["nothing", "backbone"])
@pytest.mark.parametrize("name", PICTURES)
def test_every_face_encoder_is_explained(name, freeze, tmp_path):
    options = (
        {"backbone": "mobilenetv3_small_050", "size": 32, "dim": 8, "freeze": freeze} if name == "face_timm" else {}
    )
    given = {"modality": "face", "assets": None, "labels": ("happy", "sad", "angry")}
    if name == "face_prompted":
        if freeze == "nothing":
            pytest.skip("it is always frozen")
        options = {"model": str(save_media_model(tmp_path, "llava")), "size": 32, "frames": 1}
    encoder = encoders.build(name, options, where="encoders.face", **given).eval()
    torch.manual_seed(0)
    x = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    target = type("Encoded", (Planted,), {"__call__": lambda _, x, mask: encoder(x, mask).float()[:, :3].sum(1)})(x)
    for view in FaceEvidence().views(clip(x), target):
        scores, method = attribute(view, target)
        assert scores.isfinite().all()
        assert method.startswith("Shapley")
        whole, empty = (target(*view.without(torch.full((1, len(view.parts)), gone))) for gone in (False, True))
        torch.testing.assert_close(scores.sum(), (whole - empty)[0].detach(), atol=1e-3, rtol=1e-3)
