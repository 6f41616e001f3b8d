"""Sounds: length to a sample, channels, format and metadata of what is written."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from multiemo.anonymize.files.sound import write_sound
from multiemo.anonymize.voice.protection import VoiceProtection
from multiemo.errors import MediaError
from multiemo.media.reading import read_media
from tests.support.media_files import grid, wav, write
from tests.support.sounds import speech


def samples(path: Path, channel: int | None = None) -> np.ndarray:
    found = read_media(path, rate=16000, channel=channel).audio
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["b.wav", "b.flac"])
def test_kept_sound_is_the_same_to_a_bit_and_protected_sound_as_long(name: str, tmp_path: Path) -> None:
    source = wav(tmp_path / "a.wav", [speech(1.0)[:15987]])
    write_sound(source, tmp_path / name, VoiceProtection("keep"))
    np.testing.assert_array_equal(samples(tmp_path / name), samples(source))
    (tmp_path / name).unlink()
    write_sound(source, tmp_path / name, VoiceProtection("mcadams", 0.7))
    assert len(samples(tmp_path / name)) == 15987
    assert np.abs(samples(tmp_path / name) - samples(source)).max() > 0.05
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.audio[0].codec_context.name == {"b.wav": "pcm_s16le", "b.flac": "flac"}[name]


def test_channels_stay_apart(tmp_path: Path) -> None:
    """A call has a speaker on each channel."""
    voice = speech(1.0)
    source = wav(tmp_path / "a.wav", [voice, np.zeros_like(voice)])
    sound = write_sound(source, tmp_path / "b.flac", VoiceProtection())
    assert (sound.channels, sound.seconds) == (2, 1.0)
    assert np.abs(samples(tmp_path / "b.flac", 0)).max() > 0.2
    assert not samples(tmp_path / "b.flac", 1).any()


def test_metadata_is_gone(tmp_path: Path) -> None:
    source = tmp_path / "a.flac"
    with av.open(str(source), "w") as container:
        container.metadata.update({"title": "Ada's diary", "artist": "Ada", "date": "2024-05-01"})
        stream = container.add_stream("flac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray((speech(0.5) * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    assert b"diary" in source.read_bytes()
    for name in ("b.flac", "b.wav"):
        write_sound(source, tmp_path / name, VoiceProtection())
        data = (tmp_path / name).read_bytes()
        assert not any(secret in data for secret in (b"Ada", b"diary", b"2024"))
        with av.open(str(tmp_path / name)) as container:
            assert not container.metadata


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    silent = write(tmp_path / "a.mp4", stamps=grid(3))
    with pytest.raises(MediaError, match=r"a\.mp4: has no sound"):
        write_sound(silent, tmp_path / "b.wav", VoiceProtection())
    source = wav(tmp_path / "a.wav", [speech(0.5)])

    class Broken(VoiceProtection):
        def protect(self, samples: np.ndarray, rate: int) -> np.ndarray:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sound(source, tmp_path / "b.wav", Broken())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "a.wav"]
