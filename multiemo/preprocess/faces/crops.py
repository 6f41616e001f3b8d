"""Video frames -> aligned face crops of one person, according to a :class:`~multiemo.types.FaceSpec`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from multiemo.arrays import Array, Pixels
from multiemo.media.pictures.downscaling import averaged
from multiemo.preprocess.faces.detection import Face, make_detector
from multiemo.preprocess.faces.linking import Track, link_faces, most_at_once, subsample
from multiemo.preprocess.faces.quality import MIN_QUALITY, Quality, face_quality, unused_note, why_unusable
from multiemo.types import Absent, FaceSpec

#: The chosen face must be seen in at least this share of the frames. Less indicates a passer-by or a false alarm.
MIN_SHARE = 0.25
#: Reason for an absent face in a single picture.
NO_FACE = "no face found in the picture"
#: Position of the eyes in the crop, as shares of its side: height, and horizontal distance.
EYES_Y = 0.38
EYES_APART = 0.38
#: If the eyes are closer than this share of the face, it is a profile, which cannot be aligned by the eyes.
PROFILE_EYES = 0.22
#: Side of the crop divided by the side of the face's box, if there are no eyes to align by.
BOX_MARGIN = 1.1


@dataclass(frozen=True, slots=True)
class FaceTrack:
    """One person's face over a span.

    Args:
        crops: ``[F, 3, S, S]`` uint8 RGB, aligned, in order of time; only frames in which the face was found.
        times: ``[F]`` seconds from the start of the span.
        boxes: ``[F, 4]`` x0, y0, x1, y1 in pixels of the frames.
        scores: ``[F]`` confidence of the detector, 0..1.
        faces: number of different faces in the span.
        seen: number of frames in which this face was found, before subsampling to ``FaceSpec.frames``.
        searched: number of frames that were searched.
        notes: remarks for the user, one line each.
    """

    crops: Tensor
    times: Array
    boxes: Array
    scores: Array
    faces: int
    seen: int
    searched: int
    notes: list[str] = field(default_factory=list)


class FacePreprocessor:
    """Detects faces, links them to tracks, aligns and crops them, drops unusable crops, and chooses the main face.

    Args:
        spec: input specification of the encoder.

    Raises:
        ConfigError: the detector in the spec does not exist.
    """

    def __init__(self, spec: FaceSpec) -> None:
        self.spec = spec
        self.detector = make_detector(
            spec.detector, size=spec.detector_size, min_score=spec.min_score, min_face=spec.min_face
        )

    def __call__(self, frames: Pixels, times: Array | None = None, cropped: bool = False) -> FaceTrack | Absent:
        """Find the main face of a span.

        Args:
            frames: ``[F, H, W, 3]`` uint8 RGB.
            times: ``[F]`` seconds from the start of the span; zeros for a still.
            cropped: the frames are face crops already. They are used whole and no face is searched for. Only their
                exposure and size are checked, since there is no other face to choose.

        Returns:
            The track, or :class:`~multiemo.types.Absent` with the reason.
        """
        count = len(frames)
        stamps = np.zeros(count) if times is None else np.asarray(times, dtype=np.float64)
        if count == 0:
            return Absent("there are no video frames to look for a face in")
        if cropped:
            height, width = frames.shape[1:3]
            whole = [(i, Face((0.0, 0.0, float(width), float(height)), 1.0)) for i in range(count)]
            shots = self._shots(frames, whole, whole_picture)
            good = [shot for shot in shots if shot.quality.whole_crop_score >= MIN_QUALITY]
            return self._track(stamps, good, shots, 1) if good else Absent(why_unusable([s.quality for s in shots]))
        found = [self.detector.detect(frame) for frame in frames]
        limit = self.spec.min_face * min(frames.shape[1:3])
        large = [[f for f in faces if f.side >= limit] for faces in found]
        tracks = sorted(link_faces(large, stamps), key=lambda t: -sum(f.side**2 * f.score for _, f in t))
        if not tracks:
            sides = [face.side for faces in found for face in faces]
            largest = max(sides, default=0.0) / min(frames.shape[1:3])
            return Absent(why_no_face(largest, self.spec.min_face, count))
        steady = [track for track in tracks if len(track) >= MIN_SHARE * count]
        if not steady:
            return Absent(why_unsteady(max(map(len, tracks)), count))
        faces = most_at_once([number for number, _ in track] for track in tracks)
        chances = [self._shots(frames, track, crop_face) for track in steady]
        usable = [(good, shots) for shots in chances if (good := [s for s in shots if s.quality.score >= MIN_QUALITY])]
        if not usable:
            return Absent(why_unusable([shot.quality for shot in chances[0]]))
        good, shots = max(usable, key=lambda pair: sum(s.face.side**2 * s.face.score for s in pair[0]))
        return self._track(stamps, good, shots, faces)

    def _shots(self, frames: Pixels, track: Track, cut: Callable[[Pixels, Face, int], Pixels]) -> list[_Shot]:
        crops = ((number, face, cut(frames[number], face, self.spec.size)) for number, face in track)
        return [_Shot(number, face, crop, face_quality(crop, face)) for number, face, crop in crops]

    def _track(self, times: Array, good: list[_Shot], shots: list[_Shot], faces: int) -> FaceTrack:
        """Build the result from the usable crops (``good``) of one face."""
        chosen = subsample(good, self.spec.frames)
        notes = []
        if faces > 1:
            notes.append(f"{faces} faces found; the largest and steadiest was used")
        if len(shots) < len(times):
            notes.append(f"the face was found in {len(shots)} of {len(times)} frames")
        if len(good) < len(shots):
            notes.append(unused_note([shot.quality for shot in shots], len(good)))
        return FaceTrack(
            crops=torch.from_numpy(np.ascontiguousarray(np.stack([s.crop for s in chosen]).transpose(0, 3, 1, 2))),
            times=times[[shot.frame for shot in chosen]],
            boxes=np.array([shot.face.box for shot in chosen]),
            scores=np.array([shot.face.score for shot in chosen]),
            faces=faces,
            seen=len(shots),
            searched=len(times),
            notes=notes,
        )


@dataclass(frozen=True, slots=True)
class _Shot:
    """A face in one frame: frame number, location, crop, and quality of the crop."""

    frame: int
    face: Face
    crop: Pixels
    quality: Quality


def why_no_face(largest: float, min_face: float, searched: int) -> str:
    """Why no face of a span can be used.

    Args:
        largest: side of the largest face found, as a share of the picture's shorter side; 0 if none was found.
        min_face: smallest share that is accepted.
        searched: number of frames that were searched.
    """
    if largest > 0:
        return f"every face is too small: {largest:.1%} of the picture's shorter side at most, {min_face:.1%} is needed"
    return NO_FACE if searched == 1 else f"no face found in any of {searched} frames"


def why_unsteady(seen: int, searched: int) -> str:
    """Why a face that was found in only ``seen`` of ``searched`` frames is not used."""
    return f"no steady face: the best one was found in only {seen} of {searched} frames"


def crop_face(frame: Pixels, face: Face, size: int) -> Pixels:
    """Crop a face, upright and with its eyes at fixed positions if they are known.

    Args:
        frame: ``[H, W, 3]`` uint8.
        face: the face, in pixels of the frame.
        size: S, side of the crop, pixels.

    Returns:
        ``[S, S, 3]`` uint8.
    """
    matrix = upright(face) * size
    # The warp does no antialiasing: pixels of large faces are averaged before it, and the rest is reduced after it.
    dense = 1 / math.hypot(matrix[0, 0], matrix[1, 0])
    step = 2 ** max(0, int(math.log2(max(dense, 1))) - 1)
    part, x, y = _averaged(frame, matrix, size, step)
    times = max(1, round(dense / step))
    # Coordinates refer to pixel corners here, and to pixel centres in the warp.
    matrix[:, 2] += matrix[:, :2] @ (x + step / 2, y + step / 2)
    matrix[:, :2] *= step
    matrix *= times
    matrix[:, 2] -= 0.5
    warped = cv2.warpAffine(
        part, matrix, (size * times, size * times), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return _resize(warped, size)


def _averaged(frame: Pixels, matrix: Array, size: int, step: int) -> tuple[Pixels, int, int]:
    """Cut the area that a crop covers out of a picture and average blocks of ``step`` by ``step`` pixels.

    Args:
        frame: ``[H, W, 3]`` uint8; extended by its outermost pixels.
        matrix: ``[2, 3]`` transform from the picture to the crop.
        size: side of the crop, pixels.
        step: block size, pixels, a power of two.

    Returns:
        The averaged area, and the x and y at which it begins in the picture.
    """
    if step == 1:
        return frame, 0, 0
    corners = np.array([[0, 0], [0, size], [size, 0], [size, size]]) - matrix[:, 2]
    corners = corners @ np.linalg.inv(matrix[:, :2]).T
    (x, y), (right, bottom) = ((edge // step).astype(int) * step for edge in (corners.min(0), corners.max(0) + step))
    rows, pad_top, pad_bottom = _inside(y - step, bottom + step, frame.shape[0])
    columns, pad_left, pad_right = _inside(x - step, right + step, frame.shape[1])
    part = frame[rows, columns]
    if pad_top or pad_bottom or pad_left or pad_right:
        part = cv2.copyMakeBorder(part, pad_top, pad_bottom, pad_left, pad_right, cv2.BORDER_REPLICATE)
    return averaged(part, part.shape[1] // step, part.shape[0] // step), x - step, y - step


def _inside(begin: int, end: int, length: int) -> tuple[slice, int, int]:
    """Clip a span to ``length``, but keep at least one element. Returns it and the elements missing at both ends."""
    first = min(max(begin, 0), length - 1)
    last = max(min(end, length), first + 1)
    before = min(max(first - begin, 0), end - begin - (last - first))
    return slice(first, last), before, end - begin - (last - first) - before


def upright(face: Face) -> Array:
    """The transform ``[2, 3]`` from the picture to a unit square in which the face is upright.

    The eyes are placed at (0.5 -+ EYES_APART / 2, EYES_Y). Without eyes, the box is centred.
    """
    matrix = None if face.landmarks is None else _eye_transform(face.landmarks, face.side)
    if matrix is None:
        x, y = face.center
        x0, _, x1, _ = face.box
        side = BOX_MARGIN * max(x1 - x0, face.side)
        matrix = np.array([[1 / side, 0, 0.5 - x / side], [0, 1 / side, 0.5 - y / side]])
    return np.asarray(matrix, dtype=np.float64)


def _eye_transform(landmarks: Any, side: float) -> Any:
    """The similarity that places the eyes in a unit square, or ``None`` for a profile."""
    left, right = landmarks[0].astype(float), landmarks[1].astype(float)
    apart = right - left
    distance = float(np.hypot(*apart))
    if distance < PROFILE_EYES * side or apart[0] <= 0:
        return None
    scale = EYES_APART / distance
    cos, sin = scale * apart / distance
    rotation = np.array([[cos, sin], [-sin, cos]])
    middle = rotation @ ((left + right) / 2)
    return np.hstack([rotation, (np.array([0.5, EYES_Y]) - middle)[:, None]])


def whole_picture(frame: Pixels, face: Face, size: int) -> Pixels:
    """Cut out the largest centred square of a picture that is a face crop already.

    Args:
        frame: ``[H, W, 3]`` uint8.
        face: unused; the signature is that of :func:`crop_face`.
        size: S, side of the result, pixels.

    Returns:
        ``[S, S, 3]`` uint8.
    """
    height, width = frame.shape[:2]
    side = min(height, width)
    y, x = (height - side) // 2, (width - side) // 2
    return _resize(frame[y : y + side, x : x + side], size)


def _resize(picture: Any, size: int) -> Pixels:
    if picture.shape[0] == size:
        return np.asarray(picture, dtype=np.uint8)
    method = cv2.INTER_AREA if picture.shape[0] > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (size, size), interpolation=method), dtype=np.uint8)
