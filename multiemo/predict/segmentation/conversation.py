"""Reads the words of each segment together with the turns before it, as in training."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

from multiemo.data.dialogue import Dialogue
from multiemo.inputs.base import Input, context_width
from multiemo.inputs.material import ClipMaterial, Utterance
from multiemo.predict.segmentation.stream import Segment
from multiemo.types import Modality


class Conversation:
    """Prepares the text input for the segments of one file, stream or call.

    Every segment with words is a turn. Overlapping windows share words, so the turns before a window are the windows
    that ended before it began.

    Args:
        inputs: {modality: input} of the model.
        overlap: number of windows that contain any one moment; ``SegmentStream.overlap``.
    """

    def __init__(self, inputs: Mapping[Modality, Input], overlap: int = 1) -> None:
        self._words = {m: entry for m, entry in inputs.items() if entry.raw is Utterance}
        width = context_width(inputs)
        self._dialogues = cycle([Dialogue(width) for _ in range(overlap)])

    def read(self, segment: Segment) -> Segment:
        """Add the text input to the next segment and return it; a segment without words stays as it is."""
        dialogue = next(self._dialogues)
        if self._words and segment.text is not None:
            material = ClipMaterial(segment.text, dialogue.turn(segment.speaker, segment.text))
            for m, entry in self._words.items():
                segment.read(m, entry, material)
        return segment


def missing_context_notes(inputs: Mapping[Modality, Input]) -> list[str]:
    """A note for words without a conversation, if the model could read one; else nothing."""
    width = context_width(inputs)
    if not width:
        return []
    return [
        f"the model reads up to {width} earlier turns of a conversation, but these words have none; earlier turns come "
        "from a longer film, a manifest with groups, or a table (multiemo texts --conversation COLUMN)"
    ]
