"""Rules for text."""

from __future__ import annotations

from multiemo.rules.findings import Findings, RuleReason
from multiemo.rules.lexicon.words import Lexicon


def read_text(text: str, *, language: str | None = None, lexicon: Lexicon | None = None) -> Findings:
    """What the rules find in a text."""
    at = text.find("happy")
    if at < 0:
        return Findings({})
    reason = RuleReason(rule="'happy'", part="happy", effect={"happy": 1.0}, source="stub", first=at, last=at + 5)
    return Findings({"happy": 1.0}, valence=0.6, arousal=0.3, reasons=[reason])
