"""Draw a face that moves by action units: skin, hair, brows, lids, irises, nose and lips with soft shading.

The static parts (head, hair, shoulders) are painted once per speaker. Parts moved by action units are painted for each
frame, and the head is then warped onto the clip's background. The drawing is shaded and blurred enough to be found by a
face detector that was trained on photographs.

Appearance changes follow the FACS manual (Ekman, Friesen & Hager 2002); see :mod:`multiemo.synthetic.cues`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from multiemo.synthetic.appearance import CANVAS, CHIN_Y, EYE_Y, MID, MOUTH_Y, Look, paint_still
from multiemo.synthetic.canvas import Image, arc, clipped, ellipse, fill, shaded, stroke
from multiemo.synthetic.cues import ACTION_UNITS

_RELIEF = (slice(70, 240), slice(76, 212))  # the region of folds and nose


@dataclass(frozen=True, slots=True)
class Pose:
    """Position and orientation of the head in the picture.

    Args:
        x: horizontal centre of the face, as a share of the picture's side.
        y: vertical centre of the face, as a share of the picture's side.
        scale: height of the canvas, as a share of the picture's side.
        roll: rotation in the picture's plane, degrees.
        yaw: rotation to the side, -1..1 of the small range that the drawing can show.
        pitch: rotation up or down, -1..1 of the small range that the drawing can show.
    """

    x: float = 0.5
    y: float = 0.5
    scale: float = 1.0
    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0


class DrawnHead:
    """One speaker's head, which can be painted with any expression.

    Args:
        look: the speaker.
    """

    def __init__(self, look: Look) -> None:
        self.look = look
        self._front, self._alpha = paint_still(look, back=False)
        self._back = paint_still(look, back=True)[0]

    def paint(self, units: Mapping[int, float], pose: Pose = Pose(), *, gaze: float = 0.0) -> Image:
        """Paint the head with an expression.

        Args:
            units: {action unit: intensity 0..1}; 0 for missing ones. See ``cues.ACTION_UNITS``.
            pose: only its yaw and pitch are used; they move the features within the head.
            gaze: direction of gaze, -1 (left) .. 1 (right).

        Returns:
            ``[CANVAS, CANVAS, 3]`` uint8 RGB.
        """
        au = {k: float(units.get(k, 0.0)) for k in ACTION_UNITS}
        for unit, level in self.look.resting_units:
            au[unit] = min(1.0, au[unit] + level)
        image = self._drop_jaw(max(8.0 * au[26] + 2.0 * au[25] - 2.0 * au[17], 0.0))
        dx, dy = 9.0 * pose.yaw, 6.0 * pose.pitch
        dark: Image = np.zeros(image.shape[:2], np.uint8)
        self._shade_folds(dark, au, dx, dy)
        self._shade_nose(dark, au, dx * 1.5, dy * 1.3)
        moving = image[_RELIEF]
        shade = cv2.GaussianBlur(dark[_RELIEF], (0, 0), 1.7)
        shade = cv2.convertScaleAbs(shade, alpha=float(np.clip(sum(self.look.skin) / 570, 0.5, 1.0)))
        cv2.subtract(moving, cv2.merge([shade, shade, shade]), moving)
        for side in (-1, 1):
            self._paint_eye(image, au, side, dx, dy, gaze)
            self._paint_brow(image, au, side, dx, dy)
        self._paint_mouth(image, au, dx * 1.1, dy)
        if self.look.glasses:
            self._paint_glasses(image, dx, dy)
        return image

    def _drop_jaw(self, drop: float) -> Image:
        """Return the static head with its lower face stretched by ``drop`` pixels."""
        extra = round(drop)
        if extra == 0:
            return np.array(self._front)
        first, last = int(MOUTH_Y) - 8, int(CHIN_Y) + 4
        lower = cv2.resize(self._front[first:last], (CANVAS, last - first + extra), interpolation=cv2.INTER_LINEAR)
        return np.concatenate([self._front[:first], lower, self._front[last : CANVAS - extra]])

    def _shade_folds(self, dark: Image, au: Mapping[int, float], dx: float, dy: float) -> None:
        """Shade furrows and bulges: brow (1, 2, 4), cheek (6), nasolabial (10, 11, 12), lip corner (15), chin (17)."""
        x0, furrow = MID + dx, 10 + 70 * au[4]
        for side in (-1, 1):
            if au[4] > 0.05:
                stroke(dark, arc((x0 + side * 7, 112 + dy), (x0 + side * 5, 120 + dy), (x0 + side * 7, 128 + dy)),
                        furrow, 2)  # fmt: skip
            fold = 14 + 46 * max(au[12], au[11], 0.7 * au[10], 0.3 * au[6])
            wide = 26 + 9 * au[12]
            stroke(dark, arc((x0 + side * 17, 178 + dy), (x0 + side * (wide + 1), 188 + dy),
                               (x0 + side * (wide + 3), 203 + dy)), fold, 3)  # fmt: skip
            cheek = 10 + 50 * au[6]
            ex = x0 + side * self.look.eye_gap
            stroke(dark, arc((ex - 16, 150 + dy), (ex, 155 + dy - 2 * au[6]), (ex + 16, 150 + dy)), cheek, 2)
            if au[15] > 0.05:
                mx = x0 + side * (self.look.mouth + 5)
                stroke(dark, arc((mx - side * 2, 210 + dy), (mx, 217 + dy), (mx - side, 224 + dy)), 50 * au[15], 2)
        for row in range(3):
            level = 46 * au[1] if row < 2 else 30 * au[2]
            if level > 3:
                y = 88 + 9 * row + dy
                stroke(dark, arc((x0 - 30, y + 2), (x0, y - 2), (x0 + 30, y + 2)), level, 2)
        if au[17] > 0.05:
            stroke(dark, arc((x0 - 12, 229 + dy), (x0, 224 + dy), (x0 + 12, 229 + dy)), 60 * au[17], 3)

    def _shade_nose(self, dark: Image, au: Mapping[int, float], dx: float, dy: float) -> None:
        look, x0, lift = self.look, MID + dx, 2.5 * au[10]
        wide = 13 * look.nose
        y = 180 + dy - lift
        stroke(dark, arc((x0 + 9, 130 + dy), (x0 + 7, 155 + dy), (x0 + wide, y - 4)), 34.0, 4)
        stroke(dark, arc((x0 - 9, 130 + dy), (x0 - 7, 155 + dy), (x0 - wide, y - 4)), 16.0, 4)
        stroke(dark, arc((x0 - wide - 1, y - 3), (x0, y + 7), (x0 + wide + 1, y - 3)), 60.0, 3)
        fill(dark, ellipse(x0 - 6 * look.nose, y, 4, 2.2), 110.0)
        fill(dark, ellipse(x0 + 6 * look.nose, y, 4, 2.2), 110.0)

    def _paint_eye(self, image: Image, au: Mapping[int, float], side: int, dx: float, dy: float, gaze: float) -> None:
        look = self.look
        cx, cy, half = MID + dx + side * look.eye_gap * (1 - 0.08 * side * dx / 9), EYE_Y + dy, 16.5 * look.eye_size
        shut = au[45]
        up = look.eye_size * (7.5 + 5.0 * au[5] - 2.6 * au[7] - 1.6 * au[6] - 1.2 * au[4]) * (1 - shut)
        down = look.eye_size * (5.0 + 0.6 * au[5] - 2.6 * au[7] - 2.8 * au[6]) * (1 - shut) + 1.5 * shut
        droop = 1.8 * au[1] - 1.5 * au[4]
        inner, outer = (cx - side * half, cy + 1.5), (cx + side * half, cy - 0.5 + droop)
        upper, lower = arc(inner, (cx, cy - up), outer), arc(outer, (cx + side, cy + max(down, 1.2)), inner)
        x1, y1, x2, y2 = int(cx - 24), int(cy - 24), int(cx + 25), int(cy + 20)
        shift = np.array((x1, y1), float)
        patch = np.ascontiguousarray(image[y1:y2, x1:x2])
        ball = np.empty_like(patch)
        ball[:] = (236, 232, 228)
        ix, iy, radius = cx + 4.5 * gaze - x1, cy - 1.0 - y1, 7.6 * look.eye_size
        fill(ball, ellipse(ix, iy, radius, radius), shaded(look.iris, 0.6))
        fill(ball, ellipse(ix, iy, radius - 1.4, radius - 1.4), look.iris)
        fill(ball, ellipse(ix, iy, radius * 0.48, radius * 0.48), (14.0, 12.0, 12.0))
        fill(ball, ellipse(ix - 2.4, iy - 2.6, 1.7, 1.7), (250.0, 250.0, 250.0))
        stroke(ball, upper - shift + np.array((0.0, 1.5)), (150.0, 140.0, 136.0), 3)
        mask = np.zeros(patch.shape[:2], np.uint8)
        fill(mask, np.concatenate([upper, lower]) - shift, 255.0)
        weight = mask.astype(np.float32) * np.float32(1 / 255)
        patch = cv2.blendLinear(ball, patch, weight, 1 - weight)
        stroke(patch, upper - shift, shaded(look.hair, 0.45), 3)
        stroke(patch, lower - shift, shaded(look.skin, 0.6), 1)
        crease = upper - shift - np.array((0.0, 4.5 - 1.5 * au[5] + 1.0 * au[4]))
        stroke(patch, crease, shaded(look.skin, 0.66), 1)
        image[y1:y2, x1:x2] = cv2.GaussianBlur(patch, (3, 3), 0.6)

    def _paint_brow(self, image: Image, au: Mapping[int, float], side: int, dx: float, dy: float) -> None:
        look = self.look
        cx, cy = MID + dx + side * look.eye_gap, 116.0 + dy
        inner = (cx - side * (20 + 4.5 * au[4]), cy - 11 * au[1] - 2 * au[2] + 10 * au[4] * (1 - 0.55 * au[1]))
        middle = (cx + side, cy - 5 * au[1] - 8 * au[2] + 5.5 * au[4] - 4)
        outer = (cx + side * 22, cy - 1 * au[1] - 9 * au[2] + 2.0 * au[4] + 3)
        thick = look.brow
        top = arc(inner, (middle[0], middle[1] - thick / 2), outer)
        low = arc(outer, (middle[0], middle[1] + thick / 2), (inner[0], inner[1] + thick * 0.8))
        x1, y1, x2, y2 = int(cx - 32), int(cy - 30), int(cx + 33), int(cy + 30)
        patch = np.ascontiguousarray(image[y1:y2, x1:x2])
        mask = np.zeros(patch.shape[:2], np.uint8)
        fill(mask, np.concatenate([top, low]) - np.array((x1, y1), float), 225.0)
        weight = cv2.GaussianBlur(mask, (0, 0), 1.2).astype(np.float32) * np.float32(1 / 255)
        hair = np.empty_like(patch)
        hair[:] = shaded(look.hair, 0.75)
        image[y1:y2, x1:x2] = cv2.blendLinear(hair, patch, weight, 1 - weight)

    def _paint_mouth(self, image: Image, au: Mapping[int, float], dx: float, dy: float) -> None:
        look, x0, y0 = self.look, MID + dx, MOUTH_Y + dy - 2.5 * au[17]
        press = max(au[24], 0.8 * au[23])
        half = look.mouth + 8 * au[12] + 8.5 * au[20] - 4.0 * press + 1.5 * au[15]
        corner = y0 - 8.5 * au[12] + 8.0 * au[15] + 2.5 * au[20] + 0.5 * au[10]
        gap = (4.2 * au[25] + 15.0 * au[26]) * (1 - 0.8 * press)
        thick = (1 - 0.62 * press) * (1 - 0.25 * au[12]) * (1 - 0.3 * au[20])
        up, low = 6.2 * thick, 8.2 * thick + 2.0 * au[17]
        sag = 3.0 * au[12] - 2.2 * au[15]  # the middle of the lips moves less than the corners
        line = y0 + sag * 0.5 - 3.5 * au[10]
        left, right = (x0 - half, corner), (x0 + half, corner)
        inner_up = arc(left, (x0, line - 0.35 * gap), right)
        inner_low = arc(right, (x0, line + 0.65 * gap + 0.4), left)
        outer_up = arc(left, (x0, line - 0.35 * gap - up), right)
        outer_up[5:8, 1] += (0.6, 1.5, 0.6)  # Cupid's bow
        outer_low = arc(right, (x0, line + 0.65 * gap + low), left)
        x1, y1, x2, y2 = int(x0 - 56), int(y0 - 36), int(x0 + 57), min(int(y0 + 46), CANVAS)
        shift = np.array((x1, y1), float)
        patch = np.ascontiguousarray(image[y1:y2, x1:x2])
        fill(patch, np.concatenate([outer_up, inner_up[::-1]]) - shift, shaded(look.lip, 0.86))
        fill(patch, np.concatenate([inner_low[::-1], outer_low]) - shift, look.lip)
        stroke(patch, outer_low[3:10] - shift - np.array((0.0, 0.45 * low)), shaded(look.lip, 1.18), 2)
        if gap > 1.0:
            hole = np.concatenate([inner_up, inner_low]) - shift
            inside = np.empty_like(patch)
            inside[:] = (64, 26, 28)
            teeth = np.concatenate([inner_up, inner_up[::-1] + np.array((0.0, min(0.5 * gap, 6.0)))]) - shift
            fill(inside, teeth, (222.0, 214.0, 202.0))
            mask = np.zeros(patch.shape[:2], np.uint8)
            fill(mask, hole, 255.0)
            weight = mask.astype(np.float32) * np.float32(1 / 255)
            patch = cv2.blendLinear(inside, patch, weight, 1 - weight)
        else:
            stroke(patch, inner_up - shift, shaded(look.lip, 0.45), 2)
        for x, y in (left, right):
            fill(patch, ellipse(x - x1, y - y1, 2.2, 1.8), shaded(look.lip, 0.5))
        image[y1:y2, x1:x2] = cv2.GaussianBlur(patch, (3, 3), 0.8)

    def _paint_glasses(self, image: Image, dx: float, dy: float) -> None:
        frame = clipped(0.5 * np.array(self.look.skin) + 0.5 * np.array((40.0, 38.0, 42.0)))
        for side in (-1, 1):
            stroke(image, ellipse(MID + dx + side * self.look.eye_gap, 140 + dy, 28, 22), frame, 1, closed=True)
        stroke(image, arc((MID + dx - 9, 136 + dy), (MID + dx, 132 + dy), (MID + dx + 9, 136 + dy)), frame, 1)

    def place(self, image: Image | None, background: Image, pose: Pose) -> Image:
        """Put a painted head into a picture.

        Args:
            image: from :meth:`paint`, or ``None`` for the head seen from behind.
            background: ``[S, S, 3]`` uint8 RGB; not changed.
            pose: position, scale and roll.

        Returns:
            ``[S, S, 3]`` uint8 RGB.
        """
        size = background.shape[0]
        zoom = pose.scale * size / CANVAS
        matrix = cv2.getRotationMatrix2D((MID, 150.0), -pose.roll, zoom)
        matrix[:, 2] += np.array((pose.x * size - MID, pose.y * size - 150.0))
        painted = self._back if image is None else image
        warped = cv2.warpAffine(painted, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.warpAffine(self._alpha, matrix, (size, size), flags=cv2.INTER_LINEAR)
        weight = alpha.astype(np.float32) * np.float32(1 / 255)
        return np.asarray(cv2.blendLinear(warped, background, weight, 1 - weight), dtype=np.uint8)
