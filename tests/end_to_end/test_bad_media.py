"""Media as they come: every one gives what is there, with a reason for what is not, or one clear message."""

from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import multiemo
from multiemo.cli import main
from multiemo.errors import MediaError
from multiemo.media import container
from multiemo.media.playback import MAX_JUMP, MIN_BYTES_PER_SECOND
from multiemo.media.reading import Playback, PlayedFrame, PlayedSound, probe
from multiemo.predict.sources import Item
from tests.support.answers import told
from tests.support.damage import LIMIT, read_damaged, whole_files
from tests.support.media_files import grid, picture, tone, write
from tests.support.sounds import music, speech

RATE = 16000
NO_SOUND, NO_PICTURES = "the file has no audio track", "the file has no video track"


def mux(path: Path, shown: list[float], heard: list[tuple[float, np.ndarray]]) -> Path:
    """Write pictures and pieces of sound (16 kHz) with the very times that are given, however they jump."""
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        video = container.add_stream("libx264", rate=25, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono")
        packets: list[tuple[float, av.Packet]] = []
        for i in range(len(shown)):
            frame = av.VideoFrame.from_ndarray(picture(i), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            packets += [(0.0, p) for p in video.encode(frame)]
        packets += [(0.0, p) for p in video.encode(None)]
        packets = [(i / 25, packet) for i, (_, packet) in enumerate(packets)]
        for (order, packet), time in zip(packets, shown, strict=True):
            packet.pts, packet.dts = round(time * 1000), round(order * 1000) - 3000  # which must grow
            packet.time_base = Fraction(1, 1000)
        size, begun = 1024, 0.0
        for start, samples in heard:
            for low in range(0, len(samples) - size + 1, size):
                piece = av.AudioFrame.from_ndarray(samples[None, low : low + size], format="fltp", layout="mono")
                piece.sample_rate, piece.pts, piece.time_base = RATE, round(start * RATE) + low, Fraction(1, RATE)
                packets += [(begun + low / RATE, p) for p in audio.encode(piece)]
            begun += len(samples) / RATE
        packets += [(begun, p) for p in audio.encode(None)]
        for _, packet in sorted(packets, key=lambda pair: pair[0]):
            container.mux(packet)
    return path


def wav(path: Path, rate: int, samples: np.ndarray) -> Path:
    """16-bit PCM with any rate in its header."""
    data = (samples * 20000).astype("<i2").tobytes()
    head = struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2 % 2**32, 2, 16)
    path.write_bytes(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + head + b"data"
                     + struct.pack("<I", len(data)) + data)  # fmt: skip
    return path


def png(path: Path, width: int, height: int, channels: int = 1) -> Path:
    """A black PNG of any size in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, row = zlib.compressobj(9), bytes(1 + width * channels)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


# --------------------------------------------------------------------------------------------------------------------
# What is there, and what is not


def test_what_there_is_no_track_for(model, tmp_path):
    silent = told(model, write(tmp_path / "film.mp4", stamps=grid(50)))
    assert silent["absent"]["speech"] == NO_SOUND
    assert "no face" in silent["absent"]["face"]
    assert silent["duration"] == pytest.approx(2, abs=0.05)
    blind = told(model, write(tmp_path / "sound.m4a", audio=speech(2.0), rate=RATE))
    assert blind["present"] == ["speech"]
    assert blind["absent"]["face"] == NO_PICTURES


def test_silence_music_and_black_pictures_are_no_voice_and_no_face(model, tmp_path):
    black = [np.zeros((48, 64, 3), np.uint8)] * 75
    for name, sound in (("silence", np.zeros(3 * RATE, np.float32)), ("music", music(3.0))):
        path = write(tmp_path / f"{name}.mp4", stamps=grid(75), frames=black, audio=sound, rate=RATE)
        entry = told(model, path)
        assert entry["present"] == []
        assert entry["segments"] == []
        assert entry["absent"]["speech"] == "nobody speaks here"
        assert "no face" in entry["absent"]["face"]
    spoken = told(model, write(tmp_path / "spoken.mp4", stamps=grid(75), frames=black, audio=speech(3.0), rate=RATE))
    assert spoken["present"] == ["speech"]


@pytest.mark.parametrize("fps", [1, 240])
def test_one_and_240_pictures_a_second(model, tmp_path, fps):
    path = write(tmp_path / "film.mp4", stamps=grid(4 * fps, fps), audio=speech(4.0), rate=RATE)
    shown = [piece.time for piece in Playback(path, rate=None, fps=6.0).pieces() if isinstance(piece, PlayedFrame)]
    assert len(shown) == 4 * min(fps, 6)
    entry = told(model, path)
    assert entry["duration"] == pytest.approx(4, abs=0.1)
    assert entry["notes"] == []
    assert "speech" in entry["present"]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_phone_held_any_way(tmp_path, turns):
    scene = np.zeros((48, 64, 3), np.uint8)
    scene[:24, :32] = 255  # at the top left as stored
    path = write(tmp_path / "phone.mp4", stamps=grid(10), frames=[scene] * 10)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 8 + (32 if data[data.index(b"tkhd") + 4] else 20) + 16
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[turns]
    data[matrix : matrix + 20] = struct.pack(">5i", cos << 16, sin << 16, 0, -sin << 16, cos << 16)
    path.write_bytes(data)
    frame = next(p.frame for p in Playback(path, rate=None, fps=6.0).pieces() if isinstance(p, PlayedFrame))
    upright = np.rot90(scene, -turns)  # clockwise
    assert (frame.height, frame.width) == upright.shape[:2]
    np.testing.assert_allclose(frame.rgb().astype(int), upright, atol=30)
    np.testing.assert_allclose(frame.grey(64).astype(int), upright[..., 0], atol=30)


PIXELS = [
    ("libx264", "yuv444p", "mp4"), ("libx264", "yuv420p10le", "mp4"), ("libx264", "nv12", "mp4"),
    ("libx264", "gray", "mp4"), ("ffv1", "yuv410p", "mkv"), ("ffv1", "gray", "mkv"), ("ffv1", "gray16le", "mkv"),
    ("ffv1", "rgb48le", "mkv"), ("mjpeg", "yuvj420p", "avi"), ("rawvideo", "rgb24", "avi"),
    ("rawvideo", "monow", "avi"), ("rawvideo", "uyvy422", "avi"), ("rawvideo", "xyz12le", "nut"),
    ("png", "rgba", "mov"), ("png", "rgb24", "mov"), ("qtrle", "rgb555be", "mov"), ("libvpx-vp9", "gbrp", "webm"),
]  # fmt: skip


@pytest.mark.parametrize(("codec", "pixels", "kind"), PIXELS)
def test_odd_pixel_formats(model, tmp_path, codec, pixels, kind):
    scene = np.full((48, 64, 3), 40, np.uint8)
    scene[:, 32:] = 220
    path = write(tmp_path / f"film.{kind}", stamps=grid(20), frames=[scene] * 20, video_codec=codec, pixels=pixels)
    frame = next(p.frame for p in Playback(path, rate=None, fps=6.0).pieces() if isinstance(p, PlayedFrame))
    spread = 50 if pixels == "monow" else 20  # brightness may be that of the stored luma, 16 to 235
    for seen in (frame.grey(64), frame.rgb()[..., 0], frame.rgb(64)[..., 1]):
        assert seen.shape == (48, 64)
        assert seen[:, :30].mean() == pytest.approx(40, abs=spread)
        assert seen[:, 34:].mean() == pytest.approx(220, abs=spread)
    assert "no face" in told(model, path)["absent"]["face"]


def test_a_picture_with_a_palette(model, tmp_path):
    path = write(tmp_path / "anim.gif", stamps=grid(5, 10), video_codec="gif", pixels="bgr8")
    assert "no face" in told(model, path)["absent"]["face"]


@pytest.mark.parametrize(("width", "height", "codec"), [
    (65, 49, "ffv1"), (2, 2, "libx264"), (1, 1, "ffv1"), (16, 4096, "libx264"), (8192, 2, "libx264"),
    (16000, 1, "libvpx-vp9"),
])  # fmt: skip
def test_odd_sizes(model, tmp_path, width, height, codec):
    kind = {"ffv1": "mkv", "libx264": "mp4", "libvpx-vp9": "webm"}[codec]
    frames = [picture(i, width, height) for i in range(10)]
    pixels = "yuv444p" if codec == "ffv1" else "yuv420p"
    path = write(tmp_path / f"f.{kind}", stamps=grid(10), frames=frames, video_codec=codec, pixels=pixels)
    frame = next(p.frame for p in Playback(path, rate=None, fps=6.0).pieces() if isinstance(p, PlayedFrame))
    assert frame.rgb().shape == (height, width, 3)
    assert max(frame.grey(32).shape) == min(32, max(width, height))
    assert "face" in told(model, path)["absent"]


def test_the_size_changes_within_the_film(model, tmp_path):
    parts = []
    for n, size in enumerate([(64, 48), (320, 240), (16, 2048), (2, 2)]):
        frames = [picture(i, *size) for i in range(25)]
        part = write(tmp_path / f"{n}.ts", stamps=[n + t for t in grid(25)], frames=frames, options={"muxdelay": "0"})
        parts.append(part.read_bytes())
    path = tmp_path / "film.ts"
    path.write_bytes(b"".join(parts))
    assert told(model, path)["duration"] > 3


# --------------------------------------------------------------------------------------------------------------------
# Times


@pytest.mark.parametrize(("shown", "heard"), [(25, 30.0), (300, 2.0)])
def test_one_track_is_much_longer_than_the_other(model, tmp_path, shown, heard):
    path = write(tmp_path / "film.mp4", stamps=grid(shown, 12), audio=speech(heard), rate=RATE)
    entry = told(model, path)
    assert entry["duration"] == pytest.approx(max(shown / 12, heard), abs=0.15)
    assert entry["notes"] == []
    last = entry["skipped"][-1] if heard < 10 else entry["segments"][-1]
    assert "no face" in last["absent"]["face"] or "no picture" in last["absent"]["face"]
    if heard < 10:
        assert last["absent"]["speech"].startswith("the audio track has nothing from")


def test_sound_to_its_very_end_where_the_pictures_go_on(tmp_path):
    path = write(tmp_path / "film.mp4", stamps=grid(300, 12), audio=tone(2.2, RATE), rate=RATE)
    heard, late = 0, 0
    for piece in Playback(path, rate=RATE, fps=6.0).pieces():
        if isinstance(piece, PlayedSound):
            heard += len(piece.samples)
        elif piece.time < 4:
            late = heard
    assert heard == pytest.approx(2.2 * RATE, abs=1100)
    assert late >= heard - 1100  # only what the decoder itself holds back comes later


@pytest.mark.parametrize("begins", [1.5, 30.0])
def test_sound_that_begins_late_stands_where_it_belongs(model, tmp_path, begins):
    path = write(tmp_path / "f.mp4", stamps=grid(400, 10), audio=speech(3.0), audio_at=begins, rate=RATE)
    entry = told(model, path)
    assert entry["duration"] == pytest.approx(40, abs=0.2)
    assert entry["notes"] == []
    spoken = [s for s in entry["segments"] if "speech" in s["present"]]
    assert spoken[0]["start"] == pytest.approx(begins, abs=0.6)
    assert spoken[-1]["end"] < begins + 3.6


def test_times_that_jump_far_ahead(model, tmp_path):
    shown = [t if t < 1 else t + 100_000 for t in grid(50)]
    entry = told(model, mux(tmp_path / "pictures.mkv", shown, [(0, speech(2.0))]))
    assert entry["duration"] == pytest.approx(2, abs=0.2)
    assert entry["notes"] == ["25 pictures have broken timestamps and were left out"]
    assert "speech" in entry["present"]
    entry = told(model, mux(tmp_path / "sound.mkv", grid(50), [(0, speech(2.0)), (100_000, speech(1.0))]))
    assert entry["duration"] == pytest.approx(2, abs=0.2)
    (note,) = entry["notes"]
    assert "pieces of sound have broken timestamps and were left out" in note


def test_times_below_zero_and_backwards(model, tmp_path):
    path = mux(tmp_path / "below.mp4", [t - 1 for t in grid(50)], [(0, speech(2.0))])
    with av.open(str(path)) as container:
        assert next(container.demux(video=0)).pts < 0
    assert [p.time for p in Playback(path, rate=None, fps=1.0).pieces() if isinstance(p, PlayedFrame)] == [0.0]
    entry = told(model, path)
    assert entry["duration"] == pytest.approx(2, abs=0.2)
    assert entry["present"] == ["speech"]
    shown = [t if t < 1 else t - 0.9 for t in grid(50)]
    entry = told(model, mux(tmp_path / "back.mkv", shown, [(0, speech(2.0))]))
    assert entry["duration"] == pytest.approx(2, abs=0.2)
    assert any("broken timestamps" in note for note in entry["notes"])


def test_a_small_file_does_not_last_for_days(tmp_path):
    """Each picture nine minutes after the one before it."""
    path = write(tmp_path / "slow.mkv", stamps=[540.0 * i for i in range(200)])
    longest = MAX_JUMP + path.stat().st_size / MIN_BYTES_PER_SECOND
    playback = Playback(path, rate=None, fps=6.0)
    times = [piece.time for piece in playback.pieces()]
    assert times[-1] <= longest + 540
    assert any("cannot last so long" in line for line in playback.problems)
    assert playback.duration == pytest.approx(times[-1], abs=541)


@pytest.mark.parametrize("rate", [1, 999, 2**21, 2**31 - 1])
def test_sample_rates_that_cannot_be(model, tmp_path, rate):
    path = wav(tmp_path / "sound.wav", rate, tone(2.0, RATE))
    with pytest.raises(MediaError, match=r"sound\.wav: nothing could be decoded"):
        model.predict(path)


# --------------------------------------------------------------------------------------------------------------------
# What is no medium


def refused(model: multiemo.Predictor, path: object) -> str:
    """The one line that a file is refused with."""
    with pytest.raises(MediaError) as caught:
        model.predict(path)
    line = str(caught.value)
    assert "\n" not in line
    assert ";" in line  # what to do
    return line


def test_what_cannot_be_read_is_refused_in_one_line(model, tmp_path):
    texts = {
        "text.mp4": "not a film\n" * 100,
        "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://example.com/a.ts\n",
        "list.ffconcat": "ffconcat version 1.0\nfile 'film.mp4'\n",
        "call.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "words.srt": "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "words16.srt").write_bytes(texts["words.srt"].encode("utf-16"))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "line\nbreak.mp4").write_bytes(b"nothing")
    os.mkfifo(tmp_path / "pipe.mp4")
    expected = {
        "text.mp4": "not a media file but text or a playlist",
        "list.m3u8": "not a media file but text or a playlist",
        "list.ffconcat": "not a media file but text or a playlist",
        "call.sdp": "not a media file but text or a playlist",
        "words.srt": "put it beside the media file that it belongs to",
        "words16.srt": "has neither an audio nor a video track",
        "empty.mp4": "is empty (0 bytes)",
        "noise.mp4": "is not a media file",
        "missing.mp4": "no such file",
        "pipe.mp4": "is a device or a pipe",
        "": "is a folder",
        "line\nbreak.mp4": "is not a media file",
    }
    for name, reason in expected.items():
        line = refused(model, tmp_path / name)
        assert reason in line
        assert line.startswith(str(tmp_path / name).replace("\n", "\\n") + ": ")
    for device in ("/dev/zero", "/dev/null"):
        assert "is a device or a pipe" in refused(model, device)
    assert "cannot be opened" in refused(model, "nul\0byte.mp4")


@pytest.mark.parametrize(
    "url", ["http://example.com/a.mp4", "rtsp://camera/1", "file://host/etc/hosts", "s3://b/k.wav"]
)
def test_a_url_is_refused_with_the_reason(model, url):
    assert refused(model, url).startswith(f"{url}: is a URL; only files on this machine are read, so download it")


def test_a_file_without_permission(model, tmp_path, monkeypatch):
    path = wav(tmp_path / "secret.wav", RATE, tone(1.0, RATE))
    path.chmod(0)
    if os.geteuid() == 0:  # who may read everything
        monkeypatch.setattr(os, "access", lambda *_: False)
    assert "you have no permission to read it; change its permissions" in refused(model, path)


@pytest.mark.slow
def test_large_pictures(model, tmp_path, monkeypatch):
    wide = tmp_path / "wide.jpg"
    cv2.imwrite(str(wide), np.full((200, 20000, 3), 90, np.uint8))
    for path in (wide, png(tmp_path / "wide.png", 20000, 200, 3)):
        assert "no face" in told(model, path)["absent"]["face"]
    bomb = png(tmp_path / "bomb.png", 30000, 30000)
    assert bomb.stat().st_size < 2_000_000
    assert "over 200 million pixels" in refused(model, bomb)
    large = write(tmp_path / "large.mp4", stamps=grid(10), audio=speech(1.0), rate=RATE)
    monkeypatch.setenv("MULTIEMO_LIMITS", f"megapixels={(64 * 48 - 1) / 1e6}")
    entry = told(model, large)
    assert "pictures are 64x48 pixels" in entry["absent"]["face"]
    assert entry["present"] == ["speech"]


@pytest.mark.parametrize("start", [b"BM" + bytes(12) + b"\x28\0\0\0", b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBPVP8X"])
def test_a_large_file_that_begins_like_a_picture_is_not_read_into_memory(model, tmp_path, start):
    path = tmp_path / "disk.img"
    path.write_bytes(start)
    os.truncate(path, 50_000_000_000)  # takes no room
    assert "begins like a picture" in refused(model, path)


def test_reading_stops_where_a_packet_takes_for_ever(model, tmp_path, monkeypatch):
    """Zeros without end behind a little sound: FFmpeg looks for the next packet to the end of the file."""
    path = write(tmp_path / "sound.mp3", audio=speech(2.0), audio_codec="libmp3lame", rate=RATE)
    os.truncate(path, 3_000_000_000_000)
    monkeypatch.setenv("MULTIEMO_LIMITS", "file_gb=4000")
    monkeypatch.setattr(container, "READ_TIMEOUT", 1.0)
    entry = told(model, path)
    assert "speech" in entry["present"]
    assert any("reading stopped after 2" in note for note in entry["notes"])


def test_words_beside_a_file_in_an_old_encoding(model, tmp_path):
    write(tmp_path / "film.mp4", stamps=grid(50), audio=speech(2.0), rate=RATE)
    said = "1\n00:00:00,200 --> 00:00:01,500\nC'est déjà l'été, bien sûr.\n"
    (tmp_path / "film.srt").write_bytes(said.encode("cp1252"))
    entry = told(model, tmp_path / "film.mp4")
    assert "text" in entry["present"]
    assert entry["segments"][0]["text"] == "C'est déjà l'été, bien sûr."


@pytest.mark.parametrize("junk", [b"", b"\x00\xff\x13junk\x00" * 20])
def test_junk_beside_a_file_is_left_out_and_said(model, tmp_path, junk):
    path = write(tmp_path / "film.mp4", stamps=grid(50), audio=speech(2.0), rate=RATE)
    path.with_suffix(".srt").write_bytes(junk)
    entry = told(model, path)
    assert entry["present"] == ["speech"]
    assert any("film.srt" in note for note in entry["notes"])


def test_errors_that_are_kept_keep_no_file_open(model, tmp_path):
    options = {"movflags": "+faststart"}
    whole = write(tmp_path / "w.mp4", stamps=grid(90, 10), audio=speech(9.0), rate=RATE, options=options)
    data = whole.read_bytes()
    data = data[: (sound := data.index(b"mdat") + 4)] + bytes(len(data) - sound)
    paths = [tmp_path / f"{i}.mp4" for i in range(12)]
    for path in paths:
        path.write_bytes(data)
    before = len(os.listdir("/proc/self/fd"))
    answers = list(model.predict_many([Item(str(path), path, text="hello") for path in paths]))
    assert all(isinstance(answer, MediaError) and "could be decoded" in str(answer) for answer in answers)
    assert len(os.listdir("/proc/self/fd")) == before


# --------------------------------------------------------------------------------------------------------------------
# From the command line


def command(*arguments: str) -> int:
    """Exit code of ``multiemo`` with these arguments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["multiemo", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
    return int(caught.value.code or 0)


def test_names_of_every_kind_from_the_command_line(tiny_run, tmp_path, monkeypatch, capsysbinary):
    whole = write(tmp_path / "a.mp4", stamps=grid(25), audio=speech(1.0), rate=RATE).read_bytes()
    names = ["with space.mp4", "żółć 🙂.mp4", "-dash.mp4", "new\nline.mp4", "a:b%20c'\"?.mp4", os.fsdecode(b"\xff.mp4")]
    for name in names:
        (tmp_path / name).write_bytes(whole)
    monkeypatch.chdir(tmp_path)
    assert command("predict", str(tiny_run), "--json", "out.json", "--", *names) == 0
    assert capsysbinary.readouterr().err == b""
    inputs = json.loads((tmp_path / "out.json").read_bytes())["inputs"]
    assert len(inputs) == len(names)
    assert [entry["present"] for entry in inputs] == [["speech"]] * len(names)


def test_bad_files_from_the_command_line(tiny_run, tmp_path, capfd):
    (tmp_path / "text.mp4").write_text("not a film\n")
    noise = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (50, 50, 3), dtype=np.uint8))[1].tobytes()
    (tmp_path / "broken.png").write_bytes(noise[:60] + bytes(40) + noise[100:])
    (tmp_path / "cut.bmp").write_bytes(cv2.imencode(".bmp", np.zeros((50, 50, 3), np.uint8))[1].tobytes()[:2000])
    for path in ("http://example.com/a.mp4", *(tmp_path / n for n in ("text.mp4", "no.mp4", "broken.png", "cut.bmp"))):
        assert command("predict", str(tiny_run), str(path)) == 1
        said = capfd.readouterr()
        assert said.out == ""
        (line,) = said.err.splitlines()
        assert line.startswith(f"error: {path}: ")


# --------------------------------------------------------------------------------------------------------------------
# Damage by the hundred


def check_damaged(found: list[dict]) -> None:
    crashed = [o for o in found if o["said"].startswith("crashed")]
    assert not crashed, crashed[:3]
    assert max(o["seconds"] for o in found) < LIMIT
    settled = found[len(found) // 2 :]
    assert len({o["files"] for o in settled}) == 1, "file descriptors grow"
    assert {o["threads"] for o in found} == {1}
    assert sum(o["said"].startswith("segments") for o in found) > len(found) / 3
    assert any(o["said"].startswith("refused") for o in found)


@pytest.mark.slow
def test_damaged_media_neither_crash_nor_hang(tmp_path):
    found = read_damaged(tmp_path, 0, 60)
    check_damaged(found)


@pytest.mark.slow
def test_damaged_media_by_the_hundred_leak_nothing(tmp_path):
    found = read_damaged(tmp_path, 1000, 900)
    check_damaged(found)
    memory = [o["memory"] for o in found]
    assert np.median(memory[-100:]) < np.median(memory[300:400]) * 1.1 + 30


@pytest.mark.slow
def test_cut_off_at_every_hundredth(model, tmp_path):
    for path in whole_files(tmp_path / "whole"):
        data = path.read_bytes()
        for part in range(1, 100, 7):
            cut = tmp_path / f"cut{path.suffix}"
            cut.write_bytes(data[: len(data) * part // 100])
            try:
                entry = told(model, cut)
            except MediaError as error:
                named = str(cut) in str(error)
            else:
                named = entry["input"] == str(cut)
            assert named


@pytest.mark.slow
def test_real_media_are_read_as_they_should_be(model, real_data):
    folder = real_data / "face_media"
    for path in sorted(folder.iterdir()):
        if path.suffix == ".csv":
            assert "not a media file" in refused(model, path)
            continue
        entry = told(model, path)
        assert ("face" in entry["present"]) == ("vector" not in path.name and "no_face" not in path.name), path.name
        sound = probe(path).has_audio
        assert sound or entry["absent"]["speech"] in (NO_SOUND, "a still picture has no sound"), path.name
