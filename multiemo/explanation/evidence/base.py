"""The interface that evidence of every kind of input implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from multiemo.explanation.records import EvidenceMap, EvidencePart, UnitKind
from multiemo.explanation.target import ClipTarget
from multiemo.inputs import Input
from multiemo.preprocess.voice.baseline import VoiceBaseline
from multiemo.types import Modality


@dataclass(frozen=True, slots=True)
class ClipInput:
    """One modality of one clip, as an explanation reads it.

    Args:
        modality: the modality.
        entry: the model's input of this modality.
        tensor: what the encoder reads, ``[T, ...]``.
        raw: what it was made from (``Utterance``, ``Audio``, ``Pictures``, ...); ``None`` if that was not kept. It
            names words and gives positions. Without it, parts are named by position.
        start: start of the clip in the input, seconds.
        times: seconds of each time step from the start of the clip, for pictures; ``None`` if unknown.
        voice: usual values of the cues of this voice, from other speech of the speaker, or of the clips that the model
            was trained on; ``None`` if unknown.
    """

    modality: Modality
    entry: Input
    tensor: Tensor
    raw: object | None = None
    start: float = 0.0
    times: Sequence[float] | None = None
    voice: VoiceBaseline | None = None


@dataclass(frozen=True, slots=True)
class InputChange:
    """A changed input, a candidate for the smallest change that changes the label.

    Args:
        name: part that is changed.
        words: the change in words, as in :class:`~multiemo.explanation.records.Counterfactual`.
        tensor: ``[T, ...]`` the changed input.
        mask: ``[T]`` bool, true for real steps.
        size: how large the change is, on a scale of the evidence's own (a count, or standard deviations). Among
            changes of one size the one with the largest effect is reported.
        amount: size of the change in ``unit``; ``None`` if the part is removed.
        unit: unit of ``amount``.
        others: names of the parts that are removed together with this one.
    """

    name: str
    words: str
    tensor: Tensor
    mask: Tensor
    size: float
    amount: float | None = None
    unit: str | None = None
    others: Sequence[str] = ()


class PartView(ABC):
    """One way to divide the input of a modality into parts that can be removed.

    Attributes:
        unit: what the parts are.
        parts: the parts without scores (``score`` is 0), in the order of the input.
        baseline: what a removed part is replaced with, in words.
        notes: remarks for the user.
        most_passes: largest number of changed inputs that the scores may cost. With few, each part alone is removed.
        without_gradients: why a view that could have gradients has none, in words; empty if only trying them tells.
    """

    unit: UnitKind
    parts: Sequence[EvidencePart]
    baseline: str
    notes: Sequence[str] = ()
    most_passes: int = 512
    without_gradients: str = ""

    @abstractmethod
    def without(self, gone: Tensor) -> tuple[Tensor, Tensor]:
        """The input with some parts removed.

        Args:
            gone: ``[K, U]`` bool, true for parts that are removed, for K variants of U parts.

        Returns:
            ``[K, T, ...]`` and its mask ``[K, T]``; every row of the mask has at least one real step.
        """

    def gradients(self, target: ClipTarget) -> Tensor | None:
        """Scores ``[U]`` of the parts by integrated gradients; ``None`` if this view or encoder has none."""
        return None

    def prefers_shapley(self, target: ClipTarget) -> bool:
        """Whether Shapley values over removals were measured to be more faithful for this encoder than gradients."""
        return False

    def magnitude(self) -> Tensor:
        """Size ``[U]`` of each part without regard to the model: the control that an attribution must beat."""
        raise NotImplementedError

    def scored(self, scores: Tensor) -> list[EvidencePart]:
        """The parts with scores ``[U]``."""
        return [replace(part, score=round(float(s), 6)) for part, s in zip(self.parts, scores, strict=True)]


class Evidence(ABC):
    """Evidence inside one kind of input. Register it in :data:`multiemo.registry.evidence` under the kind."""

    @abstractmethod
    def views(self, clip: ClipInput, target: ClipTarget) -> list[PartView]:
        """The views of a clip's input. The first is the one that a summary shows.

        Args:
            clip: the input.
            target: what is explained; it gives access to the encoder.
        """

    def maps(self, clip: ClipInput, target: ClipTarget) -> list[EvidenceMap]:
        """Scores on a grid, over the spectrogram or face crops. The default has none.

        Args:
            clip: the input.
            target: what is explained.
        """
        return []

    def changes(self, clip: ClipInput, target: ClipTarget) -> Iterator[InputChange]:
        """Changed inputs in the order of their size, for the counterfactual.

        The default removes each part of the first view.

        Args:
            clip: the input.
            target: what is explained.
        """
        view = next(iter(self.views(clip, target)), None)
        for index, part in enumerate(() if view is None else view.parts):
            gone = torch.zeros(1, len(view.parts), dtype=torch.bool)  # type: ignore[union-attr]
            gone[0, index] = True
            x, mask = view.without(gone)  # type: ignore[union-attr]
            yield InputChange(part.name, f"without {part.name!r}", x[0], mask[0], 1.0)
