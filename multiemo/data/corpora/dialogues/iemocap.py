"""IEMOCAP: ten actors in five sessions of two, scripted and improvised dialogues, nine emotions and three dimensions
(Busso et al. 2008, doi:10.1007/s10579-008-9076-6).

Layout of a session: ``Session1/dialog/EmoEvaluation/Ses01F_impro01.txt`` (times, label, ratings and votes a turn),
``dialog/transcriptions/``, ``dialog/avi/DivX/``, ``dialog/wav/``, and
``sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav``.
In a turn's name ``Ses01F`` says who wears the motion-capture markers, and ``_F000`` who speaks.
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
#: ``C-E2: Neutral; Anger; (comment)``: the categories of one outside annotator. C-F and C-M are the actors themselves.
_VOTE = re.compile(r"C-E\d+:\s*(.*?)\s*(?:\(.*)?")
_SPOKEN = re.compile(r"(Ses\d\d[FM]_\w+)\s+\[[\d.]+-[\d.]+\]:\s*(.*)")
#: ``[LAUGHTER]`` and the like are no words.
_NOISE = re.compile(r"\[\w+\]")
_FULL = "iemocap9"
#: No majority, or one for none of the nine.
_UNDECIDED = ("xxx", "oth")
_OF_VOTES = {"neutral state": "neutral"}


@dataclass
class _Turn:
    """What a label file says of one turn; ``ratings`` are valence, activation, dominance on 1..5."""

    start: float
    end: float
    session: str
    sex: str
    code: str
    ratings: tuple[float, float, float]
    votes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Wish:
    """The options of the adapter."""

    label_set: str
    merge_excited: bool
    group: str
    video: bool

    def place(self, label: str) -> str | None:
        """A label of the nine in the wished set."""
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
    """One clip a turn, dialogue by dialogue and within it in the order spoken.

    The label is the majority of the outside annotators, whose votes are in ``votes``. With all nine categories a turn
    without a majority stays, without label and votes, for its words and dimensions; with six or four only the turns of
    those classes are taken.

    Folder:
        ``Session1`` ... ``Session5``; valence, arousal, dominance; ``label_set=iemocap4`` (with
        ``merge_excited=false`` without excited turns) or ``iemocap6``; ``group=dialogue`` for text with context;
        ``video=true`` for the dialogues' videos, which show both actors

    Labels:
        ``iemocap9``, ``iemocap6``, ``iemocap4``

    Split:
        by session

    Args:
        root: the folder with ``Session1`` ... ``Session5``.
        skip: told of every turn that is left out; turns of other classes are counted a label.
        label_set: all nine categories, or the six or four classes that the field reports on.
        merge_excited: with four classes, excited turns count as happy; false leaves them out.
        group: ``session`` (two actors who are in no other), or ``dialogue``, which text encoders with context go by.
        video: take the video of the dialogue with the turn's times. Both actors are in the picture, side by side, so a
            face that is found may be the listener's. Without it a clip has the wav of the sentence and no face.

    Yields:
        Clips with id ``Ses01F_impro01_F000``, speaker ``Ses01_F``, group ``Ses01`` or ``Ses01F_impro01``; valence,
        arousal and dominance are brought from 1..5 to -1..1.

    Raises:
        ManifestError: there are no label files.
    """
    tables = sorted(path for path in root.glob("Session*/dialog/EmoEvaluation/Ses*.txt") if path.is_file())
    if not tables:
        raise not_the_corpus("iemocap", root, "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt")
    wish = _Wish(label_set, merge_excited, group, video)
    left: Counter[str] = Counter()
    for table in tables:
        yield from _dialogue(table, root, wish, left, skip)
    for reason, count in sorted(left.items()):
        skip(str(root), f"{count} turns {reason}, left out of {label_set}")
    films = sum(_film(table).is_file() for table in tables)
    if films and not video:
        skip(str(root), f"{films} videos of two people side by side; the option video=true takes them in")


def _dialogue(table: Path, root: Path, wish: _Wish, left: Counter[str], skip: Skip) -> Iterator[Clip]:
    """The clips of one dialogue; turns of other classes are counted in ``left``."""
    words = _words(table.parents[1] / "transcriptions" / table.name)
    turns = _turns(table)
    if not turns:
        skip(relative(table, root), "holds no turn ([start - end] name label [ratings])")
    for name, turn in sorted(turns.items(), key=lambda entry: (entry[1].start, entry[0])):
        label = None if turn.code in _UNDECIDED else canonical(turn.code)
        placed = None if label is None else wish.place(label)
        media = _media(table, name, turn, root, wish)
        if label is not None and label not in LABEL_SETS[_FULL]:
            skip(f"{table.name} {name}", f"label {turn.code!r} is not one of IEMOCAP")
        elif placed is None and (label is not None or wish.label_set != _FULL):
            left["without a majority" if label is None else f"labelled {label}"] += 1
        elif not media and name not in words:
            skip(f"{table.name} {name}", "has neither a wav nor a transcription")
        else:
            yield _clip(name, turn, placed, words.get(name), media, table.stem, wish)


def _clip(
    name: str, turn: _Turn, label: str | None, text: str | None, media: dict[str, Any], dialogue: str, wish: _Wish
) -> Clip:
    votes: Counter[str] = Counter()
    for voted, count in turn.votes.items():
        place = wish.place(voted)
        if place is not None:
            votes[place] += count
    valence, arousal, dominance = (unit(rating, 1, 5) for rating in turn.ratings)
    return Clip(
        id=name,
        corpus="iemocap",
        speaker=f"{turn.session}_{turn.sex}",
        group=turn.session if wish.group == "session" else dialogue,
        language="en",
        text=text,
        label_set=wish.label_set,
        label=label,
        votes=dict(votes) if label is not None and votes else None,
        valence=valence,
        arousal=arousal,
        dominance=dominance,
        **media,
    )


def _film(table: Path) -> Path:
    """The video of a label file's dialogue."""
    return table.parents[1] / "avi" / "DivX" / f"{table.stem}.avi"


def _media(table: Path, name: str, turn: _Turn, root: Path, wish: _Wish) -> dict[str, Any]:
    """Fields of the clip: the dialogue's video (with its wav, if there) and the span; or the sentence's wav."""
    film = _film(table)
    if wish.video and film.is_file():
        sound = table.parents[1] / "wav" / f"{table.stem}.wav"
        return {
            "audio": relative(sound if sound.is_file() else film, root),
            "video": relative(film, root),
            "start": turn.start,
            "end": turn.end,
        }
    voice = table.parents[2] / "sentences" / "wav" / table.stem / f"{name}.wav"
    return {"audio": relative(voice, root)} if voice.is_file() else {}


def _turns(table: Path) -> dict[str, _Turn]:
    """{turn: what the label file says of it}; the votes on a turn follow its line."""
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
    """{turn: what is said}."""
    if not path.is_file():
        return {}
    lines = (_SPOKEN.fullmatch(line.strip()) for line in read_text(path).splitlines())
    said = {match[1]: " ".join(_NOISE.sub(" ", match[2]).split()) for match in lines if match is not None}
    return {name: text for name, text in said.items() if text}
