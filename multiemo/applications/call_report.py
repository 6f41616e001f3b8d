"""The JSON of ``multiemo call``: speakers, their trajectories and moments of escalation."""

from __future__ import annotations

from multiemo.predict.prediction import ModelDescription
from multiemo.records import Record, record


@record
class CallSegment(Record):
    """The prediction for one speaker in one segment of a call.

    Args:
        start: start of the segment, seconds.
        end: end of the segment, seconds.
        label: the label that the model decides for, or "uncertain"; left out for a model without labels.
        best: the label that the model decides for, regardless of the threshold.
        probs: probability of each label.
        negativity: negated valence, -1..1.
        text: words of the segment, if known.
    """

    start: float
    end: float
    label: str | None = None
    best: str | None = None
    probs: dict[str, float] | None = None
    negativity: float
    text: str | None


@record
class CallSpeaker(Record):
    """One speaker of a call, or the whole call if the speakers cannot be separated.

    Args:
        speaker: name of the speaker.
        channel: index of the channel, from 0; null if the speakers are not separated.
        scored: whether the model could predict at least one segment of this speaker.
        talk_seconds: speaking time, seconds.
        talk_share: share of the total speaking time, 0..1; null if nobody speaks.
        turns: number of stretches of speech.
        segments: number of predicted segments.
        negativity: mean negativity, weighted by the duration of the segments, -1..1.
        labels: share of the predicted time for each label, the largest first.
        absent: why the speaker is not scored.
        interruptions: number of times this speaker begins while the other one speaks, who then stops first; null if the
            speakers are not separated.
    """

    speaker: str
    channel: int | None
    scored: bool
    talk_seconds: float
    talk_share: float | None
    turns: int
    segments: int
    negativity: float | None
    labels: dict[str, float]
    absent: str | None = None
    interruptions: int | None


@record
class CallMoment(Record):
    """A lasting rise of a speaker's negativity above their own earlier segments.

    Args:
        time: start of the first segment after the rise, seconds.
        speaker: name of the speaker.
        why: description of the rise.
        before: mean negativity before the rise.
        after: mean negativity after the rise.
        text: words of the first segment after the rise, if known.
    """

    time: float
    speaker: str
    why: str
    before: float
    after: float
    text: str | None


@record
class CallOverlaps(Record):
    """Stretches in which both speakers speak.

    Args:
        count: number of overlaps.
        seconds: total duration, seconds.
    """

    count: int
    seconds: float


@record
class CallSilences(Record):
    """Stretches without speech between the first and the last speech of the call.

    Args:
        count: number of silences.
        seconds: total duration, seconds.
        longest: duration of the longest silence, seconds.
    """

    count: int
    seconds: float
    longest: float


@record
class CallReport(Record):
    """Speakers, their trajectories and moments of escalation in one call.

    Args:
        input: path of the recording.
        duration: duration of the recording, seconds.
        speakers: speakers in order of their channels.
        moments: moments of escalation in order of time.
        timelines: {speaker: segments in order of time}.
        overlaps: stretches in which both speakers speak; null if the speakers are not separated.
        silences: silences of at least two seconds.
        separation: level difference of a voice between its own channel and the other, dB; null unless there are two
            channels and a voice.
        false_alarms: probability of at least one moment for a speaker who does not change.
        values_from: source of valence: a head of the model, or the probabilities of the labels.
        notes: remarks on the recording.
        model: the model that made the predictions.
    """

    input: str
    duration: float
    speakers: list[CallSpeaker]
    moments: list[CallMoment]
    timelines: dict[str, list[CallSegment]]
    overlaps: CallOverlaps | None
    silences: CallSilences
    separation: float | None
    false_alarms: float
    values_from: list[str]
    notes: list[str]
    model: ModelDescription
