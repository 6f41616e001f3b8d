"""IEMOCAP: ten actors in five sessions of two, scripted and improvised dialogues, nine emotions and three dimensions
(Busso et al. 2008, doi:10.1007/s10579-008-9076-6).

Layout of a session: ``Session1/dialog/EmoEvaluation/Ses01F_impro01.txt`` (times, label, ratings and votes per turn),
``dialog/transcriptions/``, ``dialog/avi/DivX/``, ``dialog/wav/``, and
``sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav``.
In the name of a turn, ``Ses01F`` is the actor with the motion-capture markers, and ``_F000`` the speaker.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from multiemo.data.corpora.source import Skip, not_the_corpus, read_text, relative, unit
from multiemo.labels import LABEL_SETS, canonical, map_label
from multiemo.registry import corpora
from multiemo.types import Clip

_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
#: ``[start - end] TURN emotion [valence, activation, dominance]``
_TURN = re.compile(
    rf"\[{_NUMBER}-{_NUMBER}\]\s+((Ses\d\d)[FM]_\w+_([FM])\w+)\s+(\w+)\s+\[{_NUMBER},{_NUMBER},{_NUMBER}\]"
)
#: ``C-E2: Neutral; Anger; (comment)``: the categories of one external annotator. C-F and C-M are the actors themselves.
_VOTE = re.compile(r"C-E\d+:\s*(.*?)\s*(?:\(.*)?")
_SPOKEN = re.compile(r"(Ses\d\d[FM]_\w+)\s+\[[\d.]+-[\d.]+\]:\s*(.*)")
#: ``[LAUGHTER]`` and similar tags are not words.
_NOISE = re.compile(r"\[\w+\]")
_FULL = "iemocap9"
#: Codes for no majority, and for a majority for another emotion.
_UNDECIDED = ("xxx", "oth")
_OF_VOTES = {"neutral state": "neutral"}


@dataclass
class _Turn:
    """One turn of a label file; ``ratings`` are valence, activation and dominance on 1..5."""

    start: float
    end: float
    session: str
    sex: str
    code: str
    ratings: tuple[float, float, float]
    votes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Options:
    """The options of the adapter."""

    label_set: str
    merge_excited: bool
    group: str
    video: bool

    def map_label(self, label: str) -> str | None:
        """Map one of the nine labels to the requested label set."""
        if label == "excited" and not self.merge_excited and label not in LABEL_SETS[self.label_set]:
            return None
        return map_label(label, _FULL, self.label_set)


@corpora.register("iemocap")
def iemocap(
    root: Path,
    skip: Skip,
    *,
    label_set: Literal["iemocap9", "iemocap6", "iemocap4"] = "iemocap9",
    merge_excited: bool = True,
    group: Literal["session", "dialogue"] = "session",
    video: bool = False,
) -> Iterator[Clip]:
    """One clip per turn, dialogue by dialogue, in spoken order.

    The label is the majority of the external annotators; ``votes`` has their votes. With all nine categories a turn
    without a majority is kept for its text and dimensions, without label and votes. With six or four classes only the
    turns of those classes are included.

    Folder:
        ``Session1`` ... ``Session5``; valence, arousal, dominance; ``label_set=iemocap4`` (with
        ``merge_excited=false`` without excited turns) or ``iemocap6``; ``group=dialogue`` for text with context;
        ``video=true`` for the videos of the dialogues, which show both actors

    Labels:
        ``iemocap9``, ``iemocap6``, ``iemocap4``

    Split:
        by session

    Args:
        root: the folder with ``Session1`` ... ``Session5``.
        skip: called for every turn that is left out; turns of other classes are counted per label.
        label_set: all nine categories, or the six or four classes commonly reported.
        merge_excited: with four classes, count excited turns as happy; false leaves them out.
        group: ``session`` (each has its own two actors), or ``dialogue``, as needed by text encoders with context.
        video: use the video of the dialogue with the times of the turn. It shows both actors side by side, so a
            detected face may be that of the listener. Without it a clip has the WAV of the sentence and no face.

    Yields:
        Clips with id ``Ses01F_impro01_F000``, speaker ``Ses01_F``, group ``Ses01`` or ``Ses01F_impro01``; valence,
        arousal and dominance are rescaled from 1..5 to -1..1.

    Raises:
        ManifestError: there are no label files.
    """
    tables = sorted(path for path in root.glob("Session*/dialog/EmoEvaluation/Ses*.txt") if path.is_file())
    if not tables:
        raise not_the_corpus("iemocap", root, "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt")
    options = _Options(label_set, merge_excited, group, video)
    left_out: Counter[str] = Counter()
    for table in tables:
        yield from _dialogue(table, root, options, left_out, skip)
    for reason, count in sorted(left_out.items()):
        skip(str(root), f"{count} turns {reason} are left out of {label_set}")
    videos = sum(_dialogue_video(table).is_file() for table in tables)
    if videos and not video:
        skip(str(root), f"{videos} videos of two people side by side are not used; the option video=true includes them")


def _dialogue(table: Path, root: Path, options: _Options, left_out: Counter[str], skip: Skip) -> Iterator[Clip]:
    """Yield the clips of one dialogue; turns of other classes are counted in ``left_out``."""
    words = _words(table.parents[1] / "transcriptions" / table.name)
    turns = _turns(table)
    if not turns:
        skip(relative(table, root), "has no turns ([start - end] name label [ratings])")
    for name, turn in sorted(turns.items(), key=lambda entry: (entry[1].start, entry[0])):
        label = None if turn.code in _UNDECIDED else canonical(turn.code)
        mapped = None if label is None else options.map_label(label)
        media = _media(table, name, turn, root, options)
        if label is not None and label not in LABEL_SETS[_FULL]:
            skip(f"{table.name} {name}", f"label {turn.code!r} is not one of IEMOCAP")
        elif mapped is None and (label is not None or options.label_set != _FULL):
            left_out["without a majority" if label is None else f"labelled {label}"] += 1
        elif not media and name not in words:
            skip(f"{table.name} {name}", "has neither a wav nor a transcription")
        else:
            yield _clip(name, turn, mapped, words.get(name), media, table.stem, options)


def _clip(
    name: str, turn: _Turn, label: str | None, text: str | None, media: dict[str, Any], dialogue: str, options: _Options
) -> Clip:
    votes: Counter[str] = Counter()
    for voted, count in turn.votes.items():
        mapped = options.map_label(voted)
        if mapped is not None:
            votes[mapped] += count
    valence, arousal, dominance = (unit(rating, 1, 5) for rating in turn.ratings)
    return Clip(
        id=name,
        corpus="iemocap",
        speaker=f"{turn.session}_{turn.sex}",
        group=turn.session if options.group == "session" else dialogue,
        language="en",
        text=text,
        label_set=options.label_set,
        label=label,
        votes=dict(votes) if label is not None and votes else None,
        valence=valence,
        arousal=arousal,
        dominance=dominance,
        attributes={"sex": {"F": "female", "M": "male"}[turn.sex]},
        **media,
    )


def _dialogue_video(table: Path) -> Path:
    """Return the path of the video of a dialogue."""
    return table.parents[1] / "avi" / "DivX" / f"{table.stem}.avi"


def _media(table: Path, name: str, turn: _Turn, root: Path, options: _Options) -> dict[str, Any]:
    """Return the media fields of a clip: video and audio of the dialogue and the span, or the WAV of the sentence."""
    video = _dialogue_video(table)
    if options.video and video.is_file():
        sound = table.parents[1] / "wav" / f"{table.stem}.wav"
        return {
            "audio": relative(sound if sound.is_file() else video, root),
            "video": relative(video, root),
            "start": turn.start,
            "end": turn.end,
        }
    voice = table.parents[2] / "sentences" / "wav" / table.stem / f"{name}.wav"
    return {"audio": relative(voice, root)} if voice.is_file() else {}


def _turns(table: Path) -> dict[str, _Turn]:
    """Return {name of the turn: turn} of a label file; the votes on a turn follow its line."""
    found: dict[str, _Turn] = {}
    turn: _Turn | None = None
    for line in map(str.strip, read_text(table).splitlines()):
        if match := _TURN.fullmatch(line):
            start, end, name, session, sex, code, *ratings = match.groups()
            valence, activation, dominance = map(float, ratings)
            turn = _Turn(float(start), float(end), session, sex, code, (valence, activation, dominance))
            found[name] = turn
        elif turn is not None and (match := _VOTE.fullmatch(line)):
            given = [word.strip().lower() for word in match[1].split(";")]
            turn.votes.update(canonical(_OF_VOTES.get(word, word)) for word in given if word)
    for turn in found.values():
        turn.votes = Counter({label: n for label, n in turn.votes.items() if label in LABEL_SETS[_FULL]})
    return found


def _words(path: Path) -> dict[str, str]:
    """Return {turn: text}."""
    if not path.is_file():
        return {}
    lines = (_SPOKEN.fullmatch(line.strip()) for line in read_text(path).splitlines())
    texts = {match[1]: " ".join(_NOISE.sub(" ", match[2]).split()) for match in lines if match is not None}
    return {name: text for name, text in texts.items() if text}
