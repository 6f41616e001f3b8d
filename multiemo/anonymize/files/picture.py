"""Write a still picture with covered faces."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from multiemo.anonymize.faces.covering import cover_faces, cover_picture
from multiemo.anonymize.files.film import count_faces
from multiemo.anonymize.records import FaceCounts
from multiemo.anonymize.settings import FaceMethod
from multiemo.files import draft
from multiemo.media.pictures.stills import read_still
from multiemo.preprocess.faces.detection import Detector

#: {ending: Pillow's format} of pictures.
PICTURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
#: Quality of a JPEG, 1 to 95.
_QUALITY = 95


def write_picture(
    source: Path, out: Path, *, detector: Detector, method: FaceMethod, cropped: bool = False
) -> tuple[FaceCounts | None, list[str]]:
    """Write a still picture upright and without metadata, with its faces covered.

    Args:
        source: the picture.
        out: ``.png``, ``.jpg`` or ``.jpeg``.
        detector: finds faces.
        method: how faces are covered.
        cropped: the picture is a face crop and is covered as a whole.

    Returns:
        Counts of faces, ``None`` if none were searched for; and notes.

    Raises:
        MediaError: the source cannot be read, or the file cannot be written.
    """
    picture, notes = read_still(source, None, "")
    counts = None
    if cropped:
        picture = cover_picture(picture, method)
    elif method != "keep":
        faces = detector.detect(picture)
        boxes = [face.box for face in faces]
        counts = count_faces([faces], [boxes])
        picture = cover_faces(picture, boxes, method)
    with draft(out) as made:
        Image.fromarray(picture).save(made, format=PICTURE_FORMATS[out.suffix.lower()], quality=_QUALITY)
    return counts, notes
