"""How usable a face crop is, 0..1: sharpness, size, pose and exposure, the weakest of the four.

- *sharpness*: variance of the Laplacian (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy"; the
  best of the cheap measures in Pertuz, Puig & Garcia 2013), on the aligned crop at a fixed size, over the variance of
  the crop itself, so that neither the size of the face nor the contrast of the film counts. A little smoothing goes
  before it, against noise. Logarithmic.
- *size*: side of the face in the picture.
- *pose*: where the tip of the nose lies along the line from eye to eye; in the middle of a frontal face, beyond an eye
  of a profile (ISO/IEC 29794-5 names yaw the pose that costs most). Unknown without landmarks.
- *exposure*: the brightest and darkest twentieth of the middle of the crop. Skin is dark or light by nature, so only
  pictures that are black, white or flat as a whole are marked down.

The score is made to keep out what cannot be read, not to rank good pictures: the encoder was trained on ordinary ones,
small, grey and soft ones among them. Whatever stands below :data:`FLOOR` is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from multiemo.arrays import Pixels
from multiemo.preprocess.faces.detection import Face

#: A crop whose score is lower is not used.
FLOOR = 0.1
#: Side at which sharpness is measured, pixels.
_SIDE = 64
#: The smoothing before it, pixels.
_SMOOTH = 1.0
#: Variance of the Laplacian over the variance of the crop: as good as no detail, and as sharp as a film needs to be.
#: The floor between them is where a blur of about an eighth of the eyes' distance lies.
_SOFT, _SHARP = 1.4e-3, 5e-2
#: Side of a face that is large enough, pixels.
_LARGE = 80.0
#: Distance of the nose from the middle of the eyes, in halves of the eyes' distance: full marks up to the first, none
#: from the second on. It is about 1.2 in a face turned by 45 degrees, which can still be read.
_FRONTAL, _BEHIND = 0.5, 2.2
#: Grey levels: the bright parts of a face that is lit well enough, and the spread between dark and bright parts.
_LIT, _SPREAD = 60.0, 25.0
#: What the user reads of each part that is too low.
_FAULTS = {
    "sharpness": "too blurred",
    "size": "too small",
    "pose": "turned away",
    "exposure": "too dark or overexposed",
}


@dataclass(frozen=True, slots=True)
class Quality:
    """The parts of a crop's quality, each 0..1.

    Args:
        sharpness, size, exposure: see the module.
        pose: ``None`` where the detector gives no landmarks.
    """

    sharpness: float
    size: float
    exposure: float
    pose: float | None = None

    @property
    def score(self) -> float:
        """The weakest part."""
        return min(self._parts.values())

    @property
    def taken_whole(self) -> float:
        """The weaker of the parts that count where somebody says that the picture is a face: light and pixels."""
        return min(self.exposure, self.size)

    @property
    def fault(self) -> str:
        """What is wrong with the crop, in words and a number: what can be seen in spite of other faults comes first."""
        parts = self._parts
        part = next((name for name, value in parts.items() if value < FLOOR), min(parts, key=lambda name: parts[name]))
        return f"{_FAULTS[part]} ({part} {parts[part]:.2f}, {FLOOR:.2f} is needed)"

    @property
    def _parts(self) -> dict[str, float]:
        parts = {"exposure": self.exposure, "size": self.size, "pose": self.pose, "sharpness": self.sharpness}
        return {name: part for name, part in parts.items() if part is not None}


def face_quality(crop: Pixels, face: Face) -> Quality:
    """The quality of one crop.

    Args:
        crop: ``[S, S, 3]`` uint8 RGB, as :func:`~multiemo.preprocess.faces.crops.crop_face` cuts it.
        face: it shows, in pixels of the picture that it was cut from.
    """
    method = cv2.INTER_AREA if crop.shape[0] > _SIDE else cv2.INTER_LINEAR
    grey = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (_SIDE, _SIDE), interpolation=method)
    middle = np.asarray(grey[_SIDE // 8 : -_SIDE // 8, _SIDE // 8 : -_SIDE // 8])
    return Quality(
        sharpness=_sharpness(middle),
        size=min(1.0, face.side / _LARGE),
        exposure=_exposure(middle),
        pose=None if face.landmarks is None else _pose(face),
    )


def why_unusable(qualities: Sequence[Quality]) -> str:
    """Why no crop of a face is used, by the best of them."""
    return f"the face is {max(qualities, key=lambda q: q.score).fault}"


def left_out(qualities: Sequence[Quality], used: int) -> str:
    """What the user reads where only some crops of a face are used."""
    worst = min(qualities, key=lambda q: q.score)
    return f"{len(qualities) - used} of {len(qualities)} faces were left out: {worst.fault}"


def _sharpness(grey: Pixels) -> float:
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _SMOOTH)
    contrast = float(smooth.var())
    if contrast < 1.0:
        return 0.0
    detail = float(cv2.Laplacian(smooth, cv2.CV_32F).var()) / contrast
    return _ramp(math.log(max(detail, 1e-9)), math.log(_SOFT), math.log(_SHARP))


def _exposure(grey: Pixels) -> float:
    dark, bright = (float(v) for v in np.percentile(grey, (5, 95)))
    return min(_ramp(bright, 0, _LIT), _ramp(255 - dark, 0, _LIT), _ramp(bright - dark, 0, _SPREAD))


def _pose(face: Face) -> float:
    if face.landmarks is None:
        return 1.0
    left, right, nose = face.landmarks[:3].astype(float)
    apart = right - left
    distance = float(apart @ apart)
    if distance <= 0 or apart[0] <= 0:
        return 0.0
    aside = abs(2 * float((nose - left) @ apart) / distance - 1)
    return _ramp(_BEHIND - aside, 0, _BEHIND - _FRONTAL)


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))
