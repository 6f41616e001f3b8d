"""Training objectives: labels, masked prediction of the input, and contrastive matching of modalities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from multiemo.config import TrainingConfig
from multiemo.encoders.base import Encoder
from multiemo.training import losses
from multiemo.training.adversary import SpeakerAdversary
from multiemo.training.auxiliary import AuxiliaryHeads, auxiliary_loss, auxiliary_mass
from multiemo.training.mixup import mix_pairs
from multiemo.training.modulation import Modulation
from multiemo.training.parallel import gather_rows, sum_over_processes
from multiemo.training.speaker_draws import SpeakerDraws
from multiemo.types import Batch, Modality, Output

if TYPE_CHECKING:
    from multiemo.model import EmotionModel

#: {loss: divisor of its sum over clips}; a loss with several columns or sources has one value for each.
Masses: TypeAlias = Mapping[str, Tensor]


class Objective(nn.Module):
    """A model and its training loss; calling it with a batch returns the loss.

    Further modules (heads, decoders) are trained with the model and discarded afterwards.

    Args:
        model: model to train.
    """

    def __init__(self, model: EmotionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, masses: Masses | None = None) -> Tensor:
        """The loss of one batch, equal in all processes.

        Args:
            batch: this process's share of the batch.
            masses: divisor of each loss, chosen so that the batches of a step add up to the step's loss; by default
                the masses of the batch, summed over all processes.
        """
        raise NotImplementedError

    def masses(self, batch: Batch) -> Masses:
        """The divisors of the losses for this process's share of a batch; by default the number of clips."""
        return {"clips": torch.full((), float(len(batch)), device=batch.target.device)}

    def expected(self) -> Masses:
        """The mean of :meth:`masses` over single clips of train."""
        return {"clips": torch.ones(())}

    def modulate(self, seed: int) -> None:
        """Modify the gradients of a step before clipping; by default nothing.

        Args:
            seed: random seed; differs between steps and is equal in all processes.
        """

    def compare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss of one batch without labels, and that of a naive guess that ignores the clips."""
        raise NotImplementedError


class Labels(Objective):
    """Supervised training: the loss of the fused prediction, of each branch, of other label sources and of dimensions.

    Args:
        model: a branch or a fused model.
        settings: training settings of the stage.
        task: ``single``, ``multi``, ``soft`` or ``dimensions``.
        frequencies: ``[C]`` label frequencies of train, for class weights.
        census: all N training clips as one batch without inputs; required with a budget.
        draws: ``[N]`` relative sampling weight of each clip; by default equal.
        speakers: names of the training speakers; required with a speaker adversary.
        others: draws other clips of each speaker, for encoders that normalise speakers; ``None`` if there are none.
    """

    weights: Tensor | None

    def __init__(
        self,
        model: EmotionModel,
        settings: TrainingConfig,
        *,
        task: str,
        frequencies: Tensor,
        census: Batch | None = None,
        draws: Tensor | None = None,
        speakers: Sequence[str] = (),
        others: SpeakerDraws | None = None,
    ) -> None:
        super().__init__(model)
        self.others = others
        self.settings, self.task = settings, task
        self.fused = model.fusion is not None
        power = settings.class_weights
        weights = losses.class_weights(frequencies, power, task=task) if power > 0 else None
        self.register_buffer("weights", weights, persistent=False)
        self.auxiliary: AuxiliaryHeads | None = None
        if settings.auxiliary_loss > 0 and not self.fused:
            width = int(model.encoders[model.modalities[0]].out_dim)  # type: ignore[arg-type]
            self.auxiliary = AuxiliaryHeads(width, len(model.prior))
        self.adversary: SpeakerAdversary | None = None
        if settings.speaker_adversary > 0 and not self.fused:
            width = int(model.encoders[model.modalities[0]].out_dim)  # type: ignore[arg-type]
            self.adversary = SpeakerAdversary(width, speakers, settings.speaker_adversary)
        self.modulation: Modulation | None = None
        if settings.modulation > 0 and self.fused:
            self.modulation = Modulation(settings.modulation, multi=task == "multi", across=sum_over_processes)
        self._expected: Masses | None = None
        if census is not None:
            shares = torch.ones(len(census.target)) if draws is None else draws.float()
            self._expected = self.masses(census, shares / shares.sum())

    def masses(self, batch: Batch, each: Tensor | None = None) -> Masses:
        """As :meth:`Objective.masses`.

        Args:
            batch: this process's share of a batch of B clips.
            each: ``[B]`` weight of each clip; by default ones.
        """
        each = torch.ones_like(batch.target[:, 0]) if each is None else each
        if self.task == "dimensions":
            return self._dimension_masses(batch, each)
        known = batch.labelled * each
        options: dict[str, Any] = {"task": self.task, "weights": self.weights}
        masses = {"label": losses.label_mass(batch.target, known, **options)}
        if self.fused:
            for m in self.model.modalities:
                masses[m] = losses.label_mass(batch.target, known * batch.presence[m], **options)
        masses["dimensions"] = (~batch.dimensions.isnan() * each.unsqueeze(1)).sum(0)
        if batch.other_targets is not None:
            masses["others"] = auxiliary_mass(batch.other_targets, each, task=self.task)
        if self.adversary is not None:
            masses["speakers"] = each.sum()
        return masses

    def _dimension_masses(self, batch: Batch, each: Tensor) -> Masses:
        """{loss: ``[3]`` number of clips that have each dimension}, for the prediction and for each branch."""
        known = ~batch.dimensions.isnan() * each.unsqueeze(1)
        masses = {"label": known.sum(0)}
        if self.fused:
            masses |= {m: (known * batch.presence[m].unsqueeze(1)).sum(0) for m in self.model.modalities}
        return masses

    def expected(self) -> Masses:
        """As :meth:`Objective.expected`.

        Raises:
            ValueError: the objective was created without a census of train.
        """
        if self._expected is None:
            raise ValueError("a budget needs the census of train; pass census to Labels")
        return self._expected

    def modulate(self, seed: int) -> None:
        """As :meth:`Objective.modulate`: OGM-GE, if ``training.modulation`` is above 0."""
        if self.modulation is not None:
            self.modulation({m: self.model.encoders[m] for m in self.model.modalities}, seed)

    def forward(self, batch: Batch, masses: Masses | None = None) -> Tensor:
        """The weighted sum of the stage's losses; see :meth:`Objective.forward`."""
        settings, given = self.settings, masses or {}
        if self.others is not None and self.training:
            batch = self.others.drawn(batch)
        mix: tuple[Tensor, Tensor] | None = None
        if settings.mixup > 0:
            batch, mix = mix_pairs(batch, settings.mixup)
        dropout = settings.modality_dropout if self.fused else 0.0
        output = self.model(batch, modality_dropout=dropout, mix=mix)
        if self.task == "dimensions":
            return self._dimensions_loss(output, batch, given)
        if self.modulation is not None:
            self.modulation.add({m: x.detach() for m, x in output.branch_logits.items()}, batch)
        options: dict[str, Any] = {"task": self.task, "weights": self.weights, "smoothing": settings.label_smoothing}
        options |= {"focal": settings.focal, "across": sum_over_processes}
        loss = losses.label_loss(output.logits, batch.target, batch.labelled, mass=given.get("label"), **options)
        if self.fused and settings.branch_loss > 0:
            for m, logits in output.branch_logits.items():
                rows = batch.labelled & batch.presence[m]
                extra = losses.label_loss(logits, batch.target, rows, mass=given.get(m), **options)
                loss = loss + settings.branch_loss * extra
        if output.dimensions is not None:
            extra = losses.dimension_loss(
                output.dimensions, batch.dimensions, across=sum_over_processes, mass=given.get("dimensions")
            )
            loss = loss + settings.dimension_loss * extra
        if self.auxiliary is not None:
            others = self.auxiliary(next(iter(output.embeddings.values())))
            extra = auxiliary_loss(
                others, batch.other_targets, task=self.task, across=sum_over_processes, mass=given.get("others")
            )
            loss = loss + settings.auxiliary_loss * extra
        if self.adversary is not None:
            each = self.adversary(next(iter(output.embeddings.values())), batch.speakers, mix)
            mass = given.get("speakers", sum_over_processes(each.new_tensor(float(len(each)))))
            loss = loss + sum_over_processes(each.sum()) / mass
        return loss

    def _dimensions_loss(self, output: Output, batch: Batch, masses: Masses) -> Tensor:
        """The loss of valence, arousal and dominance: of the prediction and, in a fused stage, of each branch."""

        def loss(logits: Tensor, known: Tensor, name: str) -> Tensor:
            return losses.dimension_loss(logits.tanh(), known, across=sum_over_processes, mass=masses.get(name))

        total = loss(output.logits, batch.dimensions, "label")
        if self.fused and self.settings.branch_loss > 0:
            for m, logits in output.branch_logits.items():
                known = batch.dimensions.masked_fill(~batch.presence[m].unsqueeze(1), torch.nan)
                total = total + self.settings.branch_loss * loss(logits, known, m)
        return total


class Masked(Objective):
    """Predict masked parts of one modality's input; the masking task is defined by the encoder.

    Args:
        model: a branch.

    Raises:
        ConfigError: the encoder has no masking task.
    """

    def __init__(self, model: EmotionModel) -> None:
        super().__init__(model)
        self.modality: Modality = model.modalities[0]
        encoder = model.encoders[self.modality]
        assert isinstance(encoder, Encoder)
        self.task = encoder.masked_task()

    def forward(self, batch: Batch, masses: Masses | None = None) -> Tensor:
        """The mean loss over the masked parts of this process's clips; see :meth:`Objective.forward`."""
        loss = self.compare(batch)[0]
        return loss if masses is None else sum_over_processes(loss * len(batch)) / masses["clips"]

    def compare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss, and that of a naive guess from statistics of the training data."""
        m = self.modality
        loss, naive = self.task(self.model.encoders[m], batch.inputs[m], batch.masks[m])
        return loss, naive


class Contrastive(Objective):
    """Match words, voice and face of the same clip (Radford et al. 2021, for every pair of modalities).

    All embeddings are projected to a shared space. Among all clips of the batch, in all processes, the embedding of one
    modality must be closest to that of the other modality of the same clip.

    Args:
        model: model with two or more modalities; its fusion and heads are not trained.
    """

    #: Columns of the shared space.
    DIM = 128

    def __init__(self, model: EmotionModel) -> None:
        super().__init__(model)
        widths = {m: int(model.encoders[m].out_dim) for m in model.modalities}  # type: ignore[arg-type]
        self.project = nn.ModuleDict({m: nn.Linear(width, self.DIM) for m, width in widths.items()})
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, batch: Batch, masses: Masses | None = None) -> Tensor:
        """The mean over the pairs of modalities, in both directions; see :meth:`Objective.forward`."""
        loss = self.compare(batch)[0]
        return loss if masses is None else loss * sum_over_processes(self.masses(batch)["clips"]) / masses["clips"]

    def compare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss, and that of a uniform guess among the clips that have both modalities."""
        embeddings = self.model.encode(batch)
        points, here = {}, {}
        for m in self.model.modalities:
            points[m] = gather_rows(functional.normalize(self.project[m](embeddings[m]).float(), dim=1))
            here[m] = gather_rows(batch.presence[m])
        each = [self._pair(points[a], points[b], here[a] & here[b]) for a, b in combinations(self.model.modalities, 2)]
        loss = torch.stack([loss for loss, _ in each]).mean()
        return loss, torch.stack([naive for _, naive in each]).mean()

    def _pair(self, a: Tensor, b: Tensor, both: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of one pair of modalities, and that of a uniform guess.

        Args:
            a: ``[N, DIM]`` embeddings of one modality.
            b: ``[N, DIM]`` embeddings of the other.
            both: ``[N]``, whether the clip has both modalities.
        """
        scores = self.scale.float().clamp(max=math.log(100.0)).exp() * a @ b.T
        lowest = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~(both.unsqueeze(0) & both.unsqueeze(1)), lowest)
        count = both.sum()
        own = scores.diagonal()
        each = 0.5 * (scores.logsumexp(1) + scores.logsumexp(0)) - own
        loss = torch.where(both, each, 0.0).sum() / count.clamp_min(1)
        return loss, count.clamp_min(1).log()
