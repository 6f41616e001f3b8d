"""Decoding: every test makes its own media, so that the expected result is known."""

from __future__ import annotations

import multiprocessing
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from multiemo.errors import MediaError
from multiemo.media.reading import Info, Playback, PlayedFrame, is_image, iter_media, probe, read_media
from tests.support.media_files import RATE, grid, level, levels, picture, tone, turned, wav, write


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 s of 25 fps H.264 with B-frames and 4 s of a 440 Hz tone."""
    return write(tmp_path_factory.mktemp("clip") / "clip.mp4", stamps=grid(100), audio=tone(4.0))


# --------------------------------------------------------------------------------------------------------------------
# Sound


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.wav", "pcm_s16le"), ("a.flac", "flac"), ("a.mp3", "libmp3lame"), ("a.m4a", "aac"), ("a.opus", "libopus")],
)
def test_audio_formats_come_out_as_the_same_signal(tmp_path: Path, name: str, codec: str) -> None:
    rate = 48000 if codec == "libopus" else RATE
    path = write(tmp_path / name, audio=tone(2.0, rate), audio_codec=codec, rate=rate)
    media = read_media(path, rate=16000)
    assert media.audio is not None
    assert media.audio.dtype == np.float32
    assert media.frames is None
    assert media.absent == {}
    assert len(media.audio) == pytest.approx(32000, abs=1200)
    assert media.duration == pytest.approx(2.0, abs=0.08)
    middle = media.audio[8000:24000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert spectrum.argmax() * 16000 / len(middle) == pytest.approx(440, abs=2)
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("rate", [16000, 44100, 8000])
def test_an_impulse_stays_where_it_is(tmp_path: Path, rate: int) -> None:
    signal = np.zeros(3 * RATE, dtype=np.float32)
    signal[2 * RATE] = 0.9
    path = write(tmp_path / "impulse.wav", audio=signal, audio_codec="pcm_s16le")
    whole = read_media(path, rate=rate).audio
    part = read_media(path, rate=rate, start=1.7, end=2.3).audio
    assert whole is not None
    assert part is not None
    assert abs(int(np.abs(whole).argmax()) - 2 * rate) <= 1
    assert abs(int(np.abs(part).argmax()) - round(0.3 * rate)) <= 1
    assert len(part) == round(0.6 * rate)


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.m4a", "aac"), ("a.flac", "flac")])
def test_a_span_equals_the_same_part_of_the_whole(tmp_path: Path, name: str, codec: str) -> None:
    chirp = np.sin(2 * np.pi * (200 + 40 * np.arange(6 * RATE) / RATE) * np.arange(6 * RATE) / RATE)
    path = write(tmp_path / name, audio=chirp.astype(np.float32) * 0.5, audio_codec=codec)
    whole = read_media(path, rate=16000).audio
    part = read_media(path, rate=16000, start=3.25, end=4.5).audio
    assert whole is not None
    assert part is not None
    assert len(part) == 20000
    np.testing.assert_allclose(part[200:-200], whole[52200:71800], atol=0.09)  # one sample


def test_a_span_before_the_sound_begins_has_none(tmp_path: Path) -> None:
    path = write(tmp_path / "late.mp4", stamps=grid(75), audio=tone(1.0), audio_at=2.0)
    media = read_media(path, rate=16000, end=1.5)
    assert media.audio is None
    assert "nothing from 0.00 to" in media.absent["audio"]
    whole = read_media(path, rate=16000).audio
    assert whole is not None
    assert np.abs(whole[:30000]).max() < 0.01


def test_sound_does_not_drift(tmp_path: Path) -> None:
    signal = np.zeros(60 * 22050, dtype=np.float32)
    signal[::22050] = 0.9
    path = write(tmp_path / "clicks.mkv", audio=signal, audio_codec="flac", rate=22050)
    audio = read_media(path, rate=16000).audio
    assert audio is not None
    for second in (1, 30, 59):
        near = np.abs(audio[second * 16000 - 100 : second * 16000 + 100])
        assert abs(int(near.argmax()) - 100) <= 2


def test_audio_that_starts_late_has_silence_before_it(tmp_path: Path) -> None:
    path = write(tmp_path / "late.mkv", stamps=grid(75), audio=tone(1.0), audio_at=1.5, audio_codec="flac")
    media = read_media(path, rate=16000, fps=4)
    assert media.audio is not None
    assert np.abs(media.audio[: int(1.45 * 16000)]).max() == 0
    assert np.abs(media.audio[int(1.55 * 16000) : int(1.6 * 16000)]).max() > 0.4
    assert len(media.audio) == pytest.approx(2.5 * 16000, abs=100)


def test_stereo_is_averaged(tmp_path: Path) -> None:
    sound = tone(1.0)
    path = wav(tmp_path / "stereo.wav", [sound, 0.5 * sound], rate=RATE)
    audio = read_media(path, rate=RATE).audio
    assert audio is not None
    np.testing.assert_allclose(audio, 0.75 * sound, atol=1e-4)


def test_audio_longer_than_video(tmp_path: Path) -> None:
    path = write(tmp_path / "long.mp4", stamps=grid(25), audio=tone(3.0))
    media = read_media(path, rate=16000, fps=5)
    assert media.audio is not None
    assert media.duration == pytest.approx(3.0, abs=0.06)
    assert len(media.audio) == pytest.approx(48000, abs=1000)
    assert len(media.times) == 5
    assert media.problems == []


# --------------------------------------------------------------------------------------------------------------------
# Pictures


@pytest.mark.parametrize(
    ("name", "codec"), [("v.mp4", "libx264"), ("v.mp4", "mpeg4"), ("v.webm", "libvpx-vp9"), ("v.avi", "mjpeg")]
)
def test_frames_are_taken_at_the_wanted_times(tmp_path: Path, name: str, codec: str) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write(tmp_path / name, stamps=grid(50), video_codec=codec, pixels=pixels)
    media = read_media(path, fps=12.5)
    assert media.frames is not None
    assert media.frames.shape == (25, 48, 64, 3)
    np.testing.assert_allclose(media.times, np.arange(25) * 0.08, atol=0.002)
    expected = [level(2 * i) for i in range(25)]
    assert np.abs(np.array(levels(media.frames)) - expected).max() <= 6


def test_a_low_rate_lets_the_decoder_skip_and_keeps_true_times(clip: Path) -> None:
    media = read_media(clip, fps=2)
    assert media.frames is not None
    assert len(media.times) == 8
    late = media.times - np.arange(8) * 0.5
    assert (late >= -0.002).all()
    assert (late < 0.16).all()
    true = [level(round(t * 25)) for t in media.times]
    assert np.abs(np.array(levels(media.frames)) - true).max() <= 6


def test_variable_frame_rate_follows_the_timestamps(tmp_path: Path) -> None:
    stamps = [0.0, 0.04, 0.08, 1.0, 1.9, 2.0, 2.04, 3.5]
    path = write(tmp_path / "vfr.mkv", stamps=stamps)
    media = read_media(path, fps=1)
    np.testing.assert_allclose(media.times, [0.0, 1.0, 2.0, 3.5], atol=0.002)
    assert media.frames is not None
    assert np.abs(np.array(levels(media.frames)) - [level(i) for i in (0, 3, 5, 7)]).max() <= 6
    # No frame begins within this span, so it has the one on screen at its start.
    between = read_media(path, start=2.5, end=3.0, fps=4)
    assert between.frames is not None
    assert levels(between.frames) == [pytest.approx(level(6), abs=6)]
    assert between.times.tolist() == [0.0]


def test_max_frames_spreads_over_the_span(clip: Path) -> None:
    media = read_media(clip, fps=10, max_frames=4, start=1.0, end=3.0)
    assert len(media.times) == 4
    assert (np.abs(media.times - [0.25, 0.75, 1.25, 1.75]) < 0.16).all()
    assert media.offset == 1.0
    assert media.duration == pytest.approx(2.0, abs=0.01)
    assert len(read_media(clip, fps=1, max_frames=8).times) == 4


def test_max_frames_without_a_known_duration(tmp_path: Path) -> None:
    path = write(tmp_path / "raw.h264", stamps=grid(100), options={})
    media = read_media(path, fps=5, max_frames=4)
    assert len(media.times) == 4
    assert media.times[-1] > 2.0


def test_spans_start_at_the_right_frame(clip: Path) -> None:
    media = read_media(clip, start=2.4, end=2.8, fps=25, rate=16000)
    assert media.frames is not None
    assert media.audio is not None
    assert len(media.audio) == 6400
    np.testing.assert_allclose(media.times, np.arange(10) * 0.04, atol=0.002)
    assert np.abs(np.array(levels(media.frames)) - [level(60 + i) for i in range(10)]).max() <= 6


def test_max_side_shrinks_and_never_enlarges(clip: Path) -> None:
    small, same = read_media(clip, fps=1, max_side=32), read_media(clip, fps=1, max_side=999)
    assert small.frames is not None
    assert same.frames is not None
    assert small.frames.shape[1:] == (24, 32, 3)
    assert same.frames.shape[1:] == (48, 64, 3)


ONE, W = 1 << 16, 1 << 30


@pytest.mark.parametrize(
    ("matrix", "rotation", "corner"),
    [
        ((0, ONE, 0, -ONE, 0, 0, 0, 0, W), 270, (0, -1)),  # a phone held upright: turn clockwise
        ((0, -ONE, 0, ONE, 0, 0, 0, 0, W), 90, (-1, 0)),
        ((-ONE, 0, 0, 0, -ONE, 0, 0, 0, W), 180, (-1, -1)),
    ],
)
def test_rotated_video_comes_out_upright(
    tmp_path: Path, matrix: tuple[int, ...], rotation: int, corner: tuple[int, int]
) -> None:
    frame = np.zeros((48, 64, 3), dtype=np.uint8)
    frame[:16, :16] = 255  # top left as stored
    path = turned(write(tmp_path / "phone.mp4", stamps=grid(10), frames=[frame] * 10), matrix)
    media = read_media(path, fps=5)
    assert media.frames is not None
    assert media.frames.shape[1:3] == ((48, 64) if rotation == 180 else (64, 48))
    assert media.frames[0][corner].min() > 200
    assert (media.frames[0] > 200).mean() < 0.2
    info = probe(path)
    assert info.rotation == rotation
    assert (info.height, info.width) == media.frames.shape[1:3]


def test_alpha_video_is_put_on_white(tmp_path: Path) -> None:
    frame = np.zeros((48, 64, 4), dtype=np.uint8)
    frame[:, 32:] = (200, 0, 0, 255)
    path = write(tmp_path / "alpha.mov", stamps=grid(5), frames=[frame] * 5, video_codec="qtrle", pixels="argb")
    frames = read_media(path, fps=5).frames
    assert frames is not None
    assert frames.shape[3] == 3
    assert frames[0, 5, 5].tolist() == [255, 255, 255]
    assert frames[0, 5, 60].tolist() == [200, 0, 0]


def test_alpha_webm_decodes(tmp_path: Path) -> None:
    frame = np.full((48, 64, 4), 180, dtype=np.uint8)
    path = write(
        tmp_path / "alpha.webm", stamps=grid(5), frames=[frame] * 5, video_codec="libvpx-vp9", pixels="yuva420p"
    )
    frames = read_media(path, fps=5).frames
    assert frames is not None
    assert frames.shape[3] == 3


def test_a_long_recording_starts_at_zero_whatever_its_clock_says(tmp_path: Path) -> None:
    path = write(tmp_path / "tv.ts", stamps=[1000 + t for t in grid(50)], audio=tone(2.0), audio_at=1000.0)
    media = read_media(path, fps=5, rate=16000)
    assert media.times[0] == pytest.approx(0.0, abs=0.05)
    assert media.duration == pytest.approx(2.0, abs=0.1)


# --------------------------------------------------------------------------------------------------------------------
# Missing tracks


def test_missing_tracks_are_named(tmp_path: Path) -> None:
    silent = write(tmp_path / "silent.mp4", stamps=grid(25))
    media = read_media(silent, rate=16000, fps=4)
    assert media.absent == {"audio": "the file has no audio track"}
    assert media.audio is None
    assert len(media.times) == 4
    sound = write(tmp_path / "sound.wav", audio=tone(1.0), audio_codec="pcm_s16le")
    media = read_media(sound, rate=16000, fps=4)
    assert media.absent == {"video": "the file has no video track"}
    assert media.frames is None
    assert media.audio is not None
    assert read_media(sound, fps=4).absent == {"video": "the file has no video track"}


def test_only_what_is_asked_for_is_decoded(clip: Path) -> None:
    assert read_media(clip, rate=16000).frames is None
    assert read_media(clip, fps=2).audio is None
    nothing = read_media(clip)
    assert nothing.audio is None
    assert nothing.frames is None
    assert nothing.duration == pytest.approx(4.0, abs=0.1)


@pytest.mark.parametrize("fps", [4.0, 12.5])
def test_what_is_left_out_is_needed_by_no_picture_that_is_shown(tmp_path: Path, fps: float) -> None:
    """Many encoders predict P frames from B frames, so a decoder that skips all B frames would corrupt others."""
    path = tmp_path / "square.mp4"
    with av.open(str(path), "w") as container:
        options = {"x264-params": "bframes=3:b-adapt=0:b-pyramid=normal:keyint=250:scenecut=0:ref=3"}
        video = container.add_stream("libx264", rate=25, options=options)
        video.height, video.width, video.pix_fmt = 90, 160, "yuv420p"
        for number in range(150):
            scene = np.full((90, 160, 3), 40, np.uint8)
            x, y = round(60 + 50 * np.sin(number / 9)), round(30 + 25 * np.cos(number / 9))
            scene[y : y + 20, x : x + 30] = (number, 200, 90)
            frame = av.VideoFrame.from_ndarray(scene, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    with av.open(str(path)) as container:
        wanted = {round(frame.time, 3): frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)}
    seen = [piece for piece in Playback(path, rate=None, fps=fps).pieces() if isinstance(piece, PlayedFrame)]
    assert len(seen) == pytest.approx(6 * fps, abs=1)
    for piece in seen:
        np.testing.assert_array_equal(piece.frame.rgb(), wanted[round(piece.time, 3)])
    media = read_media(path, fps=fps)
    assert media.frames is not None
    for time, shown in zip(media.times, media.frames, strict=True):
        np.testing.assert_array_equal(shown, wanted[round(float(time), 3)])


# --------------------------------------------------------------------------------------------------------------------
# Windows


def test_windows_cover_the_file_like_one_read(clip: Path) -> None:
    whole = read_media(clip, rate=16000, fps=5)
    windows = list(iter_media(clip, window=1.5, rate=16000, fps=5))
    assert [w.offset for w in windows] == [0.0, 1.5, 3.0]
    assert whole.audio is not None
    assert whole.frames is not None
    joined = np.concatenate([w.audio for w in windows if w.audio is not None])
    np.testing.assert_array_equal(joined, whole.audio)
    np.testing.assert_allclose(np.concatenate([w.times + w.offset for w in windows]), whole.times, atol=1e-6)
    np.testing.assert_array_equal(np.concatenate([w.frames for w in windows if w.frames is not None]), whole.frames)
    assert sum(w.duration for w in windows) == pytest.approx(whole.duration, abs=1e-6)


def test_overlapping_windows(clip: Path) -> None:
    windows = list(iter_media(clip, window=2.0, hop=1.0, rate=16000, fps=5, max_frames=4, end=4.0))
    assert [w.offset for w in windows] == [0.0, 1.0, 2.0]
    assert all(w.audio is not None and len(w.audio) == 32000 for w in windows)
    assert all(len(w.times) == 4 for w in windows)
    first, second = windows[0].audio, windows[1].audio
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first[16000:], second[:16000])


def test_windows_go_on_where_one_track_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "long.mp4", stamps=grid(25), audio=tone(3.0))
    windows = list(iter_media(path, window=1.0, rate=16000, fps=5, end=3.0))
    assert [w.frames is not None for w in windows] == [True, False, False]
    assert windows[1].absent == {"video": "the video track has no frame from 1.00 to 2.00 s"}
    assert all(w.audio is not None for w in windows)


# --------------------------------------------------------------------------------------------------------------------
# Stills


def test_png_grey_and_alpha(tmp_path: Path) -> None:
    grey, alpha = tmp_path / "grey.png", tmp_path / "alpha.png"
    cv2.imwrite(str(grey), np.full((48, 48), 77, dtype=np.uint8))
    rgba = np.zeros((10, 12, 4), dtype=np.uint8)
    rgba[:, 6:] = (0, 0, 200, 255)  # BGRA: opaque red
    cv2.imwrite(str(alpha), rgba)
    media = read_media(grey, fps=1, rate=16000)
    assert media.frames is not None
    assert media.frames.shape == (1, 48, 48, 3)
    assert np.unique(media.frames).tolist() == [77]
    assert media.duration == 0.0
    assert media.absent == {"audio": "a still picture has no sound"}
    frames = read_media(alpha, fps=1).frames
    assert frames is not None
    assert frames[0, 0, 0].tolist() == [255, 255, 255]
    assert frames[0, 0, 11].tolist() == [200, 0, 0]


def test_sixteen_bit_png(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.full((8, 8, 4), 65535 // 2, dtype=np.uint16))
    frames = read_media(path, fps=1).frames
    assert frames is not None
    assert frames.dtype == np.uint8
    assert frames.mean() == pytest.approx(127 / 2 + 127, abs=3)


def test_exif_rotation_is_honoured(tmp_path: Path) -> None:
    picture = np.zeros((40, 60, 3), dtype=np.uint8)
    picture[:15, :15] = 255
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    ifd = struct.pack(">HHHHIHHI", 0x4D4D, 42, 0, 8, 0x00010112, 3, 0, 0x00010006)
    exif = b"Exif\x00\x00" + b"MM\x00*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    assert ifd
    path = tmp_path / "phone.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])
    frames = read_media(path, fps=1).frames
    assert frames is not None
    assert frames.shape == (1, 60, 40, 3)
    assert frames[0, 2, -3].min() > 200  # orientation 6: turn clockwise


def test_very_wide_pictures_shrink(tmp_path: Path) -> None:
    path = tmp_path / "wide.jpg"
    cv2.imwrite(str(path), np.full((100, 20000, 3), 90, dtype=np.uint8))
    frames = read_media(path, fps=1, max_side=640).frames
    assert frames is not None
    assert frames.shape[2] == 640
    assert probe(path, "image") == Info(duration=0.0, width=20000, height=100, is_image=True)


def test_enormous_pictures_are_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    cv2.imwrite(str(path), np.zeros((4, 4), dtype=np.uint8))
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 60000, 60000)
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"bomb\.png"):
        read_media(path, fps=1)


def test_is_image_reads_the_content(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "named.mp4"
    path.write_bytes(cv2.imencode(".png", np.zeros((4, 4), dtype=np.uint8))[1].tobytes())
    assert is_image(path)
    assert not is_image(clip)
    assert not is_image(tmp_path / "nothing")


# --------------------------------------------------------------------------------------------------------------------
# Bad input


def test_unusable_paths(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a film\n" * 200)
    (tmp_path / "text.txt").write_text("not a film\n" * 200)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://example.com/a.ts\n")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(50))
    (tmp_path / "noise.wav").write_bytes(np.random.default_rng(0).bytes(5000))
    cases = {
        tmp_path / "missing.mp4": "no such file",
        tmp_path: "is a folder",
        tmp_path / "empty.mp4": r"0 bytes",
        tmp_path / "text.mp4": "not a media file",
        tmp_path / "text.txt": "not a media file",
        tmp_path / "list.m3u8": "not a media file",
        tmp_path / "broken.jpg": "picture|decoded",
        tmp_path / "noise.wav": "not a media file",
        "http://example.com/a.mp4": "is a URL",
        "rtsp://camera/1": "is a URL",
        "nul\0byte.mp4": "cannot be opened",
    }
    for path, reason in cases.items():
        for call in (lambda p: read_media(p, rate=16000, fps=4, where="clip 7"), lambda p: probe(p, where="clip 7")):
            with pytest.raises(MediaError, match=reason) as caught:
                call(path)
            shown = str(path).replace("\0", "\\x00")
            assert str(caught.value).startswith(f"clip 7: {shown}: ")
            assert "\n" not in str(caught.value)


def test_zero_length_audio(tmp_path: Path) -> None:
    path = tmp_path / "zero.wav"
    header = b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
    path.write_bytes(header + b"data" + struct.pack("<I", 0))
    with pytest.raises(MediaError, match=r"zero\.wav"):
        read_media(path, rate=16000)
    with pytest.raises(MediaError, match=r"zero\.wav"):
        probe(path, "audio")


def test_truncated_without_its_index(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])  # the index (moov) lies at the end
    for call in (lambda: read_media(path, rate=16000, fps=4), lambda: probe(path, "video")):
        with pytest.raises(MediaError, match="cut off"):
            call()


def test_truncated_with_its_index_gives_what_is_there(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    frames = [noise.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(100)]
    full = write(
        tmp_path / "full.mp4", stamps=grid(100), frames=frames, audio=tone(4.0), options={"movflags": "+faststart"}
    )
    path = tmp_path / "cut.mp4"
    path.write_bytes(full.read_bytes()[: int(full.stat().st_size * 0.5)])
    media = read_media(path, rate=16000, fps=4)
    assert media.audio is not None
    assert media.frames is not None
    assert 0.5 < media.duration < 3.5
    assert any("cut off" in line for line in media.problems)
    assert any("cut off" in line for line in probe(path).problems)
    assert probe(full).problems == ()
    assert read_media(full, rate=16000, fps=4).problems == []
    last = list(iter_media(path, window=1.0, rate=16000, fps=4))[-1]
    assert any("cut off" in line for line in last.problems)


def test_damage_in_the_middle_is_reported(tmp_path: Path) -> None:
    path = write(tmp_path / "damaged.flac", audio=tone(4.0), audio_codec="flac")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    media = read_media(path, rate=16000)
    assert media.audio is not None
    assert np.isfinite(media.audio).all()


def test_kinds(tmp_path: Path, clip: Path) -> None:
    sound = write(tmp_path / "sound.wav", audio=tone(1.0), audio_codec="pcm_s16le")
    still = tmp_path / "still.png"
    cv2.imwrite(str(still), np.zeros((8, 8), dtype=np.uint8))
    info = probe(clip, "video")
    assert (info.has_audio, info.has_video, info.width, info.height, info.rate) == (True, True, 64, 48, RATE)
    assert info.duration == pytest.approx(4.0, abs=0.1)
    assert info.fps == pytest.approx(25.0, abs=0.5)
    assert probe(sound, "audio").has_video is False
    for path, kind in ((sound, "video"), (still, "audio"), (still, "video"), (clip, "image")):
        with pytest.raises(MediaError):
            probe(path, kind)


@pytest.mark.parametrize(
    "span", [{"start": 3.0, "end": 2.0}, {"start": -1.0}, {"start": float("nan")}, {"end": float("nan")}, {"end": 0.0}]
)
def test_spans_that_are_not(clip: Path, span: dict[str, float]) -> None:
    with pytest.raises(MediaError, match="span"):
        read_media(clip, rate=16000, **span)


def test_spans_beyond_the_file(clip: Path) -> None:
    with pytest.raises(MediaError, match=r"starts at 9\.00 s but the file lasts 4"):
        read_media(clip, rate=16000, start=9.0, end=10.0)
    media = read_media(clip, rate=16000, start=3.0, end=10.0)
    assert media.duration == pytest.approx(1.0, abs=0.1)
    assert any("10.00 s" in line for line in media.problems)


def test_wrong_numbers(clip: Path) -> None:
    for options in ({"rate": 0}, {"fps": -1.0}, {"fps": 4.0, "max_frames": 0}, {"fps": float("nan")}):
        with pytest.raises(MediaError, match="positive"):
            read_media(clip, **options)
    with pytest.raises(MediaError, match="window"):
        iter_media(clip, window=0.0, rate=16000)


# --------------------------------------------------------------------------------------------------------------------
# Real media


def test_real_media(real_data: Path) -> None:
    folder = real_data / "face_media"
    for path in sorted(folder.iterdir()):
        if path.suffix == ".csv":
            with pytest.raises(MediaError):
                read_media(path, rate=16000, fps=4)
            continue
        info = probe(path)
        media = read_media(path, rate=16000, fps=2, max_side=320)
        assert media.frames is not None
        assert max(media.frames.shape[1:3]) == 320
        assert info.problems == ()
        assert media.problems == []
        if path.suffix in (".mp4", ".mov"):
            assert media.audio is not None
            assert media.duration == pytest.approx(info.duration, abs=0.15)
        else:
            assert is_image(path)
    late = read_media(folder / "face_noface.mov", rate=16000)  # its sound begins at 2.43 s
    assert late.audio is not None
    assert np.abs(late.audio[: int(2.3 * 16000)]).max() == 0
    assert np.abs(late.audio[int(2.5 * 16000) :]).max() > 0.1


def test_the_cover_of_a_song_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=RATE, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic.value
        frame = av.VideoFrame.from_ndarray(picture(3), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1, 1)
        packets = [*cover.encode(frame), *cover.encode(None)]
        for start in range(0, RATE, 1024):
            piece = av.AudioFrame.from_ndarray(tone(1.0)[None, start : start + 1024], format="fltp", layout="mono")
            piece.sample_rate, piece.pts, piece.time_base = RATE, start, Fraction(1, RATE)
            packets += sound.encode(piece)
        for packet in [*packets, *sound.encode(None)]:
            container.mux(packet)
    assert (probe(path).has_audio, probe(path).has_video) == (True, False)
    assert read_media(path, rate=16000, fps=4.0).absent == {"video": "the file has no video track"}


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_a_forked_process_converts_pictures_as_its_parent_did(clip: Path) -> None:
    """Run in a separate process: other tests leave scalers of PyAV's frames behind, which do not survive a fork."""
    script = (
        "import multiprocessing, sys; from multiemo.media.reading import read_media; read_media(sys.argv[1], fps=5.0)\n"
        "context = multiprocessing.get_context('fork')\n"
        "child = context.Process(target=read_media, args=sys.argv[1:], kwargs={'fps': 5.0}, daemon=True)\n"
        "child.start(); child.join(60); sys.exit(child.exitcode != 0)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(clip)], timeout=200).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_a_worker_leaves_its_parents_decoders_alone(clip: Path) -> None:
    """The parent has an uncollected reference cycle with a decoder and its threads when the worker collects garbage."""
    script = (
        "import gc, sys, av\n"
        "from torch.utils.data import DataLoader\n"
        "if sys.argv[2] == 'ours': import multiemo.media.reading\n"
        "gc.disable()\n"
        "def decode():\n"
        "    container = av.open(sys.argv[1]); stream = container.streams.video[0]\n"
        "    stream.thread_type, stream.thread_count = 'FRAME', 4\n"
        "    frames = container.decode(stream); next(frames)\n"
        "    cycle = [container, stream, frames]; cycle.append(cycle)\n"
        "decode()\n"
        "class Rows:\n"
        "    def __len__(self): return 2\n"
        "    def __getitem__(self, i): return gc.collect()\n"
        "list(DataLoader(Rows(), batch_size=None, num_workers=1, timeout=int(sys.argv[3])))\n"
        "assert not gc.get_freeze_count()"
    )
    run = [sys.executable, "-c", script, str(clip)]
    assert subprocess.run([*run, "ours", "60"], timeout=200, capture_output=True).returncode == 0
    control = subprocess.run([*run, "as it is", "5"], timeout=200, capture_output=True, text=True)
    assert "timed out" in control.stderr, "otherwise this test shows nothing"


def test_ffmpegs_threads_report_nothing_through_the_interpreters_lock(clip: Path) -> None:
    """A thread that frees a decoder holds the interpreter lock and waits for the decoder's threads."""
    script = (
        "import sys, av.logging; from multiemo.media.reading import read_media\n"
        "av.logging.set_level(av.logging.ERROR)  # as torchvision does\n"
        "read_media(sys.argv[1], fps=1.0)\n"
        "with av.logging.Capture(False) as said: av.logging.log(av.logging.ERROR, 'decoder', 'damaged')\n"
        "print(said)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(clip)], capture_output=True, text=True, timeout=100)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_title_that_is_not_utf_8_does_not_stop_the_reading(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "titled.mkv"
    with av.open(str(clip)) as source, av.open(str(path), "w") as container:
        container.metadata["title"] = "The TITLE"
        container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = container.streams[0]
                container.mux(packet)
    path.write_bytes(path.read_bytes().replace(b"The TITLE", b"Caf\xe9 \xff\xfe!!"))
    assert probe(path).has_video
    media = read_media(path, fps=1.0)
    assert media.frames is not None
    assert len(media.frames) == 4
