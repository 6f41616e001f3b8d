"""Evidence inside face crops: which frames, which regions of the face, and a map over each crop.

Parts are removed from the pictures themselves, so a frozen backbone, which has no gradients, is explained as well. A
removed region is replaced with a strong blur of the same crop: colour and light stay, and no edges appear that the
model has never met.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from multiemo.explanation.attribution import attribute
from multiemo.explanation.evidence.base import ClipInput, Evidence, PartView
from multiemo.explanation.evidence.sequences import spans, without_steps
from multiemo.explanation.records import EvidenceMap, EvidencePart, UnitKind
from multiemo.explanation.target import ClipTarget
from multiemo.inputs.base import of_type
from multiemo.inputs.material import Pictures
from multiemo.registry import evidence
from multiemo.types import FaceSpec

#: Cells along each side of a heat map.
GRID = 7
#: Largest number of heat maps of a clip; their frames are spread evenly.
_MOST_MAPS = 3
#: Largest number of parts into which the frames of a clip are divided.
_MOST_FRAMES = 32
#: Pictures that the encoder may read for the scores of a view: exact Shapley values of the regions of two frames, or
#: of six frames. With more frames fewer variants are tried, but at least enough for three pairs of random orders.
_MOST_PICTURES, _FEWEST_VARIANTS = 512, 48
#: A removed region keeps as many values along each side of the crop, which is a blur over a quarter of the side.
_BLUR_CELLS = 4
#: Edges of regions are softened over this share of the side.
_SOFT_EDGE = 1 / 16
#: {region: its rectangles as left, top, right, bottom, in shares of the side}. Alignment puts the eyes 0.38 of the side
#: below the top and as far apart (``preprocess.faces.crops``). By the five-point template of Deng et al. 2019 (ArcFace)
#: the tip of the nose is then at 0.60 and the mouth at 0.82. What no rectangle covers is the edge of the crop.
REGIONS: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "forehead": ((0.12, 0.0, 0.88, 0.16),),
    "brows": ((0.12, 0.16, 0.88, 0.31),),
    "eyes": ((0.12, 0.31, 0.88, 0.48),),
    "nose": ((0.36, 0.48, 0.64, 0.70),),
    "cheeks": ((0.12, 0.48, 0.36, 0.70), (0.64, 0.48, 0.88, 0.70), (0.12, 0.70, 0.26, 0.93), (0.74, 0.70, 0.88, 0.93)),
    "mouth": ((0.26, 0.70, 0.74, 0.93),),
    "chin": ((0.12, 0.93, 0.88, 1.0),),
}
EDGE = "edge of the crop"


def region_masks(side: int) -> Tensor:
    """Masks ``[U, S, S]`` float32 of :data:`REGIONS` and the edge; every pixel belongs to one region.

    Args:
        side: S, pixels.
    """
    owner = torch.full((side, side), len(REGIONS))
    for number, boxes in enumerate(REGIONS.values()):
        for box in boxes:
            left, top, right, bottom = (round(share * side) for share in box)
            owner[top:bottom, left:right] = number
    return F.one_hot(owner, len(REGIONS) + 1).permute(2, 0, 1).float()


def grid_masks(side: int, cells: int = GRID) -> Tensor:
    """Masks ``[cells * cells, S, S]`` float32 of a grid, row by row.

    Args:
        side: S, pixels.
        cells: cells along each side; at most S.
    """
    place = torch.arange(side) * cells // side
    owner = place.unsqueeze(1) * cells + place
    return F.one_hot(owner, cells * cells).permute(2, 0, 1).float()


def blurred(crops: Tensor) -> Tensor:
    """Crops ``[F, 3, S, S]`` uint8 without any detail."""
    small = F.adaptive_avg_pool2d(crops.float(), min(_BLUR_CELLS, crops.shape[-1]))
    return F.interpolate(small, crops.shape[-2:], mode="bilinear", align_corners=False)


def most_variants(crops: Tensor) -> int:
    """Number of changed inputs that the scores of a view of ``[F, 3, S, S]`` crops may cost.

    Example:
        >>> [most_variants(torch.zeros(frames, 3, 8, 8)) for frames in (1, 4, 8, 32)]
        [512, 128, 64, 48]
    """
    return max(_FEWEST_VARIANTS, _MOST_PICTURES // len(crops))


class CropView(PartView):
    """Regions of the face. A removed one is blurred in all frames.

    Args:
        crops: ``[F, 3, S, S]`` uint8.
        masks: ``[U, S, S]`` float32, 1 inside a part; they sum to one at each pixel.
        parts: the parts.
        notes: remarks for the user.
    """

    unit: UnitKind = "region"
    baseline = "a strong blur of the same crop"

    def __init__(self, crops: Tensor, masks: Tensor, parts: Sequence[EvidencePart], notes: Sequence[str] = ()) -> None:
        self.crops, self.parts, self.notes = crops, parts, notes
        self.most_passes = most_variants(crops)
        self.detail = blurred(crops) - crops.float()
        self.hard = masks.to(crops.device)
        width = 2 * round(_SOFT_EDGE * crops.shape[-1] / 2) + 1
        padded = F.pad(self.hard.unsqueeze(1), [width // 2] * 4, mode="replicate")
        self.masks = F.avg_pool2d(padded, width, stride=1).squeeze(1)

    def without(self, gone: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`PartView.without`."""
        removed = torch.einsum("ku,uhw->khw", gone.to(self.masks), self.masks)
        changed = self.crops + removed[:, None, None] * self.detail
        mask = torch.ones(changed.shape[:2], dtype=torch.bool, device=changed.device)
        return changed.round().clamp(0, 255).to(torch.uint8), mask

    def magnitude(self) -> Tensor:
        """How much of the picture each part holds: the mean over frames of its summed difference from the blur."""
        return torch.einsum("hw,uhw->u", self.detail.abs().mean((0, 1)), self.hard)


class FrameView(PartView):
    """Frames. A removed one is left out of the sequence; a clip without any frame shows the blurred first one.

    Args:
        crops: ``[F, 3, S, S]`` uint8.
        times: seconds of each frame from the start of the input.
        notes: remarks for the user.
    """

    unit: UnitKind = "frame"
    baseline = "the clip without this frame"

    def __init__(self, crops: Tensor, times: Sequence[float], notes: Sequence[str] = ()) -> None:
        self.crops, self.notes = crops, notes
        self.most_passes = most_variants(crops)
        self.spans = spans(len(crops), _MOST_FRAMES)
        self.owner = torch.zeros(len(crops), dtype=torch.long, device=crops.device)
        for number, (first, last) in enumerate(self.spans):
            self.owner[first:last] = number
        self.parts = [
            EvidencePart(
                name=f"frame {a + 1}" if b == a + 1 else f"frames {a + 1} to {b}",
                score=0.0,
                start=round(times[a], 3),
                end=round(times[b - 1], 3),
            )
            for a, b in self.spans
        ]

    def without(self, gone: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`PartView.without`."""
        empty = blurred(self.crops[:1])[0].round()
        return without_steps(self.crops, gone.to(self.crops.device)[:, self.owner], empty)

    def magnitude(self) -> Tensor:
        """Mean distance of each frame from the average frame."""
        distance = (self.crops.float() - self.crops.float().mean(0)).abs().mean((1, 2, 3))
        return torch.stack([distance[first:last].mean() for first, last in self.spans])


@evidence.register("face")
class FaceEvidence(Evidence):
    """Evidence inside face crops: regions, frames, and heat maps."""

    def views(self, clip: ClipInput, target: ClipTarget) -> list[PartView]:
        """As :meth:`Evidence.views`. A single picture has no frames to compare."""
        crops = clip.tensor.to(target.compute.device)
        notes = []
        if isinstance(clip.raw, Pictures) and clip.raw.cropped:
            notes.append("the picture was given as a face crop and not aligned, so the regions are approximate")
        if len(crops) == 1:
            notes.append("there is a single picture, so no frames are compared")
        parts = [EvidencePart(name=name, score=0.0) for name in (*REGIONS, EDGE)]
        view = CropView(crops, region_masks(crops.shape[-1]), parts, notes)
        if len(crops) == 1:
            return [view]
        times, told = crop_times(clip)
        return [view, FrameView(crops, times, told)]

    def maps(self, clip: ClipInput, target: ClipTarget) -> list[EvidenceMap]:
        """One heat map for each of up to three frames, as if the clip consisted of this frame alone."""
        crops = clip.tensor.to(target.compute.device)
        times, _ = crop_times(clip)
        found = []
        for frame in ((a + b) // 2 for a, b in spans(len(crops), _MOST_MAPS)):
            scores, method = heat(crops[frame : frame + 1], target)
            found.append(
                EvidenceMap(
                    kind="crop",
                    scores=scores,
                    picture=png_base64(crops[frame]),
                    start=round(times[frame], 3),
                    end=round(times[frame], 3),
                    method=method,
                    trust="not measured",
                )
            )
        return found


def crop_times(clip: ClipInput) -> tuple[list[float], list[str]]:
    """Seconds of each crop from the start of the input, and a remark if they are not known."""
    count = len(clip.tensor)
    known = clip.times
    if known is None and isinstance(clip.raw, Pictures) and len(clip.raw.times) == count:
        known = [float(time) for time in clip.raw.times]
    if known is not None:
        return [clip.start + time for time in known], []
    fps = of_type(clip.entry.spec, FaceSpec).fps
    return [clip.start + i / fps for i in range(count)], ["the times of the frames are estimated from the frame rate"]


def heat(crop: Tensor, target: ClipTarget) -> tuple[list[list[float]], str]:
    """Scores of the cells of a grid over a crop, and how they were computed.

    On FER2013, Shapley values from a few random orders beat occlusion, random masks and integrated gradients in
    deletion and insertion. Occlusion, which needs fewer passes, replaces them where the input is large.

    Args:
        crop: ``[1, 3, S, S]`` uint8, a clip of one frame.
        target: what is explained.

    Returns:
        Rows of scores from the top, and the name of the method.
    """
    side = crop.shape[-1]
    cells = min(GRID, side)
    parts = [EvidencePart(name=f"cell {i + 1}", score=0.0, row=i // cells, column=i % cells) for i in range(cells**2)]
    scores, method = attribute(CropView(crop, grid_masks(side, cells), parts), target)
    return [[round(float(score), 6) for score in row] for row in scores.reshape(cells, cells)], method


def png_base64(crop: Tensor) -> str:
    """A crop ``[3, S, S]`` uint8 RGB as a PNG in base64."""
    pixels = np.ascontiguousarray(crop.permute(1, 2, 0).cpu().numpy()[:, :, ::-1])
    return base64.b64encode(cv2.imencode(".png", pixels)[1].tobytes()).decode("ascii")
