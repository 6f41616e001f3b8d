"""Select the earlier turns that a text encoder reads as context, in training, evaluation and prediction alike."""

from __future__ import annotations

from collections.abc import Sequence

from multiemo.types import Clip, ContextTurn


class Dialogue:
    """The last turns of one conversation.

    Turns without text are ignored: a pause, a nod or a row without transcript takes no place in the context. Turns of
    unknown speakers count as turns of the same speaker.

    Args:
        width: number of earlier turns that the model reads (``Input.earlier_turns`` of its text input).

    Example:
        >>> dialogue = Dialogue(2)
        >>> dialogue.turn("Ann", "Hello."), dialogue.turn("Ann", None), dialogue.turn("Bob", "Oh!")
        ([], [(True, 'Hello.')], [(False, 'Hello.')])
        >>> dialogue.turn("Ann", "What?")
        [(True, 'Hello.'), (False, 'Oh!')]
    """

    __slots__ = ("_turns", "_width")

    def __init__(self, width: int) -> None:
        self._width = width
        self._turns: list[tuple[str | None, str]] = []

    def turn(self, speaker: str | None, text: str | None) -> list[ContextTurn]:
        """Add a turn and return its context: the turns before it as (same speaker, text), oldest first."""
        context = [(earlier_speaker == speaker, words) for earlier_speaker, words in self._turns]
        if self._width and text and not text.isspace():
            self._turns = [*self._turns, (speaker, text)][-self._width :]
        return context


def contexts(rows: Sequence[Clip], width: int) -> dict[str, list[ContextTurn]]:
    """Return {clip id: context} for the rows of a manifest; a ``group`` of a corpus is a conversation in row order."""
    dialogues: dict[str, Dialogue] = {}
    found: dict[str, list[ContextTurn]] = {}
    for clip in rows if width else ():
        if clip.group is not None:
            dialogue = dialogues.setdefault(f"{clip.corpus}:{clip.group}", Dialogue(width))
            found[clip.id] = dialogue.turn(clip.speaker, clip.text)
    return found


def without_context(rows: Sequence[Clip], width: int) -> str | None:
    """Return a warning if a model reads earlier turns that the rows with text do not have, else ``None``.

    Args:
        rows: rows of a manifest.
        width: number of earlier turns that the model reads.

    Example:
        >>> without_context([Clip(id="a", corpus="x", text="Hello.")], 3)
        'the model reads earlier turns of a conversation (context: 3), but none of 1 rows with text has a group'
    """
    spoken = [clip for clip in rows if clip.text] if width else []
    grouped = sum(clip.group is not None for clip in spoken)
    if not spoken or (grouped == len(spoken) and any(contexts(rows, width).values())):
        return None
    if grouped == len(spoken):
        reason = f"every group of the {len(spoken)} rows with text has only one row"
    else:
        reason = f"{f'only {grouped}' if grouped else 'none'} of {len(spoken)} rows with text has a group"
    return f"the model reads earlier turns of a conversation (context: {width}), but {reason}"
