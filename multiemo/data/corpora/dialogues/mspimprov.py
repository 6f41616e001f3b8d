"""MSP-IMPROV: twelve actors in six sessions of two, improvised and natural turns, four emotions and three dimensions
(Busso et al. 2017, doi:10.1109/TAFFC.2016.2515617).

Layout: ``session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav`` (and ``.avi``): sentence and intended emotion, speaker,
scenario (R read, S and T improvised, P natural), turn. ``Evalution.txt`` (sic) has the label, ratings and votes;
``Human_transcriptions/All_human_transcriptions/MSP-IMPROV-S01A-F01-P-FM01.txt`` the text of a turn.

The ratings range from 1 to 5: valence from negative to positive, dominance from weak to strong, but activation from
active to calm, as its means show: angry 2.76, happy 3.07, sad 3.72, neutral 3.87 (source in docs/data.md).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from multiemo.data.corpora.source import (
    RECORDINGS,
    Skip,
    keep_first,
    nearest,
    not_the_corpus,
    read_text,
    relative,
    unit,
    walk,
)
from multiemo.labels import LABEL_SETS, canonical
from multiemo.registry import corpora
from multiemo.types import Clip

_TURN = r"(?:UTD|MSP)-IMPROV-(S\d\d[A-Z]-([FM]\d\d)-[A-Z]-[A-Z]+\d+)"
_NUMBER = r"(\d+(?:\.\d+)?|NaN)"
#: ``UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.0; V:3.0; D:3.0 ; N:4.0;``: consensus, activation, valence, dominance.
_CONSENSUS = re.compile(rf"{_TURN}\.avi\s*;\s*([A-Z])\s*;\s*A:{_NUMBER}\s*;\s*V:{_NUMBER}\s*;\s*D:{_NUMBER}\s*;.*")
#: ``F0001; Angry; Frustrated; A:...``: an annotator and the primary category.
_VOTE = re.compile(r"([^;]+);\s*([A-Za-z]+)\s*;.*")
_FILE = re.compile(_TURN)
_EMOTIONS = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad"}
#: Codes for another emotion and for no agreement.
_UNDECIDED = ("O", "X")


@dataclass
class _Turn:
    """One turn of the evaluation; ``ratings`` are valence, arousal and dominance in -1..1, or ``None``."""

    speaker: str
    code: str
    ratings: tuple[float | None, float | None, float | None]
    votes: dict[str, str] = field(default_factory=dict)


@corpora.register("mspimprov")
def mspimprov(root: Path, skip: Skip) -> Iterator[Clip]:
    """One clip per turn, labelled with the emotion perceived by most annotators; ``votes`` has their votes.

    A turn without agreement, or of another emotion, is kept for its dimensions, without label and votes.

    Folder:
        ``session1/S01A/P/*.wav``, ``*.avi``, ``Evalution.txt``, transcriptions where present; valence, arousal,
        dominance, votes

    Labels:
        ``mspimprov4``

    Split:
        by session

    Args:
        root: the folder with ``Evalution.txt`` (or ``Evaluation.txt``) and, at any depth, the wav and avi files and
            the transcriptions.
        skip: called for every file and turn that is left out.

    Yields:
        Clips with id ``MSP-IMPROV-S01A-F01-P-FM01``, speaker ``F01``, group ``session1``, label set ``mspimprov4``;
        valence, arousal and dominance in -1..1, from little to much; arousal is the inverted activation.

    Raises:
        ManifestError: the evaluation is missing or has no turns.
    """
    table = nearest(root, "Evalution.txt", "Evaluation.txt")
    turns = _turns(table, skip) if table is not None else {}
    if not turns:
        raise not_the_corpus(
            "mspimprov", root, "Evalution.txt with lines like UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:3.0;"
        )
    media, words = _find_media(root, turns, skip), _words(root)
    for name, turn in turns.items():
        if name not in media and name not in words:
            skip(f"MSP-IMPROV-{name}", "has neither a media file nor a transcription")
            continue
        files = media.get(name, {})
        valence, arousal, dominance = turn.ratings
        label = _EMOTIONS.get(turn.code)
        votes = Counter(vote for vote in turn.votes.values() if vote in LABEL_SETS["mspimprov4"])
        yield Clip(
            id=f"MSP-IMPROV-{name}",
            corpus="mspimprov",
            speaker=turn.speaker,
            group=f"session{int(turn.speaker[1:])}",
            language="en",
            text=words.get(name),
            audio=files.get("audio"),
            video=files.get("video"),
            label_set="mspimprov4",
            label=label,
            votes=dict(votes) if label is not None and votes else None,
            valence=valence,
            arousal=arousal,
            dominance=dominance,
        )


def _turns(table: Path, skip: Skip) -> dict[str, _Turn]:
    """Return {name of the turn: turn} in the order of the file; votes follow their turn, some of them twice."""
    found: dict[str, _Turn] = {}
    turn: _Turn | None = None
    for number, line in enumerate(read_text(table).splitlines(), start=1):
        if match := _CONSENSUS.fullmatch(line.strip()):
            name, speaker, code, activation, valence, dominance = match.groups()
            turn = _Turn(speaker, code, (_rating(valence, 1, 5), _rating(activation, 5, 1), _rating(dominance, 1, 5)))
            if code in _EMOTIONS or code in _UNDECIDED:
                found[name] = turn
            else:
                skip(f"{table.name} line {number}", f"label {code!r} of {name} is not one of A, H, N, S, O, X")
        elif turn is not None and (match := _VOTE.fullmatch(line.strip())):
            turn.votes[match[1].strip()] = canonical(match[2])
    return found


def _rating(value: str, low: float, high: float) -> float | None:
    return None if value == "NaN" else unit(float(value), low, high)


def _words(root: Path) -> dict[str, str]:
    """Return {turn: text} from the files named after turns."""
    found = ((_FILE.fullmatch(path.stem), path) for path in walk(root, (".txt",)))
    texts = {match[1]: " ".join(read_text(path).split()) for match, path in found if match is not None}
    return {name: text for name, text in texts.items() if text}


def _find_media(root: Path, turns: dict[str, _Turn], skip: Skip) -> dict[str, dict[str, str]]:
    """{turn: {"audio" | "video": path}}."""
    found: dict[str, dict[str, str]] = {}
    for path in walk(root, RECORDINGS):
        name, kind = relative(path, root), RECORDINGS[path.suffix.lower()]
        match = _FILE.fullmatch(path.stem)
        if match is None or match[1] not in turns:
            skip(name, "does not belong to a turn in the evaluation")
        else:
            keep_first(found.setdefault(match[1], {}), kind, name, skip)
    return found
