"""The orientation of stored pictures, from EXIF, HEIF or the display matrix of a video."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from multiemo.arrays import Pixels


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight orientations of a picture: a transposition followed by reflections.

    Args:
        swapped: whether rows and columns are swapped.
        left_right: whether the result is then mirrored left to right.
        up_down: whether it is then mirrored top to bottom.

    Example:
        >>> Orientation.of_exif(6)
        Orientation(swapped=True, left_right=True, up_down=False)
        >>> Orientation.of_exif(6).upright(np.array([[1, 2], [3, 4]], np.uint8)).tolist()
        [[3, 1], [4, 2]]
    """

    swapped: bool = False
    left_right: bool = False
    up_down: bool = False

    @classmethod
    def of_exif(cls, value: object) -> Orientation:
        """Return the orientation of an EXIF tag value, 1 to 8 (CIPA DC-008, 4.6.4.A). Any other value is upright."""
        return _EXIF.get(value, cls()) if isinstance(value, int) else cls()

    @classmethod
    def of_quarters(cls, quarters: int) -> Orientation:
        """Return a rotation by a number of quarter turns counter-clockwise."""
        return _QUARTERS[quarters % 4]

    @classmethod
    def of_matrix(cls, a: float, b: float, c: float, d: float) -> Orientation:
        """Return the orientation nearest to a transformation matrix (ISO/IEC 14496-12, 6.2.2).

        x' = a x + c y and y' = b x + d y, with y downwards.

        Args:
            a: x to x'.
            b: x to y'.
            c: y to x'.
            d: y to y'.
        """
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    @classmethod
    def of_frame(cls, frame: Any) -> Orientation:
        """Return the orientation of a PyAV frame, from its display matrix.

        For frames that are not YUV only the rotation is used, without reflection: PyAV 18 frees the name of a colour
        profile, which PNG decoders attach, twice when the side data of the frame is read.
        """
        turned = cls.of_quarters(round(frame.rotation / 90))
        if not frame.format.name.startswith(_YUV):
            return turned
        try:
            found = frame.side_data.get("DISPLAYMATRIX")
        except ValueError:  # the frame has side data of a type unknown to PyAV
            return turned
        if found is None:
            return cls()
        a, b, _, c, d = struct.unpack_from("=5i", bytes(found))
        return cls.of_matrix(a, b, c, d)

    def then(self, other: Orientation) -> Orientation:
        """Return the composition of this orientation followed by another."""
        across, down = (self.up_down, self.left_right) if other.swapped else (self.left_right, self.up_down)
        return Orientation(self.swapped != other.swapped, across != other.left_right, down != other.up_down)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the upright width and height of a stored picture, or the stored ones of an upright picture."""
        return (height, width) if self.swapped else (width, height)

    def upright(self, picture: Pixels) -> Pixels:
        """Return a stored picture, ``[H, W]`` or ``[H, W, C]``, upright."""
        turned = picture.swapaxes(0, 1) if self.swapped else picture
        turned = turned[:: -1 if self.up_down else 1, :: -1 if self.left_right else 1]
        return np.ascontiguousarray(turned)

    @property
    def rotation(self) -> int:
        """Rotation in degrees counter-clockwise, applied before the reflection if :attr:`mirrored`."""
        flipped = self.left_right != self.mirrored
        return {(0, 0): 0, (1, 0): 90, (0, 1): 180, (1, 1): 270}[self.swapped, flipped]

    @property
    def mirrored(self) -> bool:
        """Whether the stored picture is mirrored left to right."""
        return self.swapped ^ self.left_right ^ self.up_down


#: Prefixes of the pixel formats of videos.
_YUV = ("yuv", "nv", "p0")
_EXIF: dict[object, Orientation] = {
    2: Orientation(left_right=True),
    3: Orientation(left_right=True, up_down=True),
    4: Orientation(up_down=True),
    5: Orientation(swapped=True),
    6: Orientation(swapped=True, left_right=True),
    7: Orientation(swapped=True, left_right=True, up_down=True),
    8: Orientation(swapped=True, up_down=True),
}
_QUARTERS = (Orientation(), _EXIF[8], _EXIF[3], _EXIF[6])
