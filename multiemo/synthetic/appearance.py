"""Paint the static parts of a speaker's head, from the front and from behind: skin, hair, beard, neck and shoulders."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.synthetic.canvas import Colour, Image, arc, circle, clipped, ellipse, fill, shaded, stroke

#: Side of the square canvas on which a head is painted, pixels.
CANVAS = 288
MID = 144.0
EYE_Y = 136.0
MOUTH_Y = 206.0
CHIN_Y = 246.0

_SKINS: tuple[Colour, ...] = (
    (234, 194, 166), (232, 188, 158), (222, 172, 136), (204, 152, 116), (176, 124, 90), (150, 104, 76), (124, 86, 64),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = (
    (34, 28, 26), (58, 42, 34), (92, 62, 42), (140, 98, 60), (190, 152, 98), (120, 52, 34), (150, 148, 146),
)  # fmt: skip
_IRISES: tuple[Colour, ...] = ((70, 48, 32), (96, 66, 36), (74, 96, 70), (76, 108, 142))


@dataclass(frozen=True, slots=True)
class Look:
    """The constant features of one speaker's face. Lengths are in canvas pixels."""

    skin: Colour
    hair: Colour
    iris: Colour
    lip: Colour
    width: float
    jaw: float
    eye_gap: float
    eye_size: float
    brow: float
    nose: float
    mouth: float
    hair_style: int
    fringe: float
    beard: float
    glasses: bool
    resting_units: tuple[tuple[int, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Look:
        """Draw a random speaker."""
        tone = int(rng.integers(len(_SKINS)))
        skin = np.array(_SKINS[tone]) + rng.normal(0, 4, 3)
        hairs = _HAIRS if tone < 3 else _HAIRS[:3]
        lip = skin * np.array((0.86, 0.62, 0.62)) + np.array((8.0, 0.0, 4.0))
        style = int(rng.integers(4))
        return cls(
            skin=clipped(skin),
            hair=hairs[rng.integers(len(hairs))],
            iris=_IRISES[rng.integers(len(_IRISES))],
            lip=clipped(lip),
            width=float(rng.uniform(72, 82)),
            jaw=float(rng.uniform(0.78, 0.92)),
            eye_gap=float(rng.uniform(33, 37)),
            eye_size=float(rng.uniform(0.92, 1.1)),
            brow=float(rng.uniform(5.0, 9.0)),
            nose=float(rng.uniform(0.85, 1.2)),
            mouth=float(rng.uniform(25, 29)),
            hair_style=style,
            fringe=float(rng.uniform(0.0, 1.0)),
            beard=float(rng.uniform(0.2, 0.45)) if style != 1 and rng.random() < 0.3 else 0.0,
            glasses=bool(rng.random() < 0.25),
            resting_units=tuple((au, float(rng.uniform(0.0, 0.12))) for au in (1, 4, 12, 15)),
        )


def paint_still(look: Look, *, back: bool) -> tuple[Image, Image]:
    """Paint head, hair, neck and shoulders.

    Args:
        look: the speaker.
        back: whether they are seen from behind.

    Returns:
        ``[CANVAS, CANVAS, 3]`` uint8 RGB, and its opacity, ``[CANVAS, CANVAS]`` uint8.
    """
    size = CANVAS
    image = np.zeros((size, size, 3), np.uint8)
    alpha = np.zeros((size, size), np.uint8)
    bare = look.hair_style == 3
    cloth = clipped((60 + 90 * look.fringe, 90 + 40 * look.jaw, 150 - 60 * look.fringe))
    # Colours extend beyond the opaque parts, so that edges do not turn black when they are moved or blurred.
    image[:232], image[232:] = look.skin if bare else look.hair, cloth
    outline = _outline(look)
    parts: list[tuple[Array, Colour]] = []
    if look.hair_style == 1:  # long hair behind the shoulders
        parts.append((ellipse(MID, 158, look.width + 20, 118), shaded(look.hair, 0.8)))
    parts.append((ellipse(MID, 318, 118, 62), cloth))
    neck = np.array([(MID - 34, 220), (MID + 34, 220), (MID + 42, 275), (MID - 42, 275)], float)
    parts.append((neck, shaded(look.skin, 0.78)))
    for side in (-1, 1):
        parts.append((ellipse(MID + side * (look.width + 2), 150, 9, 19), shaded(look.skin, 0.88)))
    if not bare:
        parts.append((ellipse(MID, 108, look.width + 3, 72, circle(170, 370, 48)), look.hair))
    parts.append((outline, look.skin))
    for points, colour in parts:
        fill(image, points, colour)
        fill(alpha, points, 255.0)
    if not back:
        image = _shade_face(image, outline, look)
        _paint_beard(image, outline, look)
        _paint_hairline(image, look)
    else:
        fill(image, ellipse(MID, 142, look.width + 4, 104), shaded(look.skin, 0.9) if bare else look.hair)
    _paint_strands(image, look)
    return cv2.GaussianBlur(image, (0, 0), 0.8), cv2.GaussianBlur(alpha, (0, 0), 0.9)


def _outline(look: Look) -> Array:
    """Return the outline of the face, ``[96, 2]``: an ellipse above the cheeks that narrows to the jaw below."""
    t = np.radians(np.linspace(0, 360, 96, endpoint=False))
    x, y = np.cos(t), np.sin(t)
    narrow = 1 - (1 - look.jaw) * np.clip(y, 0, 1) ** 1.6
    return np.stack([MID + look.width * x * narrow, 142 + np.where(y < 0, 96, 104) * y], axis=1)


def _shade_face(image: Image, outline: Array, look: Look) -> Image:
    """Shade the face: light from the upper left, darker edges, warm cheeks, deep eye sockets."""
    mask = np.zeros(image.shape[:2], np.uint8)
    fill(mask, outline, 255.0)
    weight = cv2.GaussianBlur(mask, (0, 0), 2).astype(np.float32)[..., None] / 255
    ys, xs = np.mgrid[:CANVAS, :CANVAS].astype(np.float32)
    dx, dy = (xs - MID) / look.width, (ys - 142) / 104
    light = 1.07 - 0.26 * np.clip(dx**2 + 0.6 * dy**2, 0, 1.4) - 0.05 * dx - 0.05 * dy

    def blob(cx: float, cy: float, rx: float, ry: float) -> NDArray[np.float32]:
        return np.asarray(np.exp(-(((xs - cx) / rx) ** 2) - ((ys - cy) / ry) ** 2), dtype=np.float32)

    for side in (-1, 1):
        light -= 0.17 * blob(MID + side * look.eye_gap, EYE_Y - 4, 21, 13)
        light += 0.05 * blob(MID + side * 40, 172, 18, 12)
    light += 0.09 * blob(MID - 1, 150, 5, 20) + 0.10 * blob(MID - 1, 171, 7, 6)  # ridge and tip of the nose
    light += 0.06 * blob(MID, 92, 40, 20) - 0.10 * blob(MID, MOUTH_Y + 17, 17, 5) + 0.05 * blob(MID, 234, 12, 8)
    tint = np.ones((*light.shape, 3), np.float32)
    for side in (-1, 1):
        tint -= blob(MID + side * 42, 176, 20, 14)[..., None] * np.array((0.0, 0.06, 0.05), np.float32)
    shaded = image * (1 + weight * (light[..., None] * tint - 1))
    # shadow of the chin on the neck
    below = blob(MID, 262, 52, 18)[..., None] * (1 - weight) * 0.35
    return np.asarray(np.clip(shaded * (1 - below), 0, 255), dtype=np.uint8)


def _paint_beard(image: Image, outline: Array, look: Look) -> None:
    if look.beard <= 0:
        return
    mask = np.zeros(image.shape[:2], np.uint8)
    fill(mask, outline, 255.0)
    cut = np.zeros_like(mask)
    fill(cut, ellipse(MID, 150, look.width * 0.86, 62), 255.0)
    fill(cut, ellipse(MID, MOUTH_Y + 1, 30, 12), 255.0)
    mask[:165] = 0
    mask = cv2.subtract(mask, cut)
    weight = cv2.GaussianBlur(mask, (0, 0), 4).astype(np.float32)[..., None] / 255 * look.beard
    image[:] = (image * (1 - weight) + np.array(look.hair, np.float32) * weight).astype(np.uint8)


def _paint_hairline(image: Image, look: Look) -> None:
    """Paint hair over the forehead, down to the height given by the fringe."""
    if look.hair_style == 3:
        return
    low = 76 + 12 * look.fringe
    top = ellipse(MID, 120, look.width + 3, 84, circle(188, 352, 48))
    if look.hair_style == 2:  # parted to one side
        inner = arc((MID + look.width + 2, 118), (MID + 24, low - 8), (MID - look.width - 2, 122))
    else:
        inner = arc((MID + look.width + 2, 122), (MID, low - 4), (MID - look.width - 2, 122))
    fill(image, np.concatenate([top, inner]), look.hair)
    if look.hair_style == 1:
        for side in (-1, 1):
            lock = arc((MID + side * (look.width - 4), 96), (MID + side * (look.width + 1), 170),
                        (MID + side * (look.width - 6), 250))  # fmt: skip
            stroke(image, lock, shaded(look.hair, 0.92), 15)


def _paint_strands(image: Image, look: Look) -> None:
    """Paint thin lighter and darker strands, so that the hair is not a flat patch."""
    if look.hair_style == 3:
        return
    rng = np.random.default_rng(round(look.width * 1e6))
    hair = np.abs(image.astype(np.int16) - np.array(look.hair, np.int16)).sum(axis=2) < 60
    layer = image.copy()
    for _ in range(70):
        x = float(rng.uniform(-1, 1)) * (look.width + 8)
        strand = arc((MID + 0.3 * x, 40), (MID + 0.85 * x, 70), (MID + x, float(rng.uniform(95, 200))))
        stroke(layer, strand, shaded(look.hair, float(rng.uniform(0.6, 1.6))), 1)
    image[hair] = layer[hair]
