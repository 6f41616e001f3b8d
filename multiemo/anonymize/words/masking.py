"""Replace what was found in a text by its kind in brackets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from multiemo.anonymize.settings import WordMethod
from multiemo.anonymize.words.patterns import Span, find_words
from multiemo.transcripts import Cue, Transcript


class Masker:
    """Masks texts and counts what was masked.

    Args:
        method: ``mask`` by patterns, ``presidio`` by patterns and presidio, ``keep`` for unchanged texts.

    Attributes:
        counts: {kind of word: number masked so far}.

    Raises:
        ConfigError: presidio is not installed, or has no language model.

    Example:
        >>> masker = Masker("mask")
        >>> masker.mask("Please tell Rachel that I paid $50.")
        'Please tell [NAME] that I paid $[NUMBER].'
        >>> dict(masker.counts)
        {'NAME': 1, 'NUMBER': 1}
    """

    def __init__(self, method: WordMethod) -> None:
        self.counts: Counter[str] = Counter()
        self._find: Callable[[str], list[Span]] = find_words
        self.keeps = method == "keep"
        if method == "presidio":
            from multiemo.anonymize.words.presidio import PresidioFinder

            self._find = PresidioFinder().find

    def mask(self, text: str) -> str:
        """Mask one text; a text without anything to mask is returned unchanged."""
        return self._masked([text])[0]

    def mask_transcript(self, transcript: Transcript) -> Transcript:
        """Mask the words of a transcript and number its speakers. Names that span several cues are found.

        The mask stands in the cue in which the name begins. Cues without other words are dropped.
        """
        if self.keeps:
            return transcript
        cues = transcript.cues
        gaps = [f"{'' if cue.joined or not number else ' '}{cue.text}" for number, cue in enumerate(cues)]
        speakers = {
            name: f"speaker {n}" for n, name in enumerate(dict.fromkeys(c.speaker for c in cues if c.speaker), 1)
        }
        made: list[Cue] = []
        for cue, text in zip(cues, self._masked(gaps), strict=True):
            if text.strip():
                name = None if cue.speaker is None else speakers[cue.speaker]
                made.append(replace(cue, text=text.strip(), speaker=name))
        return replace(transcript, cues=tuple(made))

    def _masked(self, parts: Sequence[str]) -> list[str]:
        """Mask consecutive parts of one text."""
        if self.keeps:
            return list(parts)
        text = "".join(parts)
        spans = self._find(text)
        self.counts.update(kind for _, _, kind in spans)
        made: list[str] = []
        begin = next_span = 0
        for part in parts:
            end, at, pieces = begin + len(part), begin, []
            while next_span < len(spans) and spans[next_span][0] < end:
                low, high, kind = spans[next_span]
                pieces.append(text[at : max(low, at)])
                if low >= begin:
                    pieces.append(f"[{kind}]")
                at = min(high, end)
                if high > end:
                    break
                next_span += 1
            pieces.append(text[at:end])
            made.append("".join(pieces))
            begin = end
        return made
