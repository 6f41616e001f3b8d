"""Corruptions of pictures: occlusion, blur, low light, low resolution and dropped frames.

Sizes are relative to the face, so a severity means the same for a face that fills the picture and for a distant one.
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
#: Sensor noise, on a scale where white is 1: standard deviation in the dark, and variance per unit of light.
READ_NOISE = 0.002
SHOT_NOISE = 0.0005
#: Standard deviation of a blur, pixels, down to which a picture may be shrunk before it is blurred.
FINE = 4.0
#: Grey level of the occluding plate, 0..255.
OCCLUDER = 127


@dataclass(frozen=True, slots=True)
class Film(Pictures):
    """The pictures of one clip and the boxes of its face.

    Args:
        frames, times, cropped, still: see :class:`multiemo.inputs.material.Pictures`.
        boxes: ``[F, 4]`` x0, y0, x1, y1 of the face, pixels; may extend beyond the picture.
    """

    boxes: Array

    @property
    def side(self) -> float:
        """Side of a square with the area of the face, pixels; the median over the frames."""
        size = np.maximum(self.boxes[:, 2:] - self.boxes[:, :2], 0.0)
        return float(np.median(np.sqrt(size.prod(axis=1))))


def occlusion(film: Film, share: float, draw: Generator) -> Film:
    """Cover a part of the face with a grey plate, at the same place of the face in every frame.

    Args:
        film: the clip.
        share: share of the face's box that is covered, 0..1.
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
    """Blur the pictures by a Gaussian, as if they were out of focus.

    Args:
        film: the clip.
        share: standard deviation as a share of the face's side.
        draw: not used.
    """
    sigma = share * film.side
    if sigma <= 0:
        return film

    # A wide Gaussian is applied to a picture shrunk until its standard deviation is FINE pixels. The result is the same
    # within a few grey levels, and the time does not grow with the width.
    times = max(1, int(sigma / FINE))

    def blurred(picture: Tensor) -> Tensor:
        whole = list(picture.shape[1:])
        small = functional.resize(picture, [-(-side // times) for side in whole], antialias=True)
        # Two one-dimensional passes; the two-dimensional kernel of the library would take quadratic time.
        for axis in (2, 1):
            reach = min(math.ceil(3 * sigma / times), small.shape[axis] - 1)
            kernel = [2 * reach + 1, 1] if axis == 2 else [1, 2 * reach + 1]
            small = functional.gaussian_blur(small, kernel, [sigma / times] * 2)
        return functional.resize(small, whole, antialias=True)  # type: ignore[no-any-return]

    return _each(film, blurred)


def low_light(film: Film, stops: float, draw: Generator) -> Film:
    """Underexpose the pictures: less light on the sensor, with the same noise.

    Args:
        film: the clip.
        stops: number of times that the light is halved; 0 does not change the clip.
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
    """Reduce the resolution: shrink the pictures and enlarge them again.

    Args:
        film: the clip.
        pixels: side of the face in the shrunken picture, pixels; a clip with a smaller face is not changed.
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
    """Drop frames.

    Args:
        film: the clip; a single picture is not changed.
        share: share of the frames that are dropped, 0..1, rounded to whole frames.
        draw: source of randomness.
    """
    count = len(film.frames)
    if count < 2:
        return film
    kept = draw.permutation(count) >= round(share * count)
    return replace(film, frames=film.frames[kept], times=film.times[kept], boxes=film.boxes[kept])


def _each(film: Film, change: Callable[[Tensor], Tensor]) -> Film:
    """Apply ``change`` to each frame, ``[3, H, W]`` float32 within 0..1; one frame at a time bounds the memory."""
    frames = np.empty_like(film.frames)
    for number, frame in enumerate(film.frames):
        picture = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).float() / 255
        frames[number] = (change(picture) * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return replace(film, frames=frames)
