"""Zero-shot branches: a language model is asked for the label, and nothing is trained.

The score of a label is the log-probability of its whole word after the prompt. The scores under a content-free input
are subtracted, which removes the model's preference for some words and for short ones (Zhao et al. 2021, "Calibrate
before use", ICML).
"""

from __future__ import annotations

import hashlib
import threading
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from multiemo.encoders.base import Encoder, EvidenceHead
from multiemo.encoders.common.language_models import Stored, place
from multiemo.errors import ConfigError
from multiemo.types import DIMENSIONS, Modality

#: Largest mean difference, in nats, between the same log-probabilities computed in two ways: in float32, in half
#: precision.
_TOLERANCES = (0.01, 0.3)
#: Most answers that are kept in memory.
_MOST_KEPT = 200_000
#: Several threads may use one model at the same time.
_LOCK = threading.RLock()


class _Shared(tuple[nn.Module, ...]):
    """Modules that the copies of an encoder share, because nothing changes them."""

    def __deepcopy__(self, _memo: object) -> _Shared:
        return self


class ScoreHead(EvidenceHead):
    """The embedding of a prompted encoder is its evidence already."""

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C]``, unchanged."""
        return x


class PromptedEncoder(Encoder):
    """Asks a language model for the label. The embedding ``[B, C]`` is the evidence for each label.

    With ``single`` and ``soft`` the evidence is the change of the log-probability of a label relative to a content-free
    input; with ``multi``, the change of its log-odds against all other labels. The model adds the label frequencies of
    train, and validation calibrates.

    A subclass sets ``input_spec``, and implements :meth:`scores` and :meth:`content_free`. The language
    model is no submodule: it has no trainable parameters, and a checkpoint refers to it by name and digests.

    Args:
        modality: modality of the branch.
        model: the language model.
        stored: the C labels, the prompt and the digests of the language model.
        task: ``single``, ``soft`` or ``multi``.
    """

    reference: Tensor
    shared: Tensor
    fingerprint: Tensor

    def __init__(self, modality: Modality, model: Any, stored: Stored, task: str) -> None:
        super().__init__()
        self.modality, self.labels, self.task = modality, stored.labels, task
        self.referenced = _Shared([model])
        self.stored = stored
        self.out_dim = len(self.labels)
        self.untrained = frozenset()
        self._kept: dict[tuple[torch.dtype, bytes], Tensor] = {}  # answers by precision and digest of the clip
        self.register_buffer("reference", torch.full((self.out_dim,), torch.nan))
        self.register_buffer("shared", torch.tensor(False))
        self.register_buffer("fingerprint", torch.tensor(list(bytes.fromhex(stored.digest)), dtype=torch.uint8))

    @property
    def backbone(self) -> Any:
        """The language model."""
        return self.referenced[0]

    @abstractmethod
    def scores(self, x: Tensor, mask: Tensor) -> Tensor:
        """Log-probabilities ``[B, C]`` of the answers.

        Args:
            x: as in :meth:`forward`.
            mask: as in :meth:`forward`.
        """

    @abstractmethod
    def content_free(self) -> tuple[Tensor, bool]:
        """Scores ``[N, C]`` of content-free inputs, and whether shared passes are exact for this language model.

        Raises:
            ConfigError: the language model is not causal.
        """

    def fixed_head(self, labels: Sequence[str]) -> EvidenceHead:
        """As :meth:`Encoder.fixed_head`.

        Raises:
            ConfigError: the labels are not those of the prompt.
        """
        if tuple(labels) == DIMENSIONS:
            raise dimensions_error(self.modality)
        if tuple(labels) != self.labels:
            raise ConfigError(
                f"branches.{self.modality}: its prompt asks for {', '.join(self.labels)}, but the labels here are "
                f"{', '.join(labels)}; remove the key, so that the branch is made for these labels"
            )
        return ScoreHead()

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Evidence ``[B, C]``; see :meth:`Encoder.forward`. An answer is computed once, and kept in memory."""
        with _LOCK, torch.no_grad(), self._ready(x.device):
            if self.reference.isnan().any():
                found, exact = self.content_free()
                self.reference.copy_(found.log_softmax(1).exp().mean(0).log())
                self.shared.fill_(exact)
            dtype = next(self.backbone.parameters()).dtype
            keys = [(dtype, _digest(clip[real])) for clip, real in zip(x, mask, strict=True)]
            rows = [i for i, key in enumerate(keys) if key not in self._kept]
            if rows:
                if len(self._kept) + len(rows) > _MOST_KEPT:
                    self._kept.clear()
                    rows = list(range(len(keys)))
                found = self.scores(x[rows], mask[rows]).log_softmax(1).cpu()
                self._kept.update((keys[i], row) for i, row in zip(rows, found, strict=True))
            scores = torch.stack([self._kept[key] for key in keys]).to(x.device)
            return self._levels(scores) - self._levels(self.reference.to(x.device))

    def save_assets(self, folder: Path) -> None:
        """Write the prompt and the digests of the language model."""
        self.stored.write(folder)

    def _levels(self, scores: Tensor) -> Tensor:
        """Log-probabilities, or with ``multi`` log-odds, of ``[..., C]`` normalised log-probabilities."""
        if self.task != "multi":
            return scores
        own = torch.eye(self.out_dim, dtype=torch.bool, device=scores.device)
        others = scores.unsqueeze(-2).masked_fill(own, -torch.inf).logsumexp(-1)
        return scores - others

    @contextmanager
    def _ready(self, device: torch.device) -> Iterator[None]:
        """Place the language model, and compute in the precision of its weights."""
        place(self.backbone, device)
        with torch.autocast(device.type, enabled=False):
            yield


def agree(one: Tensor, other: Tensor, dtype: torch.dtype) -> bool:
    """Whether two computations of the same log-probabilities agree.

    Args:
        one: log-probabilities of any shape.
        other: the same log-probabilities, computed in another way.
        dtype: precision of the language model.
    """
    tolerance = _TOLERANCES[dtype != torch.float32]
    return bool((one - other).abs().mean() <= tolerance)  # false for NaN


def dimensions_error(modality: Modality) -> ConfigError:
    """The error for a prompted branch that should estimate valence, arousal and dominance."""
    return ConfigError(
        f"encoders.{modality}.name: a prompted model answers with labels, not with valence, arousal and dominance; use "
        "task single, soft or multi without `dimensions: true`, or another encoder"
    )


def _digest(clip: Tensor) -> bytes:
    return hashlib.blake2b(clip.cpu().contiguous().numpy().tobytes(), digest_size=16).digest()
