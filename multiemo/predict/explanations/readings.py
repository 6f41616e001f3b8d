"""What the transparent rules find in a segment, beside what the model decided."""

from __future__ import annotations

from collections.abc import Sequence

from multiemo.explanation.records import RuleReading
from multiemo.inputs.material import Utterance
from multiemo.predict.explanations.companions import Companions
from multiemo.predict.segmentation.stream import Segment
from multiemo.rules.findings import Findings
from multiemo.rules.label_sets import label_shares
from multiemo.rules.text import read_text
from multiemo.types import Modality


class RuleReader:
    """Reads segments by rules.

    Args:
        labels: labels of the model, or its dimensions.
        task: task of the model.
        language: language of the words; ``None`` if unknown.
        companions: what is known from the other segments of the input.
    """

    def __init__(self, labels: Sequence[str], task: str, language: str | None, companions: Companions) -> None:
        self._labels, self._task, self._language, self._companions = list(labels), task, language, companions

    def read(self, m: Modality, segment: Segment, label: str) -> RuleReading | None:
        """What the rules find in one modality; ``None`` if no rules read this kind of input.

        Args:
            m: the modality.
            segment: the segment, with its raw forms.
            label: the label of the model.
        """
        if self._task == "dimensions":
            return None
        raw = (segment.raw or {}).get(m)
        if isinstance(raw, Utterance):
            return self._reading(m, read_text(raw.text, language=self._language), label)
        return None

    def _reading(self, m: Modality, found: Findings, label: str) -> RuleReading:
        """The findings of one modality in the labels of the model."""
        probs = {name: round(share, 6) for name, share in label_shares(found, self._labels).items()}
        decided = max(probs, key=lambda name: probs[name]) if found.reasons else None
        return RuleReading(
            modality=m,
            label=decided,
            probs=probs,
            reasons=list(found.reasons),
            agrees=None if decided is None else decided == label,
            limits=list(found.limits),
        )


def disagreements(rules: Sequence[RuleReading], label: str) -> list[str]:
    """A sentence for each modality whose rules decide for another label than the model.

    Args:
        rules: what the rules found.
        label: the label of the model.
    """
    found = []
    for reading in rules:
        if reading.agrees is False:
            reasons = "; ".join(reason.rule for reason in reading.reasons[:3])
            found.append(
                f"{reading.modality}: the rules say {reading.label}, the model says {label}, because {reasons}"
            )
    return found
