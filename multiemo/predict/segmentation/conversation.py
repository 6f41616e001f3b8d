"""Words of the segments of one conversation, each read with the turns before it, as in training."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

from multiemo.data.dialogue import Dialogue
from multiemo.inputs.base import Input, context_width
from multiemo.inputs.material import ClipMaterial, Utterance
from multiemo.predict.segmentation.stream import Segment
from multiemo.types import Modality


class Conversation:
    """What the text encoder reads of the segments of one file, stream or call.

    Every segment is a turn. Windows that overlap share words, so the turns before a window are windows that ended
    before it began.

    Args:
        inputs: {modality: input} of the model.
        overlap: windows in which a moment lies; ``SegmentStream.overlap``.
    """

    def __init__(self, inputs: Mapping[Modality, Input], overlap: int = 1) -> None:
        self._words = {m: entry for m, entry in inputs.items() if entry.raw is Utterance}
        width = context_width(inputs)
        self._dialogues = cycle([Dialogue(width) for _ in range(overlap)])

    def read(self, segment: Segment) -> Segment:
        """The next segment, with what its words are to the model; those without words pass as they are."""
        dialogue = next(self._dialogues)
        if self._words and segment.text is not None:
            material = ClipMaterial(segment.text, dialogue.turn(segment.speaker, segment.text))
            for m, entry in self._words.items():
                segment.put(m, entry.read(material))
        return segment


def alone(inputs: Mapping[Modality, Input]) -> list[str]:
    """What to say of words without a conversation where the model could read one."""
    width = context_width(inputs)
    if not width:
        return []
    return [
        f"the model reads up to {width} earlier turns of a conversation, and these words stood alone; they have turns "
        "before them in a longer film, in a manifest with groups, or in a table (multiemo texts --conversation COLUMN)"
    ]
