"""Evidence inside a text: words or characters, and earlier turns of the dialogue."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import accumulate

import torch
from torch import Tensor, nn

from multiemo.explanation.counterfactual import removals
from multiemo.explanation.evidence.base import ClipInput, Evidence, InputChange, PartView
from multiemo.explanation.evidence.gates import gradient_scores
from multiemo.explanation.evidence.words import Word, grouped, is_chinese, is_unspaced, split_words
from multiemo.explanation.records import EvidencePart, UnitKind
from multiemo.explanation.target import ClipTarget
from multiemo.inputs.base import of_type
from multiemo.inputs.material import Utterance
from multiemo.inputs.text import TextInput
from multiemo.preprocess.sequences import UtterancePlace
from multiemo.preprocess.text import TextPreprocessor
from multiemo.registry import evidence
from multiemo.types import TEXT_SPECIALS

_MASK = TEXT_SPECIALS.index("[MASK]")
_NO_HIDING_TOKEN = "the tokenizer has no mask or unknown token"
#: Most words that are removed together for a counterfactual.
_MOST_REMOVED = 3


class TextView(PartView):
    """Words, characters or turns whose tokens are replaced with the token that hides others in training.

    Args:
        unit: ``word`` or ``character``.
        x: ``[L]`` token ids.
        parts: the parts.
        part_of: the part of each token, -1 for tokens that always stay.
        hiding: id of the token that replaces others; ``None`` removes tokens instead.
        baseline: name of the replacement.
        notes: remarks.
    """

    def __init__(
        self,
        unit: UnitKind,
        x: Tensor,
        parts: Sequence[EvidencePart],
        part_of: Sequence[int],
        hiding: int | None,
        baseline: str,
        notes: Sequence[str],
    ) -> None:
        self.unit, self.parts, self.baseline, self.notes = unit, parts, baseline, notes
        self.without_gradients = "" if hiding is not None else _NO_HIDING_TOKEN
        self._x, self._hiding = x, hiding
        self._part_of = torch.tensor(part_of, device=x.device)

    def without(self, gone: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`PartView.without`. Special tokens stay."""
        always = torch.zeros(len(gone), 1, dtype=torch.bool, device=self._x.device)
        hidden = torch.cat([gone.to(self._x.device), always], dim=1)[:, self._part_of]
        if self._hiding is not None:
            return torch.where(hidden, self._hiding, self._x), torch.ones_like(hidden)
        mask = ~hidden
        mask[:, 0] |= ~mask.any(1)
        return self._x.expand(len(gone), -1), mask

    def gradients(self, target: ClipTarget) -> Tensor | None:
        """Integrated gradients of the token embeddings and n-grams, summed over the tokens of each part."""
        if self._hiding is None:
            return None
        scores = gradient_scores(target, self._x, self._hiding, self._part_of >= 0)
        if scores is None:
            return None
        own = self._part_of >= 0
        totals = torch.zeros(len(self.parts), device=scores.device)
        return totals.index_add_(0, self._part_of[own], scores[own])

    def prefers_shapley(self, target: ClipTarget) -> bool:
        """As :meth:`PartView.prefers_shapley`: for bags of n-grams alone.

        An n-gram disappears with the first of its tokens, which no path between two embeddings follows.
        """
        encoder = target.model.encoders[target.modality]
        return getattr(encoder, "ngrams", None) is not None and getattr(encoder, "transformer", None) is None

    def magnitude(self) -> Tensor:
        """Number of tokens of each part, ``[U]``."""
        return torch.bincount(self._part_of[self._part_of >= 0], minlength=len(self.parts)).float()


@evidence.register("text")
class TextEvidence(Evidence):
    """Words of a text, or characters of scripts without spaces, and each earlier turn of the dialogue."""

    def views(self, clip: ClipInput, target: ClipTarget) -> list[PartView]:
        """As :meth:`Evidence.views`. A Chinese text has a second view by word, if jieba is installed."""
        hiding, baseline = _hiding_token(target.model.encoders[clip.modality])
        reader = of_type(of_type(clip.entry, TextInput).preprocessor, TextPreprocessor)
        if not isinstance(clip.raw, Utterance):
            parts, part_of = _tokens_alone(reader, clip.tensor)
            notes = ["the text was not kept, so parts are the tokens of the model"]
            return [TextView("word", clip.tensor, parts, part_of, hiding, baseline, notes)]
        plain, words = split_words(clip.raw.text)
        turns = reader.turns(clip.raw.text, clip.raw.earlier)
        ends = reader.token_ends(plain, [w.end for w in words])
        unspaced = is_unspaced(clip.raw.text)
        made: list[tuple[UnitKind, list[Word], list[str]]] = [("character" if unspaced else "word", words, [])]
        if unspaced:
            segmented = _segmented(words, clip.raw.text)
            if not is_chinese(clip.raw.text):
                made[0][2].append("words can be found in Chinese only, of the scripts without spaces between words")
            elif segmented is None:
                made[0][2].append('without jieba there are characters only; pip install "multiemo[zh]" adds words')
            else:
                made.append(("word", segmented, []))
        views: list[PartView] = []
        for unit, own, notes in made:
            joined, token_word = _by_token(own, ends, clip.raw.text)
            read = _kept(len(ends), turns, reader)
            if note := _cut_note(joined, token_word, read, reader):
                notes.append(note)
            if len(joined) < len(own):
                notes.append(f"{unit}s that the model reads as one token stay together")
            parts, part_of = _parts(joined, token_word[read], turns)
            views.append(TextView(unit, clip.tensor, parts, part_of, hiding, baseline, notes))
        return views

    def changes(self, clip: ClipInput, target: ClipTarget) -> Iterator[InputChange]:
        """As :meth:`Evidence.changes`: one part is removed, then two, then three."""
        return removals(self.views(clip, target)[0], target, _MOST_REMOVED)


def _by_token(words: list[Word], ends: list[int], text: str) -> tuple[list[Word], list[int]]:
    """Join words that share a token. Returns the words, and the word of each token of the utterance.

    Args:
        words: words in order.
        ends: end of each token in the cleaned text.
        text: the original text.
    """
    owner, word = [], 0
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        while word < len(words) - 1 and words[word].end <= min(begin, end - 1):
            word += 1
        last = word
        while last < len(words) - 1 and words[last + 1].begin < end:
            last += 1
        owner.append((word, last))
    joins = [0] * len(words)  # 1 where a word belongs to the one before it
    for first, last in owner:
        joins[first + 1 : last + 1] = [1] * (last - first)
    numbers = list(accumulate(1 - j for j in joins))
    group = [n - 1 for n in numbers]
    return grouped(words, group, text), [group[first] for first, _ in owner]


def _kept(tokens: int, turns: Sequence[int], reader: TextPreprocessor) -> slice:
    """Which of an utterance's tokens the model reads."""
    lost = tokens - turns.count(0)
    return slice(lost, tokens) if reader.keeps_end else slice(0, tokens - lost)


def _cut_note(words: list[Word], token_word: list[int], read: slice, reader: TextPreprocessor) -> str | None:
    """A note if an utterance is too long for the model.

    Args:
        words: words of the utterance.
        token_word: word of each of its tokens.
        read: the tokens that are read.
        reader: the preprocessor.
    """
    total = len(token_word)
    count = read.stop - read.start
    if count == total:
        return None
    if reader.keeps_end:
        last = words[token_word[read.start - 1]].last
        at = "" if last is None else f" up to character {last}"
    else:
        first = words[token_word[read.stop]].first
        at = "" if first is None else f" from character {first + 1} on"
    return f"the model reads {count} of {total} tokens: the text{at} is cut off"


def _parts(words: list[Word], token_word: list[int], turns: list[int]) -> tuple[list[EvidencePart], list[int]]:
    """Parts that the model reads, and the part of each token of the sequence.

    Args:
        words: words of the utterance.
        token_word: word of each token of the utterance that is read.
        turns: turn of each token of the sequence; 0 is the utterance, -1 none.
    """
    parts: list[EvidencePart] = []
    place: dict[tuple[int, int], int] = {}
    part_of: list[int] = []
    left = iter(token_word)
    for turn in turns:
        if turn < 0:
            part_of.append(-1)
            continue
        key = (turn, next(left) if turn == 0 else 0)
        if key not in place:
            place[key] = len(parts)
            if turn == 0:
                word = words[key[1]]
                parts.append(EvidencePart(name=word.name, score=0.0, first=word.first, last=word.last))
            else:
                parts.append(EvidencePart(name=f"earlier turn {turn}", score=0.0))
        part_of.append(place[key])
    return parts, part_of


def _tokens_alone(reader: TextPreprocessor, x: Tensor) -> tuple[list[EvidencePart], list[int]]:
    """Every token as a part, for an input whose text was not kept."""
    parts: list[EvidencePart] = []
    part_of: list[int] = []
    ids = x.tolist()
    for position, (token, counts) in enumerate(zip(ids, reader.own_text(ids), strict=True)):
        part_of.append(len(parts) if counts else -1)
        if counts:
            parts.append(EvidencePart(name=reader.decode(token) or f"token {position + 1}", score=0.0))
    return parts, part_of


def _hiding_token(encoder: nn.Module) -> tuple[int | None, str]:
    """The token that stands for a removed one, and its name."""
    backbone = getattr(encoder, "backbone", None)
    if backbone is None:
        return _MASK, "the token that hides words in training"
    found = getattr(backbone.config, "hiding_token_id", None)
    place = getattr(encoder, "place", UtterancePlace())
    if found is None or found in (getattr(encoder, "separator", None), *place.before):  # these delimit the utterance
        return None, f"nothing: its tokens are left out, because {_NO_HIDING_TOKEN}"
    return int(found), "the model's mask or unknown token"


def _segmented(words: list[Word], text: str) -> list[Word] | None:
    """The words of a Chinese text, by jieba; ``None`` for other scripts, without jieba or if positions are unknown."""
    if not is_chinese(text) or find_spec("jieba") is None or any(w.first is None for w in words):
        return None
    import jieba

    jieba.setLogLevel(logging.WARNING)
    ends = list(accumulate(len(piece) for piece in jieba.cut(text)))
    group, numbers = 0, []
    for word in words:
        while ends[group] <= (word.first or 0):
            group += 1
        numbers.append(group)
    return grouped(words, numbers, text)
