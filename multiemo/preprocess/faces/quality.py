"""Usability of a face crop, 0..1: the smallest of sharpness, size, pose and exposure.

- *sharpness*: variance of the Laplacian (Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy"; the
  best of the cheap measures in Pertuz, Puig & Garcia 2013) on the aligned crop at a fixed size, divided by the variance
  of the crop, so that neither the size of the face nor the contrast of the film matters. The crop is smoothed slightly
  before, against noise. Logarithmic.
- *size*: side of the face in the picture.
- *pose*: position of the nose tip along the line between the eyes: in the middle for a frontal face, beyond an eye for
  a profile (ISO/IEC 29794-5 names yaw the most harmful pose). Unknown without landmarks.
- *exposure*: the brightest and darkest twentieth of the middle of the crop. Skin may be dark or light, so only pictures
  that are completely black, white or flat are rated low.

The score serves to exclude unreadable crops, not to rank good ones: the encoder was trained on ordinary pictures,
including small, grey and soft ones. Crops below :data:`MIN_QUALITY` are not used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from multiemo.arrays import Pixels
from multiemo.preprocess.faces.detection import Face

#: Smallest score of a crop that is used.
MIN_QUALITY = 0.1
#: Side at which sharpness is measured, pixels.
_SIDE = 64
#: Standard deviation of the smoothing before it, pixels.
_SMOOTHING = 1.0
#: Variance of the Laplacian divided by the variance of the crop: no detail at all, and as sharp as a film needs to be.
#: The floor between them corresponds to a blur of about an eighth of the eyes' distance.
_SOFT, _SHARP = 1.4e-3, 5e-2
#: Side of a face with the full score, pixels.
_LARGE = 80.0
#: Distance of the nose from the middle of the eyes, in halves of the eyes' distance: full score up to the first, zero
#: from the second on. It is about 1.2 for a face turned by 45 degrees, which is still readable.
_FRONTAL, _BEHIND = 0.5, 2.2
#: Grey levels: bright parts of a sufficiently lit face, and the difference between its bright and dark parts.
_LIT, _SPREAD = 60.0, 25.0
#: Message for each part that is too low.
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
        sharpness: see the module.
        size: see the module.
        exposure: see the module.
        pose: see the module; ``None`` if the detector has no landmarks.
    """

    sharpness: float
    size: float
    exposure: float
    pose: float | None = None

    @property
    def score(self) -> float:
        """The smallest part."""
        return min(self._parts.values())

    @property
    def whole_crop_score(self) -> float:
        """The score of a picture that the user declared a face crop: the smaller of exposure and size."""
        return min(self.exposure, self.size)

    @property
    def fault(self) -> str:
        """What is wrong with the crop, with a number. Faults are listed before those that they may cause."""
        parts = self._parts
        part = next(
            (name for name, value in parts.items() if value < MIN_QUALITY), min(parts, key=lambda name: parts[name])
        )
        return f"{_FAULTS[part]} ({part} {parts[part]:.2f}, {MIN_QUALITY:.2f} is needed)"

    @property
    def _parts(self) -> dict[str, float]:
        parts = {"exposure": self.exposure, "size": self.size, "pose": self.pose, "sharpness": self.sharpness}
        return {name: part for name, part in parts.items() if part is not None}


def face_quality(crop: Pixels, face: Face) -> Quality:
    """Rate one crop.

    Args:
        crop: ``[S, S, 3]`` uint8 RGB, from :func:`~multiemo.preprocess.faces.crops.crop_face`.
        face: the face in the crop, in pixels of the original picture.
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
    """Why no crop of a face is used, according to the best of them."""
    return f"the face is {max(qualities, key=lambda q: q.score).fault}"


def unused_note(qualities: Sequence[Quality], used: int) -> str:
    """Message for the user if only ``used`` of the crops of a face are used."""
    worst = min(qualities, key=lambda q: q.score)
    return f"{len(qualities) - used} of {len(qualities)} faces were left out: {worst.fault}"


def _sharpness(grey: Pixels) -> float:
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _SMOOTHING)
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
