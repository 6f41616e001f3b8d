"""A lexicon in memory: words with their emotions, valence and arousal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

#: Arousal from which an unpleasant word counts as aroused or calm.
_CLEAR_AROUSAL = 0.2


@dataclass(frozen=True, slots=True)
class Entry:
    """What a lexicon says about one word.

    Args:
        word: the word, normalised as :func:`multiemo.rules.cleaning.clean` does.
        emotions: {emotion of :data:`multiemo.rules.findings.EMOTIONS`: strength, above 0, 1 for a clear word}.
        valence: -1..1; ``None`` if the lexicon does not rate it.
        arousal: -1..1; ``None`` if the lexicon does not rate it.
        source: name of the lexicon.
    """

    word: str
    emotions: Mapping[str, float] = field(default_factory=dict)
    valence: float | None = None
    arousal: float | None = None
    source: str = ""

    def over(self, other: Entry | None) -> Entry:
        """This entry, with what it does not know taken from another entry of the same word."""
        if other is None:
            return self
        return replace(
            self,
            emotions=self.emotions or other.emotions,
            valence=other.valence if self.valence is None else self.valence,
            arousal=other.arousal if self.arousal is None else self.arousal,
        )


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words with their emotions.

    Args:
        name: name of the list, as reasons cite it.
        entries: {word: entry}.
        longest: number of characters of the longest word.
    """

    name: str
    entries: Mapping[str, Entry]
    longest: int

    @classmethod
    def of(cls, name: str, entries: Iterable[Entry]) -> Lexicon:
        """A lexicon of entries; a word listed more than once has the emotions of all its entries."""
        found: dict[str, Entry] = {}
        for entry in entries:
            known = found.get(entry.word)
            if known is not None:
                strongest = {
                    emotion: max(known.emotions.get(emotion, 0.0), entry.emotions.get(emotion, 0.0))
                    for emotion in (*known.emotions, *entry.emotions)
                }
                entry = replace(entry, emotions=strongest).over(known)
            found[entry.word] = entry
        return cls(name, found, max(map(len, found), default=0))


def spread(valence: float, arousal: float | None = None) -> dict[str, float]:
    """{emotion: strength} for a word of which only valence, and perhaps arousal, are known.

    Pleasant words count as happy. Unpleasant ones are divided: without arousal over sadness, anger and disgust; with
    high arousal over anger, fear and disgust; with low arousal mostly to sadness.

    Example:
        >>> spread(0.5), spread(-0.5, -0.4)
        ({'happy': 0.5}, {'sad': 0.4, 'disgusted': 0.1})
    """
    if valence >= 0:
        return {"happy": valence} if valence else {}
    if arousal is None or abs(arousal) < _CLEAR_AROUSAL:
        shares = {"sad": 0.4, "angry": 0.4, "disgusted": 0.2}
    elif arousal > 0:
        shares = {"angry": 0.5, "fearful": 0.3, "disgusted": 0.2}
    else:
        shares = {"sad": 0.8, "disgusted": 0.2}
    return {emotion: -valence * share for emotion, share in shares.items()}
