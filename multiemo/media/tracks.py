"""Select the audio track of a file that is read: list the tracks, and detect speech, scale and polarity of each."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np

from multiemo.arrays import Floats
from multiemo.errors import MediaError
from multiemo.media.container import FAILURES, check_path, header_end, media_error, open_container, origin_of, tag_of
from multiemo.media.samples import PLAIN_MIX, WIDE_FORMATS, Mix, channels_of, mix_of, scale_of
from multiemo.media.sound_track import AudioTrack
from multiemo.voice_activity import RATE, STEP, VoiceActivity

NO_TRACK = "the file has no audio track"
#: Number of excerpts of a file that are analysed, and their length in seconds: for speech, and for scale and polarity
#: alone. A file that is no longer than its excerpts is analysed as a whole.
_EXCERPTS, _VOICE_SECONDS, _LEVEL_SECONDS = 12, 8.0, 3.0
#: Probability from which a step counts as speech, and minimum seconds of speech on a track with speech.
_VOICE_THRESHOLD, _MIN_VOICE = 0.5, 0.25
#: A track counts as one with speech if it has at least this share of the speech of the track with most.
_MIN_VOICE_SHARE = 0.1
#: FFmpeg's disposition flags, and words in titles, of tracks other than the main audio.
_SECONDARY_FLAGS = ("comment", "visual_impaired", "descriptions", "karaoke", "clean_effects", "non_diegetic", "lyrics")
_SECONDARY_TITLES = re.compile(r"comment|descri|audiodesk|karaoke|music (and|&) effects|isolated", re.IGNORECASE)
#: Sample entries of encrypted files: MP4's protected entries (ISO 14496-12, 8.12), Apple's and Audible's.
_ENCRYPTED_ENTRIES = (b"enca", b"encv", b"drms", b"drmi", b"aavd")
#: Mark of an encrypted Matroska track: ContentEncodings followed by ContentEncryption.
_ENCRYPTED_MATROSKA = re.compile(rb"\x6d\x80.{1,64}?\x50\x35", re.DOTALL)
#: Number of bytes, at each end of a file, that are searched for these marks.
_SEARCHED_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class SoundTrack:
    """An audio track, as the file describes it.

    Args:
        number: among the audio tracks, from 1.
        codec: FFmpeg's name of the codec; empty if there is no decoder for it.
        channels: number of channels, from the header.
        rate: sample rate from the header, Hz.
        language: language code; empty if unknown.
        title: title; empty if it has none.
        secondary: whether the file marks it as a commentary, an audio description or the like.
        default: whether a player would select it by default.
    """

    number: int
    codec: str
    channels: int
    rate: int
    language: str
    title: str
    secondary: bool
    default: bool

    def __str__(self) -> str:
        names = [self.codec or "no decoder", {1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels} channels")]
        names += [self.language] * bool(self.language) + [repr(self.title)] * bool(self.title)
        return f"{self.number} ({', '.join(names)})"


@dataclass(frozen=True, slots=True)
class ChosenTrack:
    """The audio track that is read.

    Args:
        number: among the audio tracks, from 1; 0 if there is none.
        mix: how its channels are mixed to one.
        notes: remarks for the user, one line each.
        absent: reason why there is none; empty if there is one.
    """

    number: int = 0
    mix: Mix = PLAIN_MIX
    notes: tuple[str, ...] = ()
    absent: str = ""

    def of(self, container: Any) -> Any:
        """Return its PyAV stream in an open container, or ``None``."""
        return container.streams.audio[self.number - 1] if self.number else None


def sound_tracks(path: str | Path) -> list[SoundTrack]:
    """List the audio tracks of a file.

    Raises:
        MediaError: the file cannot be opened.
    """
    file = check_path(path, "")
    with open_container(file, "") as container:
        return _described(container)


def choose_track(file: Path, container: Any, track: int | None, where: str = "") -> ChosenTrack:
    """Select the audio track to read: the requested one, else one with speech.

    Of several tracks with speech it is the file's default, unless that is a commentary or the like.

    Args:
        file: path of the file.
        container: the open file. Its position does not change.
        track: number of the requested track, from 1; ``None`` selects the best one.
        where: name of the clip, for messages.

    Raises:
        MediaError: the requested track does not exist.
    """
    count = len(container.streams.audio)
    if track is not None and not 1 <= track <= count:
        listing = f"; it has {', '.join(map(str, _described(container)))}" if count else ""
        raise media_error(where, file, f"has no audio track {track}, numbered from 1{listing}")
    if not count:
        return ChosenTrack(absent=NO_TRACK)
    facts = file.stat()
    return _choose(str(file.absolute()), facts.st_size, facts.st_mtime_ns, track)


@lru_cache(maxsize=4096)
def _choose(path: str, size: int, modified: int, track: int | None) -> ChosenTrack:
    file = Path(path)
    with open_container(file, "") as container:
        tracks = _described(container)
        if track is not None or len(tracks) == 1:
            return _single_choice(file, container, tracks[(track or 1) - 1])
        samples_of = {t.number: _sample_track(container, t.number) for t in tracks if t.codec}
        usable = [t for t in tracks if t.number in samples_of and samples_of[t.number].samples]
        listing = f"{len(tracks)} audio tracks: {', '.join(map(str, tracks))}"
        if not usable:
            return ChosenTrack(absent=f"none of its {listing} can be decoded{_undecodable_reason(file)}")
        voices = {t.number: samples_of[t.number].voice for t in usable}
        speaking = [t for t in usable if voices[t.number] >= max(_MIN_VOICE, _MIN_VOICE_SHARE * max(voices.values()))]
        taken = min(speaking or usable, key=lambda t: (t.secondary, not t.default))
        silent = ", ".join(str(t.number) for t in usable if t not in speaking)
        why = [f"nobody speaks on {silent if speaking else 'any'}"] if silent else []
        why += [f"{t.number} cannot be decoded" for t in tracks if t not in usable]
        reason = f" ({'; '.join(why)})" if why else ""
        note = f"{listing}; {taken.number} was read{reason}; another can be requested by its number"
        mix = samples_of[taken.number].mix
        return ChosenTrack(taken.number, mix, (note, *mix.notes, *mix.channel_notes))


def _single_choice(file: Path, container: Any, track: SoundTrack) -> ChosenTrack:
    """Select a track to which there is no alternative."""
    if not track.codec:
        return ChosenTrack(absent=f"its audio track {track} cannot be decoded{_undecodable_reason(file)}")
    stored = container.streams.audio[track.number - 1].codec_context
    plain = track.channels == 1 and not (_is_wide(stored.format) and stored.codec.lossless)
    mix = PLAIN_MIX if plain else _sample_track(container, track.number, voice=False).mix
    return ChosenTrack(track.number, mix, (*mix.notes, *mix.channel_notes))


def _undecodable_reason(file: Path) -> str:
    return "; it is encrypted" if is_encrypted(file) else ": there is no decoder for it; convert it to another format"


def is_encrypted(file: Path) -> bool:
    """Whether a file that cannot be decoded is marked as encrypted."""
    with file.open("rb") as stream:
        head = stream.read(_SEARCHED_BYTES)
        stream.seek(max(0, file.stat().st_size - _SEARCHED_BYTES))
        tail = stream.read(_SEARCHED_BYTES)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return bool(_ENCRYPTED_MATROSKA.search(head[: 1 << 16]))
    return head[4:8] == b"ftyp" and any(mark in head or mark in tail for mark in _ENCRYPTED_ENTRIES)


def no_track_error(file: Path, absent: str, where: str) -> MediaError:
    """Create the error for a file with neither a video track nor a usable audio track.

    Args:
        file: path of the file.
        absent: reason why there is no audio.
        where: name of the clip, for messages.
    """
    if absent == NO_TRACK:
        return media_error(where, file, "has neither an audio nor a video track; name another file")
    return media_error(where, file, absent)


def not_decoded_error(file: Path, what: str, problems: Sequence[str], where: str) -> MediaError:
    """Create the error for a file with tracks of which nothing was decoded.

    Args:
        file: path of the file.
        what: what could not be decoded.
        problems: problems of the pass, of which the first is quoted.
        where: name of the clip, for messages.
    """
    if is_encrypted(file):
        return media_error(where, file, f"{what}: it is encrypted; decrypt it first")
    detail = f" ({problems[0]})" if problems else ""
    return media_error(where, file, f"{what}{detail}; the file is cut off or damaged")


def _described(container: Any) -> list[SoundTrack]:
    best = container.streams.best("audio") if any(s.codec_context for s in container.streams.audio) else None
    found = []
    for number, stream in enumerate(container.streams.audio, start=1):
        coder, title, language = stream.codec_context, tag_of(stream, "title"), tag_of(stream, "language")
        found.append(
            SoundTrack(
                number,
                "" if coder is None else coder.name,
                0 if coder is None else coder.channels,
                0 if coder is None else coder.sample_rate,
                "" if language == "und" else language,
                title,
                bool(_SECONDARY_TITLES.search(title)) or _is_secondary(stream),
                stream is best,
            )
        )
    return found


def _is_secondary(stream: Any) -> bool:
    kinds = av.stream.Disposition
    return any(bool(stream.disposition & kinds[name]) for name in _SECONDARY_FLAGS if name in kinds.__members__)


def _is_wide(stored: Any) -> bool:
    return stored is not None and stored.name.removesuffix("p") in WIDE_FORMATS


# --------------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _TrackSample:
    """The analysed excerpts of a track.

    Args:
        samples: whether any samples could be decoded.
        mix: how its channels are mixed to one.
        voice: seconds of speech.
    """

    samples: bool
    mix: Mix
    voice: float


def _sample_track(container: Any, number: int, *, voice: bool = True) -> _TrackSample:
    """Analyse excerpts of a track.

    Args:
        container: open PyAV container.
        number: among the audio tracks, from 1.
        voice: whether to measure seconds of speech.
    """
    stream = container.streams.audio[number - 1]
    coder = stream.codec_context
    wide = _is_wide(coder.format) and coder.codec.lossless
    stored: list[Floats] = []
    count, products = 0, np.zeros((0, 0))
    for packet in _packets(container, stream, _VOICE_SECONDS if voice else _LEVEL_SECONDS):
        for sound in _decoded(stream, packet):
            if len(sound) != count:
                count, products = len(sound), np.zeros((len(sound), len(sound)))
            exact = np.nan_to_num(sound.astype(np.float64), posinf=0.0, neginf=0.0)
            products += exact @ exact.T
            stored += [sound.ravel()] if wide else []
    if not count:
        return _TrackSample(False, PLAIN_MIX, 0.0)
    scale = scale_of(np.concatenate(stored), coder.format.name.startswith("s")) if wide else (1.0, "")
    places = [channel.name for channel in coder.layout.channels]
    mix = mix_of(products, places if len(places) == count else [""] * count, *scale)
    return _TrackSample(True, mix, _voice_seconds(container, stream, mix) if voice else 0.0)


def _voice_seconds(container: Any, stream: Any, mix: Mix) -> float:
    """Return the seconds of speech in the excerpts of a track."""
    network = VoiceActivity()
    track = AudioTrack(stream, RATE, 0.0, 0.0, mix=mix)
    sounds = [
        p.samples for packet in [*_packets(container, stream, _VOICE_SECONDS), None] for p in track.decode(packet)
    ]
    probabilities = [*(network(s) for s in sounds), network.flush()]
    return float((np.concatenate(probabilities) >= _VOICE_THRESHOLD).sum()) * STEP / RATE


def _decoded(stream: Any, packet: Any) -> list[Floats]:
    try:
        return [channels_of(frame) for frame in stream.codec_context.decode(packet) if frame.samples]
    except FAILURES:
        return []


def _packets(container: Any, stream: Any, seconds: float) -> Iterator[Any]:
    """Yield the packets of a track's excerpts of ``seconds`` each, or all packets of a short file."""
    origin, length = origin_of(container), header_end(container, origin_of(container)) or 0.0
    most = _EXCERPTS * seconds
    starts = [0.0] if length <= most else np.linspace(0.0, length - seconds, _EXCERPTS).tolist()
    for start in starts:
        try:
            container.seek(int((start + origin) * av.time_base), backward=True)
            yield from _first_seconds(container.demux(stream), most if len(starts) == 1 else seconds)
        except FAILURES:
            continue  # the readable excerpts count


def _first_seconds(packets: Iterator[Any], seconds: float) -> Iterator[Any]:
    first = math.inf
    for packet in packets:
        if packet.size == 0:
            continue
        yield packet
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None:
            time = float(stamp * packet.time_base)
            first = min(first, time)
            if time - first > seconds:
                return
