"""Text -> token ids: cleaning that preserves emotion, a subword tokenizer for any language, dialogue context.

:mod:`multiemo.preprocess.sequences` describes how the utterance and the earlier turns form one sequence.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor

from multiemo.encryption import read_sealed
from multiemo.errors import CheckpointError, ConfigError, first_line
from multiemo.html_entities import undo_entities
from multiemo.preprocess.pieces import Pieces, PretrainedPieces, TrainedPieces
from multiemo.preprocess.sequences import Laid, UtterancePlace, make_layout
from multiemo.preprocess.vocabulary import check_vocabulary
from multiemo.types import TEXT_SPECIALS, Absent, ContextTurn, TextSpec

_UNK = TEXT_SPECIALS.index("[UNK]")
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
        trained = isinstance(tokenizer, Tokenizer)
        self._pieces: Pieces = TrainedPieces(tokenizer) if trained else PretrainedPieces(tokenizer)
        self._prefix = self._prefix_ids()
        self._layout = make_layout(spec, self._pieces, self._prefix)
        around = self._layout.around
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
        ids = self._encode_own(plain)
        if all(i == self._pieces.unknown for i in ids):
            return Absent(f"the tokenizer has no token for the text {plain[:40]!r}")
        return torch.tensor([i for i, _ in self._lay(ids, context)], dtype=torch.int64)

    def turns(self, text: str, context: Sequence[ContextTurn] = ()) -> list[int]:
        """The turn of each token of :meth:`__call__`: 0 for the utterance, k for the k-th turn before it, -1 for marks.

        Args:
            text: the unprocessed utterance.
            context: earlier utterances, as for a call.
        """
        return [turn for _, turn in self._lay(self._encode_own(clean(text)), context)]

    @property
    def place(self) -> UtterancePlace:
        """Where the utterance lies in every sequence."""
        return self._layout.place

    @property
    def keeps_end(self) -> bool:
        """Whether an utterance that is too long keeps its end, and not its beginning."""
        return self._layout.keeps_end

    def token_ends(self, plain: str, stops: Sequence[int]) -> list[int]:
        """Where in a cleaned text each of its tokens ends, uncut.

        A tokenizer that does not report positions is applied to the beginnings of the text.

        Args:
            plain: a cleaned text.
            stops: positions in it, ascending, at which beginnings may end; the last is the end of the text.
        """
        skipped = len(self._prefix) if self._joined(plain) is not None else 0
        found = self._pieces.ends(self.spec.prefix + plain if skipped else plain)
        if found is not None:
            offset = len(self.spec.prefix) if skipped else 0
            return [end - offset for end in found[skipped:]]
        total = len(self._encode_own(plain))
        ends: list[int] = []
        for stop in stops:
            ends += [stop] * (min(total, len(self._encode_own(plain[:stop]))) - len(ends))
        return ends + [len(plain)] * (total - len(ends))

    def _prefix_ids(self) -> list[int]:
        """Ids of the prefix as they begin a text; a space at its end usually belongs to the word that follows."""
        prefix = self.spec.prefix
        if not prefix:
            return []
        probe = self._pieces.encode(prefix + "a")
        ways = [self._pieces.encode(prefix), self._pieces.encode(prefix.rstrip())]
        return next((ids for ids in ways if ids and probe[: len(ids)] == ids), ways[0])

    def _joined(self, plain: str) -> list[int] | None:
        """Ids of an utterance tokenized together with its prefix; ``None`` if a token spans both."""
        if not self._prefix:
            return None
        ids = self._pieces.encode(self.spec.prefix + plain)
        return ids[len(self._prefix) :] if ids[: len(self._prefix)] == self._prefix else None

    def _encode_own(self, plain: str) -> list[int]:
        """Ids of a cleaned utterance without its prefix."""
        joined = self._joined(plain)
        return self._pieces.encode(plain) if joined is None else joined

    def _lay(self, ids: Sequence[int], context: Sequence[ContextTurn]) -> Laid:
        """Token ids of the sequence with their turns, as in :meth:`turns`, cut at ``max_tokens``."""
        recent = context[max(0, len(context) - self.spec.context) :] if self.spec.context else ()
        turns = [(same_speaker, self._pieces.encode(clean(earlier))) for same_speaker, earlier in recent]
        return self._layout.lay(ids, turns, self.spec.max_tokens)

    def own_text(self, ids: Sequence[int]) -> list[bool]:
        """For each id of a sequence, whether it comes from a text, and not from marks or the prefix.

        Args:
            ids: a sequence as :meth:`__call__` returns it.
        """
        marks = self._layout.marks | (set(range(len(TEXT_SPECIALS))) if self.spec.tokenizer == "trained" else set())
        begin = self.place.begin(ids)
        prefix = range(begin, begin + self.place.prefix)
        return [i not in marks and at not in prefix for at, i in enumerate(ids)]

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
                tokenizer = Tokenizer.from_str(read_sealed(folder / "tokenizer.json").decode("utf-8"))
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
