"""Sound as it comes: any number of channels, tracks, scales and joined recordings, in files that others wrote.

PCM is written byte by byte, so that what should come out does not depend on the library that reads it.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from multiemo.data.container import cause
from multiemo.data.media import Playback, PlayedFrame, PlayedSound, iter_media, probe, read_media, sound_tracks
from multiemo.errors import MediaError
from tests.support.media_files import grid, tone, tracks, wav, write
from tests.support.sounds import music, speech, talk

RATE = 16000


def heard(path: Path, **options: int) -> np.ndarray:
    """The sound of a file by both ways, which must be the same."""
    span = read_media(path, rate=RATE, **options).audio
    assert span is not None
    if "channel" not in options:
        played = [
            p.samples for p in Playback(path, rate=RATE, fps=None, **options).pieces() if isinstance(p, PlayedSound)
        ]
        np.testing.assert_array_equal(np.concatenate(played), span)
    return span


# --------------------------------------------------------------------------------------------------------------------
# Channels


@pytest.mark.parametrize("count", [2, 3, 6, 8, 16, 60])
def test_the_mix_is_the_mean_of_any_number_of_channels(tmp_path: Path, count: int) -> None:
    sound = tone(0.5, RATE)
    np.testing.assert_allclose(heard(wav(tmp_path / "same.wav", [sound] * count)), sound, atol=1e-4)
    others = [tone(0.5, RATE, 300.0 + 10 * i) * (i % 3) / 2 for i in range(count)]
    path = wav(tmp_path / "others.wav", others)
    np.testing.assert_allclose(heard(path), np.mean(others, axis=0), atol=1e-4)
    np.testing.assert_allclose(heard(path, channel=count - 1), others[-1], atol=1e-4)
    assert probe(path).channels == count


@pytest.mark.parametrize("gains", [(1, -1), (1, -0.6), (-1, 1, 1), (1, -1, 1, -1)])
def test_channels_that_mirror_each_other_do_not_cancel(tmp_path: Path, gains: tuple[float, ...]) -> None:
    sound = speech(1.0)
    path = wav(tmp_path / "mirrored.wav", [sound * gain for gain in gains])
    found = heard(path)
    assert np.abs(found @ sound) / (sound @ sound) == pytest.approx(np.mean(np.abs(gains)), rel=0.01)
    assert any("mirrors the others" in note for note in read_media(path, rate=RATE).problems)
    np.testing.assert_allclose(heard(path, channel=1), sound * gains[1], atol=1e-3)


def test_channels_that_are_only_different_are_left_as_they_are(tmp_path: Path) -> None:
    voice, other = speech(1.0), music(1.0)
    for channels in ([voice, other], [voice, 0 * voice], [voice, 0.3 * other - 0.1 * voice]):
        path = wav(tmp_path / "stereo.wav", channels)
        np.testing.assert_allclose(heard(path), np.mean(channels, axis=0), atol=1e-4)
        assert read_media(path, rate=RATE).problems == []


# --------------------------------------------------------------------------------------------------------------------
# Scales


@pytest.mark.parametrize(
    ("kind", "full"),
    [
        ("<f4", 2.0**15), ("<f4", 2.0**7), ("<f4", 2.0**23), ("<f4", 2.0**31), ("<f8", 2.0**15),  # whole numbers
        ("<f4", 2.0**-16), ("<i4", 2.0**15), ("<i4", 2.0**23), ("<i3", 2.0**15),  # fewer bits than there is room for
    ],
)  # fmt: skip
def test_samples_in_another_scale_are_brought_to_full_scale(tmp_path: Path, kind: str, full: float) -> None:
    sound = speech(1.0)
    path = wav(tmp_path / "scale.wav", [sound], kind, full)
    np.testing.assert_allclose(heard(path), sound, atol=0.02)
    assert sum("bits" in note for note in read_media(path, rate=RATE).problems) == 1
    assert any("bits" in note for note in probe(path).problems)
    part = read_media(path, rate=RATE, start=0.25, end=0.5).audio  # what is quieter, or louder, has the same scale
    assert part is not None
    np.testing.assert_allclose(part, sound[4000:8000], atol=0.02)


@pytest.mark.parametrize(
    ("kind", "full"),
    [("<f4", 1.0), ("<f4", 3.0), ("<f4", 0.003), ("<f8", 1.0), ("<i4", 2.0**31 - 1), ("<i3", 2.0**20), ("<i2", 300.0)],
)
def test_samples_that_keep_to_full_scale_are_left_alone(tmp_path: Path, kind: str, full: float) -> None:
    sound = speech(0.5)
    path = wav(tmp_path / "plain.wav", [sound], kind, full)
    unit = 1.0 if "f" in kind else 2.0 ** (8 * int(kind[2]) - 1)
    np.testing.assert_allclose(heard(path), sound * full / unit, atol=1e-4)
    assert read_media(path, rate=RATE).problems == []


def test_a_few_broken_samples_say_nothing_of_the_scale(tmp_path: Path) -> None:
    sound = speech(1.0)
    broken = sound.copy()
    broken[[100, 5000, 9000]] = 1e6, np.nan, -np.inf
    found = heard(wav(tmp_path / "broken.wav", [broken], "<f4", 1.0))
    kept = np.ones(len(sound), bool)
    kept[[100, 5000, 9000]] = False
    np.testing.assert_allclose(found[kept], sound[kept], atol=1e-4)


# --------------------------------------------------------------------------------------------------------------------
# Several tracks


def which(path: Path, *sounds: np.ndarray, **options: int) -> int:
    """The number of the track that was read."""
    found = heard(path, **options)
    away = [float(np.linalg.norm(found[: len(s)] - s[: len(found)])) for s in sounds]
    return int(np.argmin(away)) + 1


@pytest.mark.parametrize("pictures", [False, True])
@pytest.mark.parametrize("other", ["silence", "music"])
def test_the_track_on_which_somebody_speaks_is_read(tmp_path: Path, other: str, pictures: bool) -> None:
    voice, dumb = speech(1.5), music(1.5) if other == "music" else np.zeros(RATE, np.float32)
    path = tracks(tmp_path / "two.mp4", dumb, voice, pictures=pictures)
    assert which(path, music(1.5), voice) == 2
    (note,) = read_media(path, rate=RATE).problems
    assert "2 audio tracks: 1 (aac, mono), 2 (aac, mono); 2 was read (nobody speaks on 1)" in note
    assert any("2 was read" in note for note in probe(path).problems)
    assert sum(len(w.audio) for w in iter_media(path, window=0.7, rate=RATE) if w.audio is not None) > RATE
    assert [t.number for t in sound_tracks(path)] == [1, 2]


def test_of_several_voices_the_file_s_own_choice_is_read_and_another_on_request(tmp_path: Path) -> None:
    voices = [talk(4.0, seed) for seed in (1, 2, 3)]
    titles = ("Director's commentary", "", "")
    path = tracks(tmp_path / "film.mkv", *voices, language=("eng", "ger", "fre"), title=titles)
    assert which(path, *voices) == 2
    (note,) = read_media(path, rate=RATE).problems
    assert """1 (aac, mono, eng, "Director's commentary"), 2 (aac, mono, ger), 3 (aac, mono, fre); 2 was read""" in note
    for track in (1, 2, 3):
        assert which(path, *voices, track=track) == track
    assert read_media(path, rate=RATE, track=3).problems == []
    with pytest.raises(MediaError, match=r"has no audio track 4, counted from 1; it has 1 \(aac, mono, eng"):
        read_media(path, rate=RATE, track=4)
    with pytest.raises(MediaError, match="has no audio track 4"):
        Playback(path, rate=RATE, fps=None, track=4)
    plain = tracks(tmp_path / "plain.mkv", *voices)
    assert which(plain, *voices) == 1


def test_a_track_that_cannot_be_decoded_is_passed_over_and_said_to_be(tmp_path: Path) -> None:
    voice = speech(1.5)
    both = tracks(tmp_path / "both.mkv", music(1.5), voice, pictures=True)
    data = both.read_bytes()
    for times, name in ((1, "first.mkv"), (2, "both.mkv")):
        (tmp_path / name).write_bytes(data.replace(b"A_AAC", b"A_XYZ", times))
    assert which(tmp_path / "first.mkv", music(1.5), voice) == 2
    assert "1 cannot be decoded" in read_media(tmp_path / "first.mkv", rate=RATE).problems[0]
    media = read_media(tmp_path / "both.mkv", rate=RATE, fps=5)
    assert media.frames is not None
    assert "2 audio tracks" in media.absent["audio"]
    assert "there is no decoder for it" in media.absent["audio"]
    with pytest.raises(MediaError, match="there is no decoder"):
        probe(tmp_path / "both.mkv", "audio")
    alone = tracks(tmp_path / "alone.mkv", voice)
    alone.write_bytes(alone.read_bytes().replace(b"A_AAC", b"A_XYZ"))
    for read in (lambda: heard(alone), lambda: Playback(alone, rate=RATE, fps=None)):
        with pytest.raises((MediaError, AssertionError)) as refused:
            read()
        assert isinstance(refused.value, AssertionError) or "there is no decoder" in str(refused.value)


def test_what_is_encrypted_is_said_to_be(tmp_path: Path) -> None:
    key = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
        "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
    }
    path = write(tmp_path / "locked.mp4", audio=tone(1.0), options=key)
    for read in (lambda: read_media(path, rate=RATE), lambda: probe(path), lambda: heard(path)):
        with pytest.raises(MediaError, match="it is encrypted"):
            read()


def test_what_ffmpeg_says_to_its_own_developers_is_not_shown() -> None:
    for error in (av.PatchWelcomeError(0, "Not yet implemented in FFmpeg, patches welcome"), IndexError("tuple index")):
        assert "patches" not in cause(error)
        assert "tuple" not in cause(error)
    assert cause(av.InvalidDataError(0, "Invalid data found")) == "Invalid data found"


# --------------------------------------------------------------------------------------------------------------------
# Joined recordings


def pitch(sound: np.ndarray) -> float:
    """The strongest frequency, Hz."""
    return float(np.abs(np.fft.rfft(sound * np.hanning(len(sound)))).argmax()) * RATE / len(sound)


JOINED = [
    ("flac", "flac", None), ("opus", "libopus", None), ("webm", "libopus", None), ("mka", "flac", None),
    ("mp3", "libmp3lame", None), ("aac", "aac", None), ("ts", "aac", None), ("ac3", "ac3", None),
    ("au", "pcm_s16be", None), ("webm", "libopus", "libvpx"), ("mkv", "flac", "libx264"),
    ("ts", "aac", "libx264"), ("mpg", "mp2", "mpeg4"), ("avi", "libmp3lame", "mpeg4"),
]  # fmt: skip


@pytest.mark.parametrize(("ending", "codec", "video"), JOINED)
def test_what_was_joined_is_read_to_its_end(tmp_path: Path, ending: str, codec: str, video: str | None) -> None:
    """Two recordings in one file, as ``cat`` makes it: the clock starts again in the middle."""
    parts = []
    for number, hz in enumerate((300.0, 900.0)):
        how = {"stamps": grid(25 + 25 * number), "video_codec": video} if video else {}
        part = tmp_path / f"part{number}.{ending}"
        write(part, audio=tone(1.0 + number, 48000, hz), audio_codec=codec, rate=48000, **how)
        parts.append(part.read_bytes())
    path = tmp_path / f"joined.{ending}"
    path.write_bytes(b"".join(parts))
    playback = Playback(path, rate=RATE, fps=12.5 if video else None)
    assert playback.duration == pytest.approx(3.0, abs=0.25)
    pieces = list(playback.pieces())
    sound = np.concatenate([p.samples for p in pieces if isinstance(p, PlayedSound)])
    assert len(sound) / RATE == pytest.approx(3.0, abs=0.2)
    assert pitch(sound[: RATE // 2]) == pytest.approx(300, abs=3)
    assert pitch(sound[-RATE:]) == pytest.approx(900, abs=3)
    assert pitch(sound[round(1.3 * RATE) : 2 * RATE]) == pytest.approx(900, abs=3)
    if video:
        shown = [p.time for p in pieces if isinstance(p, PlayedFrame)]
        assert len(shown) == pytest.approx(37, abs=2)
        assert shown == sorted(shown)
        assert shown[-1] == pytest.approx(2.95, abs=0.2)
    assert not any("broken" in note or "cut off" in note for note in playback.problems)
    assert probe(path).duration == pytest.approx(3.0, abs=0.25)
    if ending not in ("mp3", "aac", "ac3", "au", "avi"):  # which have no clock to start again
        assert any("2 recordings were joined" in note for note in playback.problems)
        assert any("2 recordings were joined" in note for note in probe(path).problems)
    span = read_media(path, rate=RATE, fps=5 if video else None, start=1.6, end=2.4)
    assert span.audio is not None
    assert len(span.audio) == round(0.8 * RATE)
    assert pitch(span.audio) == pytest.approx(900, abs=3)
    assert len(span.times) == (4 if video else 0)


@pytest.mark.parametrize("ending", ["wav", "aiff", "mp4", "m4a"])
def test_another_recording_behind_the_only_one_is_said_to_be_there(tmp_path: Path, ending: str) -> None:
    codec = {"wav": "pcm_s16le", "aiff": "pcm_s16be"}.get(ending, "aac")
    one = write(tmp_path / f"one.{ending}", audio=tone(1.0), audio_codec=codec)
    path = tmp_path / f"joined.{ending}"
    path.write_bytes(one.read_bytes() * 2)
    playback = Playback(path, rate=RATE, fps=None)
    playback.close()
    for problems in (read_media(path, rate=RATE).problems, probe(path).problems, playback.problems):
        assert any(f"another recording begins at byte {one.stat().st_size} of" in note for note in problems)
    assert read_media(one, rate=RATE).problems == []


def test_three_recordings_and_a_clock_that_goes_on_later(tmp_path: Path) -> None:
    parts = []
    for number, (hz, begins) in enumerate(((300.0, 0.0), (600.0, 5000.0), (900.0, 70.0))):
        part = tmp_path / f"part{number}.ts"
        write(part, stamps=[begins + t for t in grid(25)], audio=tone(1.0, 48000, hz), audio_at=begins, rate=48000)
        parts.append(part.read_bytes())
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    sound = heard(path)
    assert len(sound) / RATE == pytest.approx(3.0, abs=0.3)
    for number, hz in enumerate((300, 600, 900)):
        middle = round((number * len(sound) / RATE / 3 + 0.3) * RATE)
        assert pitch(sound[middle : middle + RATE // 3]) == pytest.approx(hz, abs=5)
    assert "3 recordings were joined" in read_media(path, rate=RATE).problems[-1]


def test_joined_recordings_of_several_rates_that_ffmpeg_does_not_read_are_said_to_be_there(tmp_path: Path) -> None:
    data = b""
    for rate in (44100, 22050):
        part = tmp_path / f"{rate}.ogg"
        with av.open(str(part), "w") as container:
            stream = container.add_stream("vorbis", rate=rate, layout="stereo")
            stream.codec_context.options = {"strict": "experimental"}
            sound = np.tile(tone(1.0, rate), (2, 1))
            for start in range(0, rate, 64):
                frame = av.AudioFrame.from_ndarray(sound[:, start : start + 64].copy(), format="fltp", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        data += part.read_bytes()
    path = tmp_path / "joined.ogg"
    path.write_bytes(data)
    (note,) = read_media(path, rate=RATE).problems
    assert "reading stopped after 1.0" in note
    assert "a recording with another sample rate or number of channels was joined on; cut the file there" in note


def test_a_track_of_pictures_that_jumps_back_alone_is_no_join(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mkv", stamps=[0.0, 0.04, 0.08, 1.0, 1.9, 2.0, 2.04, 3.5], audio=tone(3.6))
    assert probe(film).duration == pytest.approx(3.6, abs=0.1)
    assert read_media(film, rate=RATE, fps=1).problems == []


def test_a_recording_whose_header_does_not_tell_its_end_is_measured(tmp_path: Path) -> None:
    path = write(tmp_path / "live.webm", audio=tone(2.0, 48000), audio_codec="libopus", rate=48000,
                 options={"live": "1"})  # fmt: skip
    with av.open(str(path)) as container:
        assert container.duration is None
    assert Playback(path, rate=RATE, fps=None).duration == pytest.approx(2.0, abs=0.05)
    assert probe(path).duration == pytest.approx(2.0, abs=0.05)
