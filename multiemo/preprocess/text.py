"""Text -> token ids: cleaning that preserves emotion, a subword tokenizer for any language, dialogue context.

A sequence begins with the utterance, followed by the earlier turns of the dialogue, latest first::

    [CLS] the utterance [SEP] [OTHER] the turn before it [SEP] [SELF] the turn before that [SEP] ...

Cutting at ``max_tokens`` therefore removes the oldest context first and the end of the utterance last. Everything up to
the first ``[SEP]`` is the utterance, wherever the context ends.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

from multiemo.errors import CheckpointError, ConfigError, first_line
from multiemo.files import write_atomically
from multiemo.html_entities import undo_entities
from multiemo.preprocess.vocabulary import check_vocabulary
from multiemo.types import TEXT_SPECIALS, Absent, ContextTurn, TextSpec

_PAD, _UNK, _CLS, _SEP, _MASK, _SELF, _OTHER = range(len(TEXT_SPECIALS))
_BYTES = [f"<0x{i:02X}>" for i in range(256)]

# Windows-1252 leaves five bytes undefined. Text converted through it keeps them as control characters.
_CP1252 = {i: bytes([i]).decode("cp1252", errors="ignore") or chr(i) for i in range(0x80, 0xA0)}
_CP1252_BYTE = {text: byte for byte, text in _CP1252.items()} | {chr(i): i for i in range(0xA0, 0x100)}
_MISREAD = re.compile(f"[{re.escape(''.join(_CP1252_BYTE))}]{{2,}}")
_QUOTES = str.maketrans({"‘": "'", "’": "'", "‚": "'", "‛": "'", "´": "'", "`": "'", "“": '"', "”": '"', "„": '"'})
_LINK = re.compile(r"(?:https?://|www\.)[^\s<>\"']+", re.IGNORECASE)
_HANDLE = re.compile(r"(?<![\w.])@\w+")
_ELONGATED = re.compile(r"([^\d\s]\ufe0f?)\1{3,}")
_JOINERS = "\u200d\ufe0f"  # these join emoji


def _repair_misread(match: re.Match[str]) -> str:
    try:
        return bytes(_CP1252_BYTE[c] for c in match.group()).decode("utf-8")
    except UnicodeDecodeError:
        return match.group()


def clean(text: str) -> str:
    """Normalise a text without removing anything that carries emotion.

    - HTML entities (``&#39;``) are decoded once.
    - UTF-8 that was decoded as Windows-1252 (``â€™``) and stray Windows-1252 bytes are repaired.
    - NFKC makes full-width letters and the marks ``，！？：；（）`` half-width, so "!" is one token in every language;
      ``。、《》`` have no equivalent and stay.
    - Curly quotes become straight. Links become ``http`` and handles ``@user`` (the convention of TweetEval, Barbieri
      et al. 2020).
    - Characters repeated more than three times are reduced to three, so "soooooo" differs from "so" but not from
      "soooo".
    - Control, private and unpaired characters are removed, and white space is collapsed.

    Case, punctuation and emoji stay.

    Args:
        text: any text.

    Returns:
        The cleaned text, possibly empty.

    Example:
        >>> clean("Itâ€™s   soooooo good！！！！！ @bob https://t.co/x 😀 AT&T I&#39;m")
        "It's sooo good!!! @user http 😀 AT&T I'm"
    """
    text = _MISREAD.sub(_repair_misread, undo_entities(text)).translate(_CP1252)
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    text = _HANDLE.sub("@user", _LINK.sub("http", text))
    kept = (" " if c.isspace() else c for c in text)
    text = "".join(c for c in kept if c in _JOINERS or unicodedata.category(c)[0] != "C")
    return " ".join(_ELONGATED.sub(r"\1\1\1", text.replace("\ufffd", " ")).split())


def train_tokenizer(texts: Iterable[str], vocab_size: int, *, characters: bool = False) -> Tokenizer:
    """Train a lower-case BPE vocabulary (Sennrich et al. 2016) with byte fallback.

    Words of alphabetic scripts begin with the mark ``▁``. A run of Chinese characters is one unit in which frequent
    neighbours merge, so common words become tokens without a segmenter. Unseen characters are spelt in UTF-8 bytes. The
    same texts always give the same tokenizer. The first ids are :data:`~multiemo.types.TEXT_SPECIALS`.

    Args:
        texts: unprocessed training texts; they are cleaned here.
        vocab_size: largest number of entries, at least 512 (including the special tokens and 256 bytes).
        characters: merge nothing, so that every token is a character, or a byte of an infrequent one.

    Raises:
        ConfigError: ``vocab_size`` is too small, or all texts are empty.

    Example:
        >>> tokenizer = train_tokenizer(["good day"] * 9 + ["好的，好的"] * 9, 512)
        >>> tokenizer.encode("Good 好的", add_special_tokens=False).tokens
        ['▁good', '好的']
        >>> train_tokenizer(["好的，好的"], 512, characters=True).encode("好的").tokens
        ['好', '的']
    """
    if vocab_size < 512:
        raise ConfigError(f"vocab_size: {vocab_size} is too small; letters and bytes need at least 512")
    tokenizer = _empty_tokenizer()
    reserved = [*TEXT_SPECIALS, *_BYTES]
    lines = [clean(text) for text in texts]
    # The alphabet is passed explicitly, because the trainer breaks ties between equally frequent characters randomly.
    room = vocab_size - len(reserved)
    alphabet = _alphabet(map(tokenizer.normalizer.normalize_str, lines), room if characters else max(128, room // 2))
    if characters and alphabet:
        return _empty_tokenizer({token: i for i, token in enumerate([*reserved, *alphabet])}, [])
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=reserved,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    learnt = json.loads(tokenizer.to_str())["model"]
    if len(learnt["vocab"]) == len(reserved):
        raise ConfigError("there is no text to train a tokenizer on: every training text is empty")
    # Rebuilt without "added tokens", so that the text "[SEP]" is not converted to the special token.
    merges = [tuple(pair) for pair in learnt["merges"]]
    return _empty_tokenizer(learnt["vocab"], merges)


def _alphabet(lines: Iterable[str], limit: int) -> list[str]:
    """The most frequent characters; ties are broken by code point."""
    counts = Counter(c for line in lines for c in line if not c.isspace())
    return sorted(counts, key=lambda c: (-counts[c], c))[:limit]


def _empty_tokenizer(vocab: dict[str, int] | None = None, merges: list[tuple[str, ...]] | None = None) -> Tokenizer:
    options: dict[str, Any] = {} if vocab is None else {"vocab": vocab, "merges": merges}
    tokenizer = Tokenizer(models.BPE(**options, unk_token=TEXT_SPECIALS[_UNK], byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"(?:^|\s+)(?=\p{L})(?!\p{Han})"), "▁"),
        ]
    )
    pieces = r"\p{Han}+|▁?(?:(?!\p{Han})[\p{L}\p{M}'])+|\p{N}|[!?.]+|[^\s]"
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pieces), behavior="removed", invert=True)
    return tokenizer


class _Pieces(Protocol):
    """The operations of a tokenizer that the sequence layout needs."""

    start: list[int]
    end: list[int]
    unknown: int | None

    def encode(self, text: str) -> list[int]: ...

    def ends(self, text: str) -> list[int] | None: ...

    def decode(self, token: int) -> str: ...

    def mark(self, same_speaker: bool) -> list[int]: ...

    def save(self, folder: Path) -> None: ...


class _Trained:
    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.start, self.end = [_CLS], [_SEP]
        self.unknown: int | None = _UNK

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def ends(self, text: str) -> list[int] | None:
        return [end for _, end in self._tokenizer.encode(text, add_special_tokens=False).offsets]

    def decode(self, token: int) -> str:
        return (self._tokenizer.id_to_token(token) or "").replace("▁", " ").strip()

    def mark(self, same_speaker: bool) -> list[int]:
        return [_SELF if same_speaker else _OTHER]

    def save(self, folder: Path) -> None:
        write_atomically(folder / "tokenizer.json", self._tokenizer.to_str(pretty=True))


class _Pretrained:
    """A transformers tokenizer. Speakers are marked by words, because its vocabulary has no special marks."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
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
        ids = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        return list(ids)

    def ends(self, text: str) -> list[int] | None:
        if not self._tokenizer.is_fast:
            return None
        options = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
        return [end for _, end in self._tokenizer(text, return_offsets_mapping=True, **options)["offset_mapping"]]

    def decode(self, token: int) -> str:
        return str(self._tokenizer.decode([token])).strip()

    def mark(self, same_speaker: bool) -> list[int]:
        return self._marks[same_speaker]

    def save(self, folder: Path) -> None:
        self._tokenizer.save_pretrained(str(folder))


def _turn(ids: Sequence[int], turn: int) -> list[tuple[int, int]]:
    return [(i, turn) for i in ids]


class TextPreprocessor:
    """Converts a text and its dialogue context to token ids.

    Args:
        spec: input specification of the encoder.
        tokenizer: a ``tokenizers.Tokenizer`` from :func:`train_tokenizer` (``spec.tokenizer == "trained"``), or a
            transformers tokenizer.

    Example:
        >>> tokenizer = train_tokenizer(["good day"] * 9, 512)
        >>> read = TextPreprocessor(TextSpec(context=1), tokenizer)
        >>> read("good day", context=[(True, "day")]).shape
        torch.Size([7])
        >>> read("  ").reason
        'empty text'
    """

    def __init__(self, spec: TextSpec, tokenizer: Any) -> None:
        self.spec = spec
        self._pieces: _Pieces = _Trained(tokenizer) if isinstance(tokenizer, Tokenizer) else _Pretrained(tokenizer)
        around = len(self._pieces.start) + len(self._pieces.end)
        if spec.max_tokens <= around:
            raise ConfigError(f"max_tokens: {spec.max_tokens} leaves no room for text; give at least {around + 1}")

    def __call__(self, text: str, context: Sequence[ContextTurn] = ()) -> Tensor | Absent:
        """Convert one utterance to token ids.

        Args:
            text: the unprocessed utterance.
            context: earlier utterances of the dialogue, oldest first; the last ``spec.context`` of them are used.

        Returns:
            ``[L]`` int64 with ``L <= spec.max_tokens``, or why there is nothing to read.
        """
        plain = clean(text)
        if not plain:
            return Absent("empty text")
        pieces = self._pieces
        ids = pieces.encode(plain)
        if all(i == pieces.unknown for i in ids):
            return Absent(f"the tokenizer has no token for the text {plain[:40]!r}")
        return torch.tensor([i for i, _ in self._layout(ids, context)], dtype=torch.int64)

    def turns(self, text: str, context: Sequence[ContextTurn] = ()) -> list[int]:
        """The turn of each token of :meth:`__call__`: 0 for the utterance, k for the k-th turn before it, -1 for marks.

        Args:
            text: the unprocessed utterance.
            context: earlier utterances, as for a call.
        """
        return [turn for _, turn in self._layout(self._pieces.encode(clean(text)), context)]

    def token_ends(self, plain: str, stops: Sequence[int]) -> list[int]:
        """Where in a cleaned text each of its tokens ends, uncut.

        A tokenizer that does not report positions is applied to the beginnings of the text.

        Args:
            plain: a cleaned text.
            stops: positions in it, ascending, at which beginnings may end; the last is the end of the text.
        """
        found = self._pieces.ends(plain)
        if found is not None:
            return found
        total = len(self._pieces.encode(plain))
        ends: list[int] = []
        for stop in stops:
            ends += [stop] * (min(total, len(self._pieces.encode(plain[:stop]))) - len(ends))
        return ends + [len(plain)] * (total - len(ends))

    def _layout(self, ids: Sequence[int], context: Sequence[ContextTurn]) -> list[tuple[int, int]]:
        """Token ids of the sequence with their turns, as in :meth:`turns`, cut at ``max_tokens``."""
        pieces = self._pieces
        room = self.spec.max_tokens - len(pieces.start) - len(pieces.end)
        laid = [*_turn(pieces.start, -1), *_turn(ids[:room], 0), *_turn(pieces.end, -1)]
        recent = context[max(0, len(context) - self.spec.context) :] if self.spec.context else ()
        for number, (same_speaker, earlier) in enumerate(reversed(recent), start=1):
            turn = pieces.encode(clean(earlier))
            if turn and len(laid) < self.spec.max_tokens:
                laid += [*_turn(pieces.mark(same_speaker), -1), *_turn(turn, number), *_turn(pieces.end, -1)]
        return laid[: self.spec.max_tokens]

    def marks(self) -> frozenset[int]:
        """Ids that no text produces: those around a text, and for a trained tokenizer those of speakers."""
        around = {*self._pieces.start, *self._pieces.end}
        return frozenset(around | set(range(len(TEXT_SPECIALS))) if self.spec.tokenizer == "trained" else around)

    def decode(self, token: int) -> str:
        """The text of one token, for naming it."""
        return self._pieces.decode(token)

    def save(self, folder: Path) -> None:
        """Write the files of the tokenizer, so that :meth:`from_assets` needs nothing else."""
        folder.mkdir(parents=True, exist_ok=True)
        self._pieces.save(folder)

    @classmethod
    def train(cls, spec: TextSpec, texts: Iterable[str]) -> TextPreprocessor:
        """Build a preprocessor with a tokenizer trained on the given texts."""
        return cls(spec, train_tokenizer(texts, spec.vocab_size, characters=spec.characters))

    @classmethod
    def from_pretrained(cls, spec: TextSpec) -> TextPreprocessor:
        """Build a preprocessor with the tokenizer of the pretrained model that ``spec.tokenizer`` names.

        Raises:
            ConfigError: the model has no usable tokenizer.
        """
        try:
            return cls(spec, _load_pretrained(spec.tokenizer))
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ConfigError(
                f"text tokenizer: none found in {spec.tokenizer!r} ({first_line(error)}); "
                "give a model folder that holds its tokenizer files, or the name of a hub model"
            ) from None

    @classmethod
    def from_assets(cls, spec: TextSpec, folder: Path) -> TextPreprocessor:
        """Load the preprocessor written by :meth:`save`.

        Raises:
            CheckpointError: the files are missing, damaged or of another model.
        """
        try:
            if spec.tokenizer != "trained":
                tokenizer = _load_pretrained(str(folder))
                built = folder / "config.json"  # of the encoder
                rows = json.loads(built.read_text("utf-8")).get("vocab_size") if built.is_file() else None
            else:
                tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
                rows = spec.vocab_size
            check_vocabulary(tokenizer, rows, str(folder), CheckpointError)
            return cls(spec, tokenizer)
        except (CheckpointError, ConfigError):
            raise
        except Exception as error:  # tokenizers raises bare Exception
            raise CheckpointError(
                f"{folder}: no usable text tokenizer ({first_line(error)}); copy the model folder again, with "
                "everything in it"
            ) from None


def _load_pretrained(reference: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(reference, local_files_only=True, trust_remote_code=False)
