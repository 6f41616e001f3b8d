"""Calls: who speaks how much, how negative each speaker sounds over time, and where that rises and stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from multiemo.applications.affect import affect
from multiemo.applications.call_report import (
    CallMoment,
    CallOverlaps,
    CallReport,
    CallSegment,
    CallSilences,
    CallSpeaker,
)
from multiemo.applications.call_speech import (
    CallSpeech,
    SpeakerChannel,
    Stretch,
    blocks,
    find_speech,
    interruptions,
    overlaps,
    seconds,
    silences,
)
from multiemo.applications.level_shifts import shifts
from multiemo.errors import ConfigError, MediaError
from multiemo.media.reading import probe, sound_tracks
from multiemo.predict import load
from multiemo.predict.prediction import SegmentPrediction, TimelineSegment
from multiemo.predict.streaming import read_channels
from multiemo.progress import Progress
from multiemo.transcripts import Cue, fit_to_media, read_transcript, side_transcripts, why_not_placed, words_after_end

#: Chance of one or more moments for a speaker who does not change.
FALSE_ALARMS = 0.05
#: Segments for which negativity must have been lower before a moment, and higher from it on.
LASTS = 4
#: What the speakers are called unless the user says so.
SPEAKERS = ("left", "right")
#: A segment with less speech (seconds) of its speaker, and without words, says nothing of them.
_LEAST = 0.5
#: What a file with one channel, or with the same sound on both, is called.
_MIX = "call"


def analyse_call(
    run: str | Path,
    path: str | Path,
    *,
    speakers: tuple[str, str] = SPEAKERS,
    track: int | None = None,
    transcript: str | Path | None = None,
    asr: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> CallReport:
    """Speakers, their trajectories and moments of escalation in one call.

    In a stereo file each channel is a speaker, and in one with two mono tracks each track is; what comes over from the
    other channel does not count. How far the channels are apart is measured: where a voice is less than 12 dB louder on
    its own channel than on the other, as in a recording of a room, they are no speaker each, and their mix is one
    trajectory. So is a mono file, or one with the same sound on both channels.

    *Negativity* of a segment is its valence (:mod:`multiemo.applications.affect`) with the sign turned. A *moment* is
    where a speaker's negativity rises above their own earlier segments and stays for
    ``LASTS`` segments or more (:func:`multiemo.applications.level_shifts.shifts`, upwards); a speaker who does not
    change has one or more with chance ``FALSE_ALARMS``. An *interruption* is where one begins while the other speaks,
    and the other stops first.

    Args:
        run: run folder or model folder.
        path: a file with sound.
        speakers: names of the first and second channel.
        track: which audio track is read, from 1; default: two mono tracks as two channels, else one on which somebody
            speaks.
        transcript: words with times; default: the transcript beside the file, if there is one. Cues with one of the
            names go to that speaker, others to whoever speaks most while they last.
        asr: name or folder of a Whisper model, where there is no transcript.
        device: see :func:`multiemo.load`.
        progress: told how far it is.

    Returns:
        The report; its members are described with :class:`CallReport`.

    Raises:
        MediaError: the file cannot be read, or has no sound or more than two channels.
        ConfigError: the speakers have one name, or names that a file of one channel cannot use; ``asr`` beside a
            transcript, or one that is no speech recogniser.
        CheckpointError: not a finished model.
    """
    progress, path = progress or Progress(), Path(path)
    if asr is not None and transcript is not None:
        raise ConfigError("asr writes down what has no words, and a transcript was given; leave one of the two out")
    if speakers[0] == speakers[1]:
        raise ConfigError(f"speakers: both are called {speakers[0]!r}; give two names")
    channels, chosen = _channels(path, track)
    if len(channels) == 1 and tuple(speakers) != SPEAKERS:
        raise ConfigError(
            f"{path}: has one channel, so the speakers {' and '.join(speakers)} cannot be told apart; leave the names "
            "out, or give a file with a channel each"
        )
    progress.stage("listen")
    speech = find_speech(path, channels)
    separation = speech.separation
    if speech.mixed or speech.same:
        channels = [SpeakerChannel(track)]
        chosen.append(_why_one(speech))
    if speech.mixed:
        speech = find_speech(path, channels)
    apart = len(speech.spans) == 2
    names = list(speakers) if apart else [_MIX]
    words, notes = _words(path, transcript, speech, names)
    notes = [*speech.problems, *chosen, *notes]
    progress.stage("predict")
    predictor = load(run, device=device, asr=asr if words is None else None)
    timelines: dict[str, list[CallSegment]] = {name: [] for name in names}
    sources: set[str] = set()
    cues = words or [[] for _ in names]
    heard = [i for i, spans in enumerate(speech.spans) if spans or cues[i]]
    said = read_channels(
        predictor,
        [(sound for sound, _ in blocks(path, channels[i], predictor.reader.rate)) for i in heard],
        [cues[i] for i in heard],
        speakers=[names[i] for i in heard] if apart else (),
        duration=speech.duration,
    )
    for i, segments in zip(heard, said, strict=True):
        timelines[names[i]] = _timeline(segments, speech.spans[i], sources)
    found: list[CallSpeaker] = []
    moments: list[CallMoment] = []
    for number, name in enumerate(names):
        found.append(_speaker(name, timelines[name], speech, number))
        moments += _moments(name, timelines[name])
        if timelines[name] and len(timelines[name]) < 2 * LASTS:
            notes.append(f"{name}: {len(timelines[name])} segments; moments are looked for from {2 * LASTS} on")
        progress.update(number + 1, len(names))
    return CallReport(
        input=str(path),
        duration=round(speech.duration, 3),
        speakers=found,
        moments=sorted(moments, key=lambda moment: moment.time),
        timelines=timelines,
        overlaps=_overlaps(speech) if apart else None,
        silences=_silences(speech),
        separation=None if separation is None else round(separation, 1),
        false_alarms=FALSE_ALARMS,
        values_from=sorted(sources),
        notes=notes,
        model=predictor.describe(),
    )


def _why_one(speech: CallSpeech) -> str:
    """Why two channels are read as one."""
    if speech.mixed:
        return (
            f"the channels are no speaker each: what is heard on one is heard on the other, only "
            f"{speech.separation:.0f} dB lower (12 or more in a call with a channel each), so all is read as one"
        )
    return "both channels hold the same sound, so the speakers cannot be told apart"


def _overlaps(speech: CallSpeech) -> CallOverlaps:
    both = [end - start for start, end in overlaps(*speech.spans)]
    return CallOverlaps(count=len(both), seconds=round(sum(both), 2))


def _silences(speech: CallSpeech) -> CallSilences:
    quiet = [end - start for start, end in silences(span for spans in speech.spans for span in spans)]
    return CallSilences(count=len(quiet), seconds=round(sum(quiet), 2), longest=round(max(quiet, default=0.0), 2))


def _channels(path: Path, track: int | None) -> tuple[list[SpeakerChannel], list[str]]:
    """What each speaker is heard on; and notes.

    Raises:
        MediaError: the file cannot be read, or has no sound or more than two channels.
    """
    channels = probe(path, "audio", track=track).channels or 1
    tracks = [t for t in sound_tracks(path) if t.codec and not t.secondary]
    languages = {t.language for t in tracks if t.language}
    if track is None and [t.channels for t in tracks] == [1, 1] and len(languages) < 2:
        there = " and ".join(map(str, tracks))
        return [SpeakerChannel(t.number) for t in tracks], [
            f"two mono audio tracks, {there}: each is a channel of the call"
        ]
    if channels > 2:
        raise MediaError(
            f"{path}: has {channels} audio channels, a call has one or two; mix or choose two of them first"
        )
    return [SpeakerChannel(track, i) for i in range(2)] if channels == 2 else [SpeakerChannel(track)], []


def _words(
    path: Path, transcript: str | Path | None, speech: CallSpeech, names: Sequence[str]
) -> tuple[list[list[Cue]] | None, list[str]]:
    """The cues of each speaker, or ``None`` where there is no transcript; and notes."""
    notes: list[str] = []
    found = side_transcripts(path, notes) if transcript is None else iter([read_transcript(transcript)])
    fitting = (fit_to_media(each, speech.duration).spread([(0.0, speech.duration)]) for each in found)
    said = None
    for each in fitting:
        if outside := why_not_placed(each, speech.duration):
            notes.append(outside)
            continue
        said = each
        break
    if said is None:
        return None, notes
    cues: list[list[Cue]] = [[] for _ in names]
    guessed = 0
    for cue in said.cues:
        named = [i for i, name in enumerate(names) if (cue.speaker or "").casefold() == name.casefold()]
        covered = [seconds(spans, cue.start, cue.end) for spans in speech.spans]
        guessed += not named and len(names) > 1
        cues[named[0] if named else int(np.argmax(covered))].append(cue)
    notes += [f"words: {said.source}", *said.notes, *words_after_end(said, speech.duration)]
    if guessed:
        known = ", ".join(sorted({cue.speaker for cue in said.cues if cue.speaker})) or "none"
        notes.append(
            f"{guessed} cue(s) of the transcript name none of {', '.join(names)} (its speakers: {known}); each went to "
            "whoever speaks most while it lasts"
        )
    return cues, notes


def _timeline(said: Sequence[TimelineSegment], spans: Sequence[Stretch], sources: set[str]) -> list[CallSegment]:
    """The segments of one speaker, each with its negativity; those that are not theirs are left out."""
    found: list[CallSegment] = []
    for segment in said:
        own = seconds(spans, segment.start, segment.end)
        if not isinstance(segment, SegmentPrediction) or (own < _LEAST and not segment.text):
            continue
        where = affect(segment.probs, segment.valence, segment.arousal)
        if where is None:
            continue
        sources.add(where.source)
        found.append(
            CallSegment(
                start=segment.start,
                end=segment.end,
                label=segment.label,
                best=segment.best,
                probs=segment.probs,
                negativity=round(-where.valence, 4),
                text=segment.text,
            )
        )
    return found


def _speaker(name: str, timeline: Sequence[CallSegment], speech: CallSpeech, number: int) -> CallSpeaker:
    """What is known of a speaker as a whole.

    Args:
        name: of the speaker.
        timeline: their segments.
        speech: of the whole call.
        number: of their channel.
    """
    spans, others = speech.spans[number], [s for i, s in enumerate(speech.spans) if i != number]
    spoken, total = seconds(spans), sum(seconds(s) for s in speech.spans)
    apart = len(speech.spans) == 2
    absent = None
    if not spans:
        loudest = speech.loudest[number]
        absent = f"nobody speaks on this channel; its loudest moment is {loudest:.0f} dB of full scale"
    elif not timeline:
        absent = "the model could read nothing of what is said here"
    negativity, labels = _averages(timeline) if timeline else (None, {})
    return CallSpeaker(
        speaker=name,
        channel=number if apart else None,
        scored=bool(timeline),
        talk_seconds=round(spoken, 2),
        talk_share=round(spoken / total, 4) if total else None,
        turns=len(spans),
        segments=len(timeline),
        negativity=negativity,
        labels=labels,
        absent=absent,
        interruptions=len(interruptions(spans, others[0])) if apart else None,
    )


def _averages(timeline: Sequence[CallSegment]) -> tuple[float, dict[str, float]]:
    """Mean negativity over the time of the segments, and the share of that time for each label, the largest first."""
    length = np.array([s.end - s.start for s in timeline])
    negativity = round(float(length @ np.array([s.negativity for s in timeline]) / length.sum()), 4)
    shares: dict[str, float] = {}
    for segment, share in zip(timeline, length / length.sum(), strict=True):
        if segment.label is not None:
            shares[segment.label] = shares.get(segment.label, 0.0) + float(share)
    return negativity, {label: round(v, 4) for label, v in sorted(shares.items(), key=lambda item: -item[1])}


def _moments(name: str, timeline: Sequence[CallSegment]) -> list[CallMoment]:
    """Where a speaker's negativity rises and stays."""
    values = np.array([s.negativity for s in timeline])
    moments = []
    for shift in shifts(values, level=2 * FALSE_ALARMS, smallest=LASTS):  # half of chance shifts go down
        if shift.after <= shift.before:
            continue
        low, high = timeline[shift.low].start, timeline[shift.high].start
        moments.append(
            CallMoment(
                time=timeline[shift.index].start,
                speaker=name,
                why=f"negativity rose from {shift.before:+.2f} to {shift.after:+.2f} and stayed; between {low:.1f} "
                f"and {high:.1f} s with 95% confidence (p = {shift.p / 2:.3f})",
                before=round(shift.before, 4),
                after=round(shift.after, 4),
                text=timeline[shift.index].text,
            )
        )
    return moments
