"""What a stage learns: labels, hidden parts of its own input, or which words, voice and face belong together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from multiemo.config import TrainingConfig
from multiemo.encoders.base import Encoder
from multiemo.training import losses
from multiemo.training.auxiliary import AuxiliaryHeads, auxiliary_loss, auxiliary_mass
from multiemo.training.mixup import mix_pairs
from multiemo.training.modulation import Modulation
from multiemo.training.parallel import gather_rows, sum_over_processes
from multiemo.types import Batch, Modality, Output

if TYPE_CHECKING:
    from multiemo.model import EmotionModel

#: {loss: what its sum over clips is divided by}; one value a column or source where a loss has several.
Masses: TypeAlias = Mapping[str, Tensor]


class Objective(nn.Module):
    """A model and what is asked of it; calling it with a batch gives the loss.

    Modules beside the model (heads, decoders) are trained along and not kept.

    Args:
        model: its weights are what a stage is for.
    """

    def __init__(self, model: EmotionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, masses: Masses | None = None) -> Tensor:
        """The loss of one batch, the same in all processes.

        Args:
            batch: what this process has of it.
            masses: what each loss is divided by, so that the batches of a step add up to the step's loss; by default
                the batch's own, of all processes.
        """
        raise NotImplementedError

    def masses(self, batch: Batch) -> Masses:
        """What the losses are means over, of this process's share of a batch; by default clips."""
        return {"clips": torch.full((), float(len(batch)), device=batch.target.device)}

    def expected(self) -> Masses:
        """The mean of :meth:`masses` over the clips of train, each alone."""
        return {"clips": torch.ones(())}

    def modulate(self, seed: int) -> None:
        """Change the gradients of a step before they are clipped; by default they stay.

        Args:
            seed: of what is drawn; another one each step, the same in all processes.
        """

    def compare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss of one batch without labels, and that of a guess which knows nothing of the clips."""
        raise NotImplementedError


class Labels(Objective):
    """Learn the labels: of the fused answer, of each branch, of other sources, and the dimensions.

    Args:
        model: a branch or a fused model.
        settings: of the stage.
        task: ``single``, ``multi``, ``soft`` or ``dimensions``.
        frequencies: ``[C]`` label frequencies of train, for class weights.
        census: all clips that are trained on, without their inputs; a budget needs them.
        draws: ``[clips]`` how often each is drawn, against the others; by default all alike.
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
    ) -> None:
        super().__init__(model)
        self.settings, self.task = settings, task
        self.fused = model.fusion is not None
        power = settings.class_weights
        weights = losses.class_weights(frequencies, power, task=task) if power > 0 else None
        self.register_buffer("weights", weights, persistent=False)
        self.auxiliary: AuxiliaryHeads | None = None
        if settings.auxiliary_loss > 0 and not self.fused:
            width = int(model.encoders[model.modalities[0]].out_dim)  # type: ignore[arg-type]
            self.auxiliary = AuxiliaryHeads(width, len(model.prior))
        self.modulation: Modulation | None = None
        if settings.modulation > 0 and self.fused:
            self.modulation = Modulation(settings.modulation, multi=task == "multi", across=sum_over_processes)
        self._expected: Masses | None = None
        if census is not None:
            shares = torch.ones(len(census.target)) if draws is None else draws.float()
            self._expected = self.masses(census, shares / shares.sum())

    def masses(self, batch: Batch, each: Tensor | None = None) -> Masses:
        """As :meth:`Objective.masses`, ``each`` clip counting that much (``[B]``)."""
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
        return masses

    def _dimension_masses(self, batch: Batch, each: Tensor) -> Masses:
        """{loss: ``[3]`` clips that know each dimension} of the answer and of each branch."""
        known = ~batch.dimensions.isnan() * each.unsqueeze(1)
        masses = {"label": known.sum(0)}
        if self.fused:
            masses |= {m: (known * batch.presence[m].unsqueeze(1)).sum(0) for m in self.model.modalities}
        return masses

    def expected(self) -> Masses:
        """As :meth:`Objective.expected`.

        Raises:
            ValueError: the clips of train are not known.
        """
        if self._expected is None:
            raise ValueError("a budget needs the census of train")
        return self._expected

    def modulate(self, seed: int) -> None:
        """As :meth:`Objective.modulate`: OGM-GE, where it is asked for."""
        if self.modulation is not None:
            self.modulation({m: self.model.encoders[m] for m in self.model.modalities}, seed)

    def forward(self, batch: Batch, masses: Masses | None = None) -> Tensor:
        """The sum of the stage's losses."""
        settings, given = self.settings, masses or {}
        mix: tuple[Tensor, Tensor] | None = None
        if settings.mixup > 0:
            batch, mix = mix_pairs(batch, settings.mixup)
        dropout = settings.modality_dropout if self.fused else 0.0
        output = self.model(batch, modality_dropout=dropout, mix=mix)
        if self.task == "dimensions":
            return self._of_dimensions(output, batch, given)
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
        return loss

    def _of_dimensions(self, output: Output, batch: Batch, masses: Masses) -> Tensor:
        """The loss of valence, arousal and dominance: of the answer, and in a fused stage of each branch."""

        def loss(logits: Tensor, known: Tensor, name: str) -> Tensor:
            return losses.dimension_loss(logits.tanh(), known, across=sum_over_processes, mass=masses.get(name))

        total = loss(output.logits, batch.dimensions, "label")
        if self.fused and self.settings.branch_loss > 0:
            for m, logits in output.branch_logits.items():
                known = batch.dimensions.masked_fill(~batch.presence[m].unsqueeze(1), torch.nan)
                total = total + self.settings.branch_loss * loss(logits, known, m)
        return total


class Masked(Objective):
    """Learn what was hidden of one modality's input; the task is the encoder's own.

    Args:
        model: a branch.

    Raises:
        ConfigError: its encoder has no such task.
    """

    def __init__(self, model: EmotionModel) -> None:
        super().__init__(model)
        self.modality: Modality = model.modalities[0]
        encoder = model.encoders[self.modality]
        assert isinstance(encoder, Encoder)
        self.task = encoder.masked_task()

    def forward(self, batch: Batch, masses: Masses | None = None) -> Tensor:
        """The mean loss over what was hidden in this process's clips."""
        loss = self.compare(batch)[0]
        return loss if masses is None else sum_over_processes(loss * len(batch)) / masses["clips"]

    def compare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss, and that of a guess that knows the training data but not the clip."""
        m = self.modality
        loss, naive = self.task(self.model.encoders[m], batch.inputs[m], batch.masks[m])
        return loss, naive


class Contrastive(Objective):
    """Learn which words, voice and face are of one clip (Radford et al. 2021, for every pair of modalities).

    Every embedding is projected to one shared space; of all clips of the batch, in all processes, a clip's embedding of
    one modality must be nearest to its own of the other.

    Args:
        model: with two modalities or more; its fusion and heads stay as they are.
    """

    #: Columns of the shared space.
    DIM = 128

    def __init__(self, model: EmotionModel) -> None:
        super().__init__(model)
        widths = {m: int(model.encoders[m].out_dim) for m in model.modalities}  # type: ignore[arg-type]
        self.project = nn.ModuleDict({m: nn.Linear(width, self.DIM) for m, width in widths.items()})
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, batch: Batch, masses: Masses | None = None) -> Tensor:
        """The mean over the pairs of modalities, both ways."""
        loss = self.compare(batch)[0]
        return loss if masses is None else loss * sum_over_processes(self.masses(batch)["clips"]) / masses["clips"]

    def compare(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss, and that of a guess among the clips that have both modalities."""
        embeddings = self.model.encode(batch)
        points, here = {}, {}
        for m in self.model.modalities:
            points[m] = gather_rows(functional.normalize(self.project[m](embeddings[m]).float(), dim=1))
            here[m] = gather_rows(batch.presence[m])
        each = [self._pair(points[a], points[b], here[a] & here[b]) for a, b in combinations(self.model.modalities, 2)]
        loss = torch.stack([loss for loss, _ in each]).mean()
        return loss, torch.stack([naive for _, naive in each]).mean()

    def _pair(self, a: Tensor, b: Tensor, both: Tensor) -> tuple[Tensor, Tensor]:
        """Of ``[N, DIM]`` twice and ``[N]``: whether the clip has both."""
        scores = self.scale.float().clamp(max=math.log(100.0)).exp() * a @ b.T
        lowest = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~(both.unsqueeze(0) & both.unsqueeze(1)), lowest)
        count = both.sum()
        own = scores.diagonal()
        each = 0.5 * (scores.logsumexp(1) + scores.logsumexp(0)) - own
        loss = torch.where(both, each, 0.0).sum() / count.clamp_min(1)
        return loss, count.clamp_min(1).log()
