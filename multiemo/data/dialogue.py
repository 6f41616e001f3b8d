"""Which earlier turns of a conversation a text encoder reads: one rule for training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Sequence

from multiemo.types import Clip, ContextTurn


class Dialogue:
    """The last turns of one conversation, and no more.

    A turn without words is none: a pause, a nod, or a row whose words nobody wrote down takes nobody's place. Turns
    whose speakers are not known are the same speaker's.

    Args:
        width: turns that the model reads (``Input.earlier_turns`` of its words).

    Example:
        >>> dialogue = Dialogue(2)
        >>> dialogue.turn("Ann", "Hello."), dialogue.turn("Ann", None), dialogue.turn("Bob", "Oh!")
        ([], [(True, 'Hello.')], [(False, 'Hello.')])
        >>> dialogue.turn("Ann", "What?")
        [(True, 'Hello.'), (False, 'Oh!')]
    """

    __slots__ = ("_said", "_width")

    def __init__(self, width: int) -> None:
        self._width = width
        self._said: list[tuple[str | None, str]] = []

    def turn(self, speaker: str | None, text: str | None) -> list[ContextTurn]:
        """What stands before the next turn as (same speaker, text), oldest first; from now on that turn does too."""
        before = [(who == speaker, said) for who, said in self._said]
        if self._width and text and not text.isspace():
            self._said = [*self._said, (speaker, text)][-self._width :]
        return before


def contexts(rows: Sequence[Clip], width: int) -> dict[str, list[ContextTurn]]:
    """{clip id: its context} of the rows of a manifest; a ``group`` of a corpus is a conversation, in row order."""
    dialogues: dict[str, Dialogue] = {}
    found: dict[str, list[ContextTurn]] = {}
    for clip in rows if width else ():
        if clip.group is not None:
            dialogue = dialogues.setdefault(f"{clip.corpus}:{clip.group}", Dialogue(width))
            found[clip.id] = dialogue.turn(clip.speaker, clip.text)
    return found


def without_context(rows: Sequence[Clip], width: int) -> str | None:
    """What a reader must know where a model wants earlier turns that rows with words do not have; else ``None``.

    Example:
        >>> without_context([Clip(id="a", corpus="x", text="Hello.")], 3)
        'earlier turns of a conversation are wanted (context: 3), and none of 1 rows with words says its group'
    """
    spoken = [clip for clip in rows if clip.text] if width else []
    grouped = sum(clip.group is not None for clip in spoken)
    if not spoken or (grouped == len(spoken) and any(contexts(rows, width).values())):
        return None
    if grouped == len(spoken):
        what = f"every group of the {len(spoken)} rows with words is one row"
    else:
        what = f"{f'only {grouped}' if grouped else 'none'} of {len(spoken)} rows with words says its group"
    return f"earlier turns of a conversation are wanted (context: {width}), and {what}"
