"""The selection among several audio tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from multiemo.errors import MediaError
from multiemo.media.reading import Playback, iter_media, probe, read_media, sound_tracks
from tests.support.heard_sounds import RATE, heard
from tests.support.media_files import tone, tracks, write
from tests.support.sounds import music, speech, talk


def which(path: Path, *sounds: np.ndarray, **options: int) -> int:
    """Return the number of the track that was read."""
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
    with pytest.raises(MediaError, match=r"has no audio track 4, numbered from 1; it has 1 \(aac, mono, eng"):
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
