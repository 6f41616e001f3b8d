"""Text by rules: an emotion lexicon, negation, degree and but-clauses, without training."""

from __future__ import annotations

from multiemo.encoders.common.rule_branch import RuleEncoder
from multiemo.registry import encoders
from multiemo.types import TextRulesSpec


@encoders.register("text_rules", modality="text")
class TextRulesEncoder(RuleEncoder):
    """What the rules of :mod:`multiemo.rules.text` find in an utterance, with a head of their own.

    Args:
        lexicon: file or folder of an academic lexicon (DUTIR, HowNet, CVAW, NRC EmoLex, or VADER's format), added to
            the built-in lists; empty for none.
        language: ISO 639-1 code of the language of all texts; empty takes it from the rows, or from the script.
    """

    modality = "text"
    input_kind = "text_rules"

    def __init__(self, *, lexicon: str = "", language: str = "") -> None:
        super().__init__()
        self.input_spec = TextRulesSpec(lexicon=lexicon, language=language)
