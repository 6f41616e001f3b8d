"""Films: times, orientation, sound and metadata of what is written; and no face in any frame."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from multiemo.anonymize.faces.finding import face_detector
from multiemo.anonymize.files.film import FilmFrames, FilmResult, write_film
from multiemo.anonymize.voice.protection import VoiceProtection
from multiemo.errors import MediaError
from multiemo.media.reading import probe
from multiemo.preprocess.faces.detection import Face
from tests.support.media_files import grid, levels, tone, turned, write

#: Display matrix of a film that is turned by 90 degrees.
QUARTER = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


class Scripted:
    """A detector that finds a face in some frames.

    Args:
        frames: numbers of the frames.
    """

    def __init__(self, *frames: int) -> None:
        self.frames, self.number = frames, -1

    def detect(self, frame: np.ndarray) -> list[Face]:
        self.number += 1
        return [Face((20.0, 12.0, 44.0, 36.0), 0.9)] if self.number in self.frames else []


def protect(source: Path, out: Path, *frames: int, method: str = "box", cropped: bool = False) -> FilmResult:
    return write_film(source, out, detector=Scripted(*frames), method=method, voice=VoiceProtection(), cropped=cropped)


def test_times_of_a_variable_frame_rate_stay(tmp_path: Path) -> None:
    stamps = [0.0, 0.04, 0.1, 0.5, 0.533, 1.2, 1.9]
    source = write(tmp_path / "a.mkv", stamps=stamps)
    protect(source, tmp_path / "b.mp4")
    frames = list(FilmFrames(tmp_path / "b.mp4").frames())
    np.testing.assert_allclose([time for time, _ in frames], stamps, atol=1e-3)
    before = [picture for _, picture in FilmFrames(source).frames()]
    np.testing.assert_allclose(levels([p for _, p in frames]), levels(before), atol=2)


def test_only_frames_with_a_face_are_covered_and_counted(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mp4", stamps=grid(60))
    done = protect(source, tmp_path / "b.mp4", 30, 34)
    assert done.faces == {
        "frames": 60, "frames_found": 2, "frames_carried": 3 + 12 + 12, "frames_without": 31, "faces": 2,
        "most_at_once": 1,
    }  # fmt: skip
    dark = [bool(picture[24, 32].max() < 16) for _, picture in FilmFrames(tmp_path / "b.mp4").frames()]
    assert dark == [18 <= number <= 46 for number in range(60)]


def test_a_turned_film_is_written_upright(tmp_path: Path) -> None:
    left = np.zeros((48, 64, 3), np.uint8)
    left[:, :32] = 200
    source = turned(write(tmp_path / "a.mp4", stamps=grid(10), frames=[left] * 10), QUARTER)
    protect(source, tmp_path / "b.mp4")
    before, after = (next(FilmFrames(path).frames())[1] for path in (source, tmp_path / "b.mp4"))
    assert before.shape == after.shape == (64, 48, 3)
    np.testing.assert_allclose(after.astype(int).mean((1, 2)), before.astype(int).mean((1, 2)), atol=12)
    assert probe(tmp_path / "b.mp4").rotation == 0


def test_metadata_is_gone(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mp4", stamps=grid(5), audio=tone(0.2))
    with (
        av.open(str(source)) as old,
        av.open(str(tmp_path / "tagged.mov"), "w", options={"movflags": "use_metadata_tags"}) as new,
    ):
        new.metadata.update({
            "title": "Ada at home", "location": "+52.5200+013.4050/", "creation_time": "2024-05-01T10:00:00Z",
            "com.apple.quicktime.model": "iPhone 15", "artist": "Ada",
        })  # fmt: skip
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    secrets = (b"Ada", b"+52.52", b"iPhone", b"2024")
    assert all(secret in (tmp_path / "tagged.mov").read_bytes() for secret in secrets[:3])
    protect(tmp_path / "tagged.mov", tmp_path / "b.mp4")
    assert not any(secret in (tmp_path / "b.mp4").read_bytes() for secret in secrets)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert set(container.metadata) <= {"major_brand", "minor_version", "compatible_brands"}
        for stream in container.streams:
            assert set(stream.metadata) <= {"language", "handler_name", "vendor_id"}
            assert stream.metadata["language"] == "und"


def test_sound_is_changed_and_lasts_as_long(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mp4", stamps=grid(50), audio=tone(2.0))
    done = protect(source, tmp_path / "b.mp4")
    assert done.channels == 1
    before, after = probe(source), probe(tmp_path / "b.mp4")
    assert after.duration == pytest.approx(before.duration, abs=0.05)
    assert (after.rate, after.channels, after.width, after.height) == (44100, 1, 64, 48)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert {s.type: s.codec_context.name for s in container.streams} == {"video": "h264", "audio": "aac"}


def test_odd_sizes_and_face_crops(tmp_path: Path) -> None:
    pictures = [np.random.default_rng(0).integers(0, 256, (33, 47, 3), dtype=np.uint8)] * 5
    source = write(tmp_path / "a.mkv", stamps=grid(5), frames=pictures, pixels="yuv444p")
    done = protect(source, tmp_path / "b.mp4", cropped=True)
    assert done.faces is None
    shown = [picture for _, picture in FilmFrames(tmp_path / "b.mp4").frames()]
    assert shown[0].shape == (34, 48, 3)
    assert max(int(picture.max()) for picture in shown) < 20


def test_kept_faces_are_neither_searched_nor_covered(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mp4", stamps=grid(5))
    detector = Scripted(0, 1, 2)
    done = write_film(source, tmp_path / "b.mp4", detector=detector, method="keep", voice=VoiceProtection("keep"))
    assert (done.faces, detector.number) == (None, -1)
    assert levels([p for _, p in FilmFrames(tmp_path / "b.mp4").frames()]) == pytest.approx(
        levels([p for _, p in FilmFrames(source).frames()]), abs=2
    )


def test_tracks_that_are_left_out_are_noted_and_errors_name_the_file(tmp_path: Path) -> None:
    source = write(tmp_path / "a.mp4", stamps=grid(30))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(source.read_bytes()[:900])
    with pytest.raises(MediaError, match=r"broken\.mp4"):
        protect(broken, tmp_path / "b.mp4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "broken.mp4"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pixelate", "blur", "box"])
def test_the_detector_finds_no_face_in_a_protected_film(method: str, small_corpus: Path, tmp_path: Path) -> None:
    detector = face_detector("auto")
    films = sorted(small_corpus.parent.rglob("*.mp4"))
    source = next(film for film in films if detector.detect(next(FilmFrames(film).frames())[1]))
    write_film(source, tmp_path / "b.mp4", detector=detector, method=method, voice=VoiceProtection())
    assert not any(detector.detect(picture) for _, picture in FilmFrames(tmp_path / "b.mp4").frames())
