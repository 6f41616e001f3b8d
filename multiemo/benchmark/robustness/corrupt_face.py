"""Pictures made worse: something before the face, blur, darkness, few pixels, frames that never came.

Sizes count in face sizes, so that a severity means the same for a face that fills the picture and for one far away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torchvision.transforms.v2 import functional

from multiemo.arrays import Array
from multiemo.inputs.material import Pictures

#: Display gamma: the exponent from a pixel's value to light.
GAMMA = 2.2
#: Noise of the sensor, on a scale where white is 1: standard deviation in the dark, and variance per unit of light.
READ_NOISE = 0.002
SHOT_NOISE = 0.0005
#: A blur is computed where its standard deviation is at least this many pixels, if it is that wide at all.
FINE = 4.0
#: Grey of what is held before the face.
OCCLUDER = 127


@dataclass(frozen=True, slots=True)
class Film(Pictures):
    """What is seen of one clip, and where its face is.

    Args:
        frames, times, cropped, still: see :class:`multiemo.inputs.material.Pictures`.
        boxes: ``[F, 4]`` x0, y0, x1, y1 of the face in pixels; may reach beyond the picture.
    """

    boxes: Array

    @property
    def side(self) -> float:
        """Side of a square of the face's area, pixels: the median over the frames."""
        size = np.maximum(self.boxes[:, 2:] - self.boxes[:, :2], 0.0)
        return float(np.median(np.sqrt(size.prod(axis=1))))


def occlusion(film: Film, share: float, draw: Generator) -> Film:
    """A grey plate before the face, at the same place of it in every frame.

    Args:
        film: the clip.
        share: of the face's box that is hidden, 0..1.
        draw: source of randomness.
    """
    height, width = film.frames.shape[1:3]
    down, right = draw.random(2)
    side = math.sqrt(share)
    frames = film.frames.copy()
    for frame, box in zip(frames, film.boxes, strict=True):
        x0, x1 = np.clip(box[[0, 2]], 0, width)
        y0, y1 = np.clip(box[[1, 3]], 0, height)
        top = round(y0 + down * (1 - side) * (y1 - y0))
        left = round(x0 + right * (1 - side) * (x1 - x0))
        functional.erase(
            torch.from_numpy(frame).permute(2, 0, 1),
            top,
            left,
            round(side * (y1 - y0)),
            round(side * (x1 - x0)),
            torch.tensor(OCCLUDER, dtype=torch.uint8),
            inplace=True,
        )
    return replace(film, frames=frames)


def blur(film: Film, share: float, draw: Generator) -> Film:
    """Out of focus: a Gaussian of equal width everywhere.

    Args:
        film: the clip.
        share: standard deviation as a share of the face's side.
        draw: not used.
    """
    sigma = share * film.side
    if sigma <= 0:
        return film

    # A wide Gaussian on a picture shrunk so far that it is still FINE pixels wide: the same to a few grey levels, and
    # the time does not grow with the width.
    times = max(1, int(sigma / FINE))

    def blurred(picture: Tensor) -> Tensor:
        whole = list(picture.shape[1:])
        small = functional.resize(picture, [-(-side // times) for side in whole], antialias=True)
        # Two passes of one dimension: the library's own kernel of two would take the square of the time.
        for axis in (2, 1):
            reach = min(math.ceil(3 * sigma / times), small.shape[axis] - 1)
            kernel = [2 * reach + 1, 1] if axis == 2 else [1, 2 * reach + 1]
            small = functional.gaussian_blur(small, kernel, [sigma / times] * 2)
        return functional.resize(small, whole, antialias=True)  # type: ignore[no-any-return]

    return _each(film, blurred)


def low_light(film: Film, stops: float, draw: Generator) -> Film:
    """Under-exposure: less light on the sensor, whose noise stays.

    Args:
        film: the clip.
        stops: how often the light is halved; 0 leaves the clip as it is.
        draw: source of randomness.
    """
    if stops <= 0:
        return film

    def darkened(picture: Tensor) -> Tensor:
        light = functional.adjust_brightness(functional.adjust_gamma(picture, GAMMA), 2.0**-stops)
        noise = torch.from_numpy(draw.standard_normal(picture.shape, dtype=np.float32))
        light = light + noise * (READ_NOISE**2 + SHOT_NOISE * light).sqrt()
        return functional.adjust_gamma(light.clamp(0, 1), 1 / GAMMA)  # type: ignore[no-any-return]

    return _each(film, darkened)


def low_resolution(film: Film, pixels: float, draw: Generator) -> Film:
    """A face of few pixels: the picture is shrunk and enlarged again.

    Args:
        film: the clip.
        pixels: side of the face in the shrunken picture; a face that has no more is left as it is.
        draw: not used.
    """
    scale = pixels / max(film.side, 1e-6)
    if scale >= 1:
        return film

    def shrunk(picture: Tensor) -> Tensor:
        whole = list(picture.shape[1:])
        small = functional.resize(picture, [max(1, round(side * scale)) for side in whole], antialias=True)
        return functional.resize(small, whole, antialias=True)  # type: ignore[no-any-return]

    return _each(film, shrunk)


def dropped_frames(film: Film, share: float, draw: Generator) -> Film:
    """Frames that never arrived.

    Args:
        film: the clip; a single picture stays as it is.
        share: of the frames that are lost, 0..1, to the nearest whole frame.
        draw: source of randomness.
    """
    count = len(film.frames)
    if count < 2:
        return film
    kept = draw.permutation(count) >= round(share * count)
    return replace(film, frames=film.frames[kept], times=film.times[kept], boxes=film.boxes[kept])


def _each(film: Film, change: Callable[[Tensor], Tensor]) -> Film:
    """The film with ``change`` done to each frame, ``[3, H, W]`` float32 within 0..1; one at a time bounds memory."""
    frames = np.empty_like(film.frames)
    for number, frame in enumerate(film.frames):
        picture = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).float() / 255
        frames[number] = (change(picture) * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return replace(film, frames=frames)
