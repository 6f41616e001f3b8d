"""Which track of sound of a file is read, and how: those that there are, who speaks on which, and its scale."""

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
from numpy.typing import NDArray

from multiemo.arrays import Floats
from multiemo.errors import MediaError
from multiemo.media.container import FAILURES, check_path, fail, header_end, open_container, origin_of, tag_of
from multiemo.media.samples import PLAIN, WIDE, Mix, channels_of, scale_of, signs_of
from multiemo.media.sound_track import AudioTrack
from multiemo.voice_activity import RATE, STEP, VoiceActivity

NO_TRACK = "the file has no audio track"
#: A file is listened to in so many places, or as a whole when it is no longer than they are; and seconds of each, for a
#: voice and for scale and polarity alone.
_PLACES, _SECONDS, _BRIEF = 12, 8.0, 3.0
#: Probability at which a step holds a voice, and seconds of it that are one.
_VOICE, _LEAST = 0.5, 0.25
#: A track with this share of the voice of the track that has most is one on which somebody speaks.
_SHARE = 0.1
#: Bits of FFmpeg's dispositions of tracks that are beside the point, as their titles may say too.
_BESIDE = ("comment", "visual_impaired", "descriptions", "karaoke", "clean_effects", "non_diegetic", "lyrics")
_TITLES = re.compile(r"comment|descri|audiodesk|karaoke|music (and|&) effects|isolated", re.IGNORECASE)
#: What is found in a file that is encrypted: MP4's protected entries (ISO 14496-12, 8.12), Apple's and Audible's.
_LOCKED = (b"enca", b"encv", b"drms", b"drmi", b"aavd")
#: Where Matroska says that a track is encrypted: ContentEncodings, and ContentEncryption behind it.
_LOCKED_MATROSKA = re.compile(rb"\x6d\x80.{1,64}?\x50\x35", re.DOTALL)
#: Bytes in which that is looked for.
_HEAD = 1 << 24


@dataclass(frozen=True, slots=True)
class SoundTrack:
    """A track of sound, as the file describes it.

    Args:
        number: from 1, among the tracks of sound.
        codec: as FFmpeg calls it; empty when there is no decoder for it.
        channels, rate: as the header says.
        language: a code, or empty.
        title: or empty.
        beside: whether it says of itself that it is a commentary, a description or the like.
        default: whether a player would take it.
    """

    number: int
    codec: str
    channels: int
    rate: int
    language: str
    title: str
    beside: bool
    default: bool

    def __str__(self) -> str:
        names = [self.codec or "no decoder", {1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels} channels")]
        names += [self.language] * bool(self.language) + [repr(self.title)] * bool(self.title)
        return f"{self.number} ({', '.join(names)})"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The track of sound that is read.

    Args:
        number: from 1; 0 when there is none.
        mix: how its channels become one.
        notes: what the user may want to know, one line each.
        absent: why there is none.
    """

    number: int = 0
    mix: Mix = PLAIN
    notes: tuple[str, ...] = ()
    absent: str = ""

    def of(self, container: Any) -> Any:
        """The stream of PyAV, or ``None``."""
        return container.streams.audio[self.number - 1] if self.number else None


def sound_tracks(path: str | Path) -> list[SoundTrack]:
    """The tracks of sound of a file.

    Raises:
        MediaError: it cannot be opened.
    """
    file = check_path(path, "")
    with open_container(file, "") as container:
        return _described(container)


def choose(file: Path, container: Any, track: int | None, where: str = "") -> Chosen:
    """The track that is read: the one that was asked for, else one on which somebody speaks.

    Of several with a voice, it is the file's own choice, unless that is a commentary or the like.

    Args:
        file, container: an open file, which is left as it is.
        track: from 1; ``None``: whichever is best.
        where: the clip's name, for messages.

    Raises:
        MediaError: there is no such track.
    """
    count = len(container.streams.audio)
    if track is not None and not 1 <= track <= count:
        there = f"; it has {', '.join(map(str, _described(container)))}" if count else ""
        raise fail(where, file, f"has no audio track {track}, counted from 1{there}")
    if not count:
        return Chosen(absent=NO_TRACK)
    facts = file.stat()
    return _choose(str(file.absolute()), facts.st_size, facts.st_mtime_ns, track)


@lru_cache(maxsize=4096)
def _choose(path: str, size: int, modified: int, track: int | None) -> Chosen:
    file = Path(path)
    with open_container(file, "") as container:
        tracks = _described(container)
        if track is not None or len(tracks) == 1:
            return _alone(file, container, tracks[(track or 1) - 1])
        heard = {t.number: _listen(container, t.number) for t in tracks if t.codec}
        usable = [t for t in tracks if t.number in heard and heard[t.number].samples]
        there = f"{len(tracks)} audio tracks: {', '.join(map(str, tracks))}"
        if not usable:
            return Chosen(absent=f"none of its {there} can be decoded{_why(file)}")
        voices = {t.number: heard[t.number].voice for t in usable}
        speaking = [t for t in usable if voices[t.number] >= max(_LEAST, _SHARE * max(voices.values()))]
        taken = min(speaking or usable, key=lambda t: (t.beside, not t.default))
        silent = ", ".join(str(t.number) for t in usable if t not in speaking)
        why = [f"nobody speaks on {silent if speaking else 'any'}"] if silent else []
        why += [f"{t.number} cannot be decoded" for t in tracks if t not in usable]
        reason = f" ({'; '.join(why)})" if why else ""
        note = f"{there}; {taken.number} was read{reason}; another can be asked for by its number"
        mix = heard[taken.number].mix
        return Chosen(taken.number, mix, (note, *mix.notes))


def _alone(file: Path, container: Any, track: SoundTrack) -> Chosen:
    """A track that there is no choice about."""
    if not track.codec:
        return Chosen(absent=f"its audio track {track} cannot be decoded{_why(file)}")
    stored = container.streams.audio[track.number - 1].codec_context
    plain = track.channels == 1 and not (_is_wide(stored.format) and stored.codec.lossless)
    mix = PLAIN if plain else _listen(container, track.number, voice=False).mix
    return Chosen(track.number, mix, mix.notes)


def _why(file: Path) -> str:
    return "; it is encrypted" if is_locked(file) else ": there is no decoder for it, so convert it"


def is_locked(file: Path) -> bool:
    """Whether a file that cannot be decoded says that it is encrypted."""
    with file.open("rb") as stream:
        head = stream.read(_HEAD)
        stream.seek(max(0, file.stat().st_size - _HEAD))
        tail = stream.read(_HEAD)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return bool(_LOCKED_MATROSKA.search(head[: 1 << 16]))
    return head[4:8] == b"ftyp" and any(mark in head or mark in tail for mark in _LOCKED)


def nothing_to_read(file: Path, absent: str, where: str) -> MediaError:
    """A file has no video track, and this is why it has no sound either."""
    if absent == NO_TRACK:
        return fail(where, file, "has neither an audio nor a video track; name another file")
    return fail(where, file, absent)


def nothing_decoded(file: Path, what: str, problems: Sequence[str], where: str) -> MediaError:
    """A file has tracks, but nothing of them was decoded."""
    if is_locked(file):
        return fail(where, file, f"{what}: it is encrypted; decrypt it first")
    detail = f" ({problems[0]})" if problems else ""
    return fail(where, file, f"{what}{detail}; the file is cut off or damaged")


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
                bool(_TITLES.search(title)) or _is_beside(stream),
                stream is best,
            )
        )
    return found


def _is_beside(stream: Any) -> bool:
    kinds = av.stream.Disposition
    return any(bool(stream.disposition & kinds[name]) for name in _BESIDE if name in kinds.__members__)


def _is_wide(stored: Any) -> bool:
    return stored is not None and stored.name.removesuffix("p") in WIDE


# --------------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Heard:
    """What a track holds: whether there are samples, how they become one channel, and seconds of voice."""

    samples: bool
    mix: Mix
    voice: float


def _listen(container: Any, number: int, *, voice: bool = True) -> _Heard:
    """Listen to a track in several places."""
    stream = container.streams.audio[number - 1]
    coder = stream.codec_context
    wide = _is_wide(coder.format) and coder.codec.lossless
    stored: list[Floats] = []
    count, products = 0, np.zeros((0, 0))
    for packet in _packets(container, stream, _SECONDS if voice else _BRIEF):
        for sound in _decoded(stream, packet):
            if len(sound) != count:
                count, products = len(sound), np.zeros((len(sound), len(sound)))
            exact = np.nan_to_num(sound.astype(np.float64), posinf=0.0, neginf=0.0)
            products += exact @ exact.T
            stored += [sound.ravel()] if wide else []
    if not count:
        return _Heard(False, PLAIN, 0.0)
    scale = scale_of(np.concatenate(stored), coder.format.name.startswith("s")) if wide else (1.0, "")
    mix = _mix(products, *scale)
    return _Heard(True, mix, _voiced(container, stream, mix) if voice else 0.0)


def _mix(products: NDArray[np.float64], factor: float, scaled: str) -> Mix:
    signs = signs_of(products)
    turned = ", ".join(str(i) for i, sign in enumerate(signs) if sign < 0)
    mirrored = f"channel {turned}, counted from 0, mirrors the others; it was turned over, so as not to cancel them"
    return Mix(factor, signs, tuple(note for note in (scaled, mirrored if signs else "") if note))


def _voiced(container: Any, stream: Any, mix: Mix) -> float:
    """Seconds of voice."""
    network = VoiceActivity()
    track = AudioTrack(stream, RATE, 0.0, 0.0, mix=mix)
    sounds = [p.samples for packet in [*_packets(container, stream, _SECONDS), None] for p in track.decode(packet)]
    heard = [*(network(s) for s in sounds), network.flush()]
    return float((np.concatenate(heard) >= _VOICE).sum()) * STEP / RATE


def _decoded(stream: Any, packet: Any) -> list[Floats]:
    try:
        return [channels_of(frame) for frame in stream.codec_context.decode(packet) if frame.samples]
    except FAILURES:
        return []


def _packets(container: Any, stream: Any, seconds: float) -> Iterator[Any]:
    """Packets of a track from several places, each of so many seconds, or all of them."""
    origin, length = origin_of(container), header_end(container, origin_of(container)) or 0.0
    most = _PLACES * seconds
    starts = [0.0] if length <= most else np.linspace(0.0, length - seconds, _PLACES).tolist()
    for start in starts:
        try:
            container.seek(int((start + origin) * av.time_base), backward=True)
            yield from _some(container.demux(stream), most if len(starts) == 1 else seconds)
        except FAILURES:
            continue  # what can be reached counts


def _some(packets: Iterator[Any], seconds: float) -> Iterator[Any]:
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
