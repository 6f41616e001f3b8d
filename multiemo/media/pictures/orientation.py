"""How a stored picture is brought upright: the one place for EXIF, HEIF and the display matrix of films."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from multiemo.arrays import Pixels


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways in which a picture can lie: first its diagonal is mirrored, then its sides.

    Args:
        swapped: rows and columns change places.
        left_right, up_down: mirrored, after that.

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
        """Of the EXIF tag (CIPA DC-008, 4.6.4.A); what is none of its values, 1 to 8, is upright."""
        return _EXIF.get(value, cls()) if isinstance(value, int) else cls()

    @classmethod
    def of_quarters(cls, quarters: int) -> Orientation:
        """Of a picture to turn by so many quarters, counter-clockwise."""
        return _QUARTERS[quarters % 4]

    @classmethod
    def of_matrix(cls, a: float, b: float, c: float, d: float) -> Orientation:
        """The nearest to a map of places, x' = a x + c y and y' = b x + d y, y downwards (ISO/IEC 14496-12, 6.2.2)."""
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    @classmethod
    def of_frame(cls, frame: Any) -> Orientation:
        """Of the display matrix that came with a frame of PyAV; of one that is not YUV, its turn without its mirror.

        PyAV 18 frees the name of a colour profile, as decoders of PNG hand over, twice when a frame is asked for its
        side data.
        """
        turned = cls.of_quarters(round(frame.rotation / 90))
        if not frame.format.name.startswith(_YUV):
            return turned
        try:
            found = frame.side_data.get("DISPLAYMATRIX")
        except ValueError:  # PyAV does not know the kind of some other side data
            return turned
        if found is None:
            return cls()
        a, b, _, c, d = struct.unpack_from("=5i", bytes(found))
        return cls.of_matrix(a, b, c, d)

    def then(self, other: Orientation) -> Orientation:
        """Both, the other one last."""
        across, down = (self.up_down, self.left_right) if other.swapped else (self.left_right, self.up_down)
        return Orientation(self.swapped != other.swapped, across != other.left_right, down != other.up_down)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height, upright, of a stored picture; or the other way round."""
        return (height, width) if self.swapped else (width, height)

    def upright(self, picture: Pixels) -> Pixels:
        """A stored picture, ``[H, W]`` or ``[H, W, C]``, upright."""
        turned = picture.swapaxes(0, 1) if self.swapped else picture
        turned = turned[:: -1 if self.up_down else 1, :: -1 if self.left_right else 1]
        return np.ascontiguousarray(turned)

    @property
    def rotation(self) -> int:
        """Degrees counter-clockwise; where the picture is also :attr:`mirrored`, that comes after it."""
        flipped = self.left_right != self.mirrored
        return {(0, 0): 0, (1, 0): 90, (0, 1): 180, (1, 1): 270}[self.swapped, flipped]

    @property
    def mirrored(self) -> bool:
        """Whether the stored picture is a mirror image, left for right."""
        return self.swapped ^ self.left_right ^ self.up_down


#: How the formats of pixels begin that films have.
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
