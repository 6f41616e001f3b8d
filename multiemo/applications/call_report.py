"""The JSON of ``multiemo call``: speakers, their trajectories and moments of escalation."""

from __future__ import annotations

from multiemo.predict.prediction import ModelDescription
from multiemo.records import Record, record


@record
class CallSegment(Record):
    """What one speaker says in one segment of a call.

    Args:
        start, end: seconds.
        label: the label that is decided for, or "uncertain"; left out with a model without labels.
        best: the label that is decided for, whether or not it is certain enough to be given.
        probs: probability of each label.
        negativity: valence with the sign turned, -1..1.
        text: what is said, where it is known.
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
    """One speaker of a call, or the call as a whole where the speakers cannot be told apart.

    Args:
        speaker: name.
        channel: from 0; null where the speakers are not told apart.
        scored: whether the model could read anything of what they say.
        talk_seconds: how long they speak.
        talk_share: share of the time in which somebody speaks, 0..1; null where nobody does.
        turns: how many times they speak.
        segments: how many segments were read.
        negativity: mean over the time of their segments, -1..1.
        labels: share of that time for each label, the largest first.
        absent: why they are not scored.
        interruptions: how many times they begin while the other speaks and the other stops first; null where the
            speakers are not told apart.
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
    """Where a speaker's negativity rises above their own earlier segments and stays.

    Args:
        time: seconds; where the first segment after the rise begins.
        speaker: whose.
        why: the rise in words.
        before, after: mean negativity on the two sides.
        text: what is said there, where it is known.
    """

    time: float
    speaker: str
    why: str
    before: float
    after: float
    text: str | None


@record
class CallOverlaps(Record):
    """Where both speakers speak at once.

    Args:
        count: how many times.
        seconds: how long in all.
    """

    count: int
    seconds: float


@record
class CallSilences(Record):
    """Where nobody speaks between the first word and the last.

    Args:
        count: how many times.
        seconds: how long in all.
        longest: seconds.
    """

    count: int
    seconds: float
    longest: float


@record
class CallReport(Record):
    """Speakers, their trajectories and moments of escalation in one call.

    Args:
        input: path.
        duration: seconds.
        speakers: in order of the channels.
        moments: in order of time.
        timelines: {speaker: segments in order of time}.
        overlaps: null where the speakers are not told apart.
        silences: of at least two seconds.
        separation: dB by which a voice is louder on its own channel; null without two channels and a voice.
        false_alarms: chance of one or more moments for a speaker who does not change.
        values_from: where valence comes from: a head of the model, or the probabilities of labels.
        notes: what the user may want to know.
        model: which model.
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
