"""Pictures: faces, orientation and metadata of what is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multiemo.anonymize.faces.finding import face_detector
from multiemo.anonymize.files.picture import write_picture
from multiemo.media.reading import read_media
from multiemo.preprocess.faces.detection import Face


class Nothing:
    """A detector that finds no face."""

    def detect(self, frame: np.ndarray) -> list[Face]:
        return []


def test_no_face_is_found_in_a_protected_picture(small_corpus: Path, tmp_path: Path) -> None:
    detector = face_detector("auto")
    films = sorted(small_corpus.parent.rglob("*.mp4"))
    pictures = (read_media(film, fps=1.0, max_frames=1).frames for film in films)
    picture = next(found[0] for found in pictures if found is not None and detector.detect(found[0]))
    Image.fromarray(picture).save(tmp_path / "a.png")
    for method in ("pixelate", "blur", "box"):
        counts, _ = write_picture(tmp_path / "a.png", tmp_path / "b.png", detector=detector, method=method)
        assert counts is not None
        assert (counts.frames, counts.frames_found, counts.frames_without) == (1, 1, 0)
        assert not detector.detect(np.asarray(Image.open(tmp_path / "b.png")))


@pytest.mark.parametrize("name", ["b.jpg", "b.png"])
def test_metadata_is_gone_and_the_picture_upright(name: str, tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, :15] = 220
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F], exif[0x0132], exif[0x010E] = "PhoneMaker", "2024:05:01 10:00:00", "Ada at home"
    exif.get_ifd(0x8825)[1] = "N"
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=95, comment=b"Ada")
    assert b"PhoneMaker" in (tmp_path / "a.jpg").read_bytes()
    write_picture(tmp_path / "a.jpg", tmp_path / name, detector=Nothing(), method="pixelate")
    with Image.open(tmp_path / name) as made:
        assert made.size == (20, 30)
        assert not made.getexif()
        assert not {"exif", "comment", "icc_profile", "XML:com.adobe.xmp"} & set(made.info)
        assert np.asarray(made)[2, 10].max() > 180
        assert np.asarray(made)[27, 10].max() < 40
    assert not any(secret in (tmp_path / name).read_bytes() for secret in (b"PhoneMaker", b"2024", b"Ada"))


def test_a_face_crop_is_covered_whole_and_a_kept_picture_stays(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    counts, _ = write_picture(tmp_path / "a.png", tmp_path / "b.png", detector=Nothing(), method="box", cropped=True)
    assert counts is None
    assert not np.asarray(Image.open(tmp_path / "b.png")).any()
    write_picture(tmp_path / "a.png", tmp_path / "c.png", detector=Nothing(), method="keep")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "c.png")), pixels)
