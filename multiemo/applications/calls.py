"""Analyses calls: who speaks how much, how negative each speaker is over time, and where negativity rises and stays."""

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

#: Probability of at least one moment for a speaker who does not change.
FALSE_ALARMS = 0.05
#: Least number of segments before a moment, with lower negativity, and after it, with higher negativity.
LASTS = 4
#: Default names of the speakers.
SPEAKERS = ("left", "right")
#: A segment with less speech (seconds) of its speaker, and without words, is not scored.
_MIN_SPEECH = 0.5
#: Name of the speaker if there is one channel, or the same sound on both.
_MIX = "call"


def analyse_call(
    run: str | Path,
    path: str | Path,
    *,
    speakers: tuple[str, str] = SPEAKERS,
    track: int | None = None,
    transcript: str | Path | None = None,
    asr: str | None = None,
    asr_language: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> CallReport:
    """Analyse a call: its speakers, their trajectories and moments of escalation.

    Each channel of a stereo file, or each track of a file with two mono tracks, is a speaker; crosstalk from the other
    channel is ignored. The separation of the channels is measured. If a voice is less than 12 dB louder on its own
    channel than on the other, as in a recording of a room, the channels do not each belong to one speaker, and their
    mix is analysed as a single trajectory. So is a mono file, or one with the same sound on both channels.

    *Negativity* of a segment is its negated valence (:mod:`multiemo.applications.affect`). A *moment* of escalation is
    a rise of a speaker's negativity above their own earlier segments that lasts for at least ``LASTS`` segments
    (:func:`multiemo.applications.level_shifts.shifts`, upwards). For a speaker who does not change, the probability of
    at least one moment is ``FALSE_ALARMS``. An *interruption* is where one speaker begins while the other speaks, who
    then stops first.

    Args:
        run: run folder or model folder.
        path: a file with sound.
        speakers: names of the speakers on the first and second channel.
        track: the audio track to read, from 1. By default two mono tracks are read as two channels, and otherwise a
            track that contains speech is read.
        transcript: words with times; by default a transcript beside the file, if there is one. A cue with the name of a
            speaker belongs to that speaker, any other cue to the one who speaks most during it.
        asr: name or folder of a Whisper model, used if there is no transcript.
        asr_language: code of the language that is spoken ("zh"); by default ``asr`` detects it for each segment.
        device: see :func:`multiemo.load`.
        progress: receives the progress.

    Returns:
        The report; see :class:`CallReport`.

    Raises:
        MediaError: the file cannot be read, has no sound, or has more than two channels.
        ConfigError: both speakers have the same name, or the file has only one channel for two names; ``asr`` was given
            together with a transcript, or is no speech recogniser.
        CheckpointError: the folder holds no finished model.
    """
    progress, path = progress or Progress(), Path(path)
    if asr is not None and transcript is not None:
        raise ConfigError(
            "asr is for recordings without a transcript, and a transcript was given; leave one of them out"
        )
    if asr_language is not None and asr is None:
        raise ConfigError("--asr-language is the language for speech recognition: add --asr MODEL, or leave it out")
    if speakers[0] == speakers[1]:
        raise ConfigError(f"speakers: both are called {speakers[0]!r}; give two names")
    channels, chosen = _channels(path, track)
    if len(channels) == 1 and tuple(speakers) != SPEAKERS:
        raise ConfigError(
            f"{path}: has one channel, so the speakers {' and '.join(speakers)} cannot be separated; leave the names "
            "out, or give a file with a channel for each"
        )
    progress.stage("listen")
    speech = find_speech(path, channels)
    separation = speech.separation
    if speech.mixed or speech.same:
        channels = [SpeakerChannel(track)]
        chosen.append(_single_channel_note(speech))
    if speech.mixed:
        speech = find_speech(path, channels)
    separated = len(speech.spans) == 2
    names = list(speakers) if separated else [_MIX]
    words, notes = _words(path, transcript, speech, names)
    notes = [*speech.problems, *chosen, *notes]
    progress.stage("predict")
    if words is not None:
        asr = asr_language = None
    predictor = load(run, device=device, asr=asr, asr_language=asr_language)
    timelines: dict[str, list[CallSegment]] = {name: [] for name in names}
    sources: set[str] = set()
    cues = words or [[] for _ in names]
    active = [i for i, spans in enumerate(speech.spans) if spans or cues[i]]
    predicted = read_channels(
        predictor,
        [(sound for sound, _ in blocks(path, channels[i], predictor.reader.rate)) for i in active],
        [cues[i] for i in active],
        speakers=[names[i] for i in active] if separated else (),
        duration=speech.duration,
    )
    for i, segments in zip(active, predicted, strict=True):
        timelines[names[i]] = _timeline(segments, speech.spans[i], sources)
    found: list[CallSpeaker] = []
    moments: list[CallMoment] = []
    for number, name in enumerate(names):
        found.append(_speaker(name, timelines[name], speech, number))
        moments += _moments(name, timelines[name])
        if timelines[name] and len(timelines[name]) < 2 * LASTS:
            notes.append(f"{name}: {len(timelines[name])} segments; finding moments takes at least {2 * LASTS}")
        progress.update(number + 1, len(names))
    return CallReport(
        input=str(path),
        duration=round(speech.duration, 3),
        speakers=found,
        moments=sorted(moments, key=lambda moment: moment.time),
        timelines=timelines,
        overlaps=_overlaps(speech) if separated else None,
        silences=_silences(speech),
        separation=None if separation is None else round(separation, 1),
        false_alarms=FALSE_ALARMS,
        values_from=sorted(sources),
        notes=notes,
        model=predictor.describe(),
    )


def _single_channel_note(speech: CallSpeech) -> str:
    """Why two channels are analysed as one."""
    if speech.mixed:
        return (
            f"each channel contains both speakers: a voice is only {speech.separation:.0f} dB lower on the other "
            "channel (12 or more in a call with one speaker on each), so the channels are analysed as one"
        )
    return "both channels contain the same sound, so the speakers cannot be separated"


def _overlaps(speech: CallSpeech) -> CallOverlaps:
    both = [end - start for start, end in overlaps(*speech.spans)]
    return CallOverlaps(count=len(both), seconds=round(sum(both), 2))


def _silences(speech: CallSpeech) -> CallSilences:
    quiet = [end - start for start, end in silences(span for spans in speech.spans for span in spans)]
    return CallSilences(count=len(quiet), seconds=round(sum(quiet), 2), longest=round(max(quiet, default=0.0), 2))


def _channels(path: Path, track: int | None) -> tuple[list[SpeakerChannel], list[str]]:
    """The channel of each speaker, and notes.

    Raises:
        MediaError: the file cannot be read, or has no sound or more than two channels.
    """
    channels = probe(path, "audio", track=track).channels or 1
    tracks = [t for t in sound_tracks(path) if t.codec and not t.secondary]
    languages = {t.language for t in tracks if t.language}
    if track is None and [t.channels for t in tracks] == [1, 1] and len(languages) < 2:
        listed = " and ".join(map(str, tracks))
        return [SpeakerChannel(t.number) for t in tracks], [
            f"two mono audio tracks, {listed}: each is a channel of the call"
        ]
    if channels > 2:
        raise MediaError(
            f"{path}: has {channels} audio channels, but a call has one or two; mix them or choose two of them first"
        )
    return [SpeakerChannel(track, i) for i in range(2)] if channels == 2 else [SpeakerChannel(track)], []


def _words(
    path: Path, transcript: str | Path | None, speech: CallSpeech, names: Sequence[str]
) -> tuple[list[list[Cue]] | None, list[str]]:
    """The cues of each speaker, or ``None`` if there is no transcript; and notes."""
    notes: list[str] = []
    found = side_transcripts(path, notes) if transcript is None else iter([read_transcript(transcript)])
    fitting = (fit_to_media(each, speech.duration).spread([(0.0, speech.duration)]) for each in found)
    words = None
    for each in fitting:
        if outside := why_not_placed(each, speech.duration):
            notes.append(outside)
            continue
        words = each
        break
    if words is None:
        return None, notes
    cues: list[list[Cue]] = [[] for _ in names]
    guessed = 0
    for cue in words.cues:
        named = [i for i, name in enumerate(names) if (cue.speaker or "").casefold() == name.casefold()]
        covered = [seconds(spans, cue.start, cue.end) for spans in speech.spans]
        guessed += not named and len(names) > 1
        cues[named[0] if named else int(np.argmax(covered))].append(cue)
    notes += [f"words: {words.source}", *words.notes, *words_after_end(words, speech.duration)]
    if guessed:
        known = ", ".join(sorted({cue.speaker for cue in words.cues if cue.speaker})) or "none"
        notes.append(
            f"{guessed} cue(s) of the transcript name none of {', '.join(names)} (its speakers: {known}); each was "
            "assigned to the speaker who speaks most during it"
        )
    return cues, notes


def _timeline(predicted: Sequence[TimelineSegment], spans: Sequence[Stretch], sources: set[str]) -> list[CallSegment]:
    """The segments of one speaker with their negativity.

    Args:
        predicted: all segments of the speaker's channel.
        spans: the stretches of speech of this speaker.
        sources: receives the sources of valence.
    """
    found: list[CallSegment] = []
    for segment in predicted:
        own = seconds(spans, segment.start, segment.end)
        if not isinstance(segment, SegmentPrediction) or (own < _MIN_SPEECH and not segment.text):
            continue
        values = affect(segment.probs, segment.valence, segment.arousal)
        if values is None:
            continue
        sources.add(values.source)
        found.append(
            CallSegment(
                start=segment.start,
                end=segment.end,
                label=segment.label,
                best=segment.best,
                probs=segment.probs,
                negativity=round(-values.valence, 4),
                text=segment.text,
            )
        )
    return found


def _speaker(name: str, timeline: Sequence[CallSegment], speech: CallSpeech, number: int) -> CallSpeaker:
    """The summary of one speaker.

    Args:
        name: name of the speaker.
        timeline: segments of the speaker.
        speech: the speech of the whole call.
        number: index of the speaker's channel.
    """
    spans, others = speech.spans[number], [s for i, s in enumerate(speech.spans) if i != number]
    spoken, total = seconds(spans), sum(seconds(s) for s in speech.spans)
    separated = len(speech.spans) == 2
    absent = None
    if not spans:
        loudest = speech.loudest[number]
        absent = f"nobody speaks on this channel; its loudest moment is {loudest:.0f} dB of full scale"
    elif not timeline:
        absent = "the model could not read any of the speech on this channel"
    negativity, labels = _averages(timeline) if timeline else (None, {})
    return CallSpeaker(
        speaker=name,
        channel=number if separated else None,
        scored=bool(timeline),
        talk_seconds=round(spoken, 2),
        talk_share=round(spoken / total, 4) if total else None,
        turns=len(spans),
        segments=len(timeline),
        negativity=negativity,
        labels=labels,
        absent=absent,
        interruptions=len(interruptions(spans, others[0])) if separated else None,
    )


def _averages(timeline: Sequence[CallSegment]) -> tuple[float, dict[str, float]]:
    """Mean negativity, weighted by duration, and the share of time for each label, the largest first."""
    length = np.array([s.end - s.start for s in timeline])
    negativity = round(float(length @ np.array([s.negativity for s in timeline]) / length.sum()), 4)
    shares: dict[str, float] = {}
    for segment, share in zip(timeline, length / length.sum(), strict=True):
        if segment.label is not None:
            shares[segment.label] = shares.get(segment.label, 0.0) + float(share)
    return negativity, {label: round(v, 4) for label, v in sorted(shares.items(), key=lambda item: -item[1])}


def _moments(name: str, timeline: Sequence[CallSegment]) -> list[CallMoment]:
    """The moments at which a speaker's negativity rises and stays."""
    values = np.array([s.negativity for s in timeline])
    moments = []
    for shift in shifts(values, level=2 * FALSE_ALARMS, smallest=LASTS):  # half of the false alarms are downward shifts
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
