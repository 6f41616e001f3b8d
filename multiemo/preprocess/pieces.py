"""One interface to both kinds of tokenizer: ours, trained on the training texts, and those of pretrained models."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from tokenizers import Tokenizer

from multiemo.encryption import write_sealed
from multiemo.types import TEXT_SPECIALS

_PAD, _UNK, _CLS, _SEP, _MASK, _SELF, _OTHER = range(len(TEXT_SPECIALS))


class Pieces(Protocol):
    """The operations of a tokenizer that the layout of a sequence needs.

    Attributes:
        start: ids at the beginning of every sequence.
        end: ids that end an utterance.
        unknown: id of what the vocabulary lacks, if there is one.
    """

    start: list[int]
    end: list[int]
    unknown: int | None

    def encode(self, text: str) -> list[int]:
        """Token ids of a text. The names of special tokens in it are ordinary text."""
        ...

    def ends(self, text: str) -> list[int] | None:
        """Position in the text at which each token ends; ``None`` if the tokenizer does not report positions."""
        ...

    def decode(self, token: int) -> str:
        """The text of one token."""
        ...

    def mark(self, same_speaker: bool) -> list[int]:
        """Ids that precede an earlier turn of the same speaker, or of another one."""
        ...

    def save(self, folder: Path) -> None:
        """Write the files of the tokenizer."""
        ...


class TrainedPieces:
    """A tokenizer of :func:`multiemo.preprocess.text.train_tokenizer`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.start, self.end = [_CLS], [_SEP]
        self.unknown: int | None = _UNK

    def encode(self, text: str) -> list[int]:
        """As :meth:`Pieces.encode`."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def ends(self, text: str) -> list[int] | None:
        """As :meth:`Pieces.ends`."""
        return [end for _, end in self._tokenizer.encode(text, add_special_tokens=False).offsets]

    def decode(self, token: int) -> str:
        """As :meth:`Pieces.decode`."""
        return (self._tokenizer.id_to_token(token) or "").replace("▁", " ").strip()

    def mark(self, same_speaker: bool) -> list[int]:
        """As :meth:`Pieces.mark`."""
        return [_SELF if same_speaker else _OTHER]

    def save(self, folder: Path) -> None:
        """As :meth:`Pieces.save`."""
        write_sealed(folder / "tokenizer.json", self._tokenizer.to_str(pretty=True))


class PretrainedPieces:
    """A transformers tokenizer. Speakers are marked by words, because its vocabulary has no special marks."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        probe = self.encode("a")
        complete = list(tokenizer("a")["input_ids"])
        at = next((i for i in range(len(complete)) if complete[i : i + len(probe)] == probe), 0)
        self.start, self.end = complete[:at], complete[at + len(probe) :]
        self.unknown: int | None = tokenizer.unk_token_id
        if not self.end:
            fallback = (tokenizer.sep_token_id, tokenizer.eos_token_id)
            self.end = [i for i in fallback if i is not None][:1] or self.encode("\n")
        self._marks = {True: self.encode("self:"), False: self.encode("other:")}

    def encode(self, text: str) -> list[int]:
        """As :meth:`Pieces.encode`."""
        ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        return list(ids)

    def encode_marks(self, text: str) -> list[int]:
        """Token ids of a text in which the names of special tokens are these tokens."""
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def ends(self, text: str) -> list[int] | None:
        """As :meth:`Pieces.ends`."""
        if not self.tokenizer.is_fast:
            return None
        options = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
        return [end for _, end in self.tokenizer(text, return_offsets_mapping=True, **options)["offset_mapping"]]

    def decode(self, token: int) -> str:
        """As :meth:`Pieces.decode`."""
        return str(self.tokenizer.decode([token])).strip()

    def mark(self, same_speaker: bool) -> list[int]:
        """As :meth:`Pieces.mark`."""
        return self._marks[same_speaker]

    def save(self, folder: Path) -> None:
        """As :meth:`Pieces.save`."""
        self.tokenizer.save_pretrained(str(folder))
