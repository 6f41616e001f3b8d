"""What an explanation explains: the model's log-odds of one label as a function of one modality's input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from multiemo.calibration import Calibration
from multiemo.data.collate import Collate
from multiemo.model import EmotionModel
from multiemo.runs.device import Compute
from multiemo.types import Modality, Sample, subset_key

#: Changed inputs that go through an encoder together.
_CHUNK = 64


class ClipTarget:
    """The model's score of one label for one clip, as a function of the input of one of its modalities.

    The score is the calibrated log-odds of the label, ``log p - log(1 - p)``, given every modality that the clip has.
    With ``task: dimensions`` it is the predicted value of the column. The other modalities are encoded once, so K
    changed inputs cost K passes of one encoder. The reliability of each input is that of the unchanged clip.

    Args:
        model: the model, on the device of ``compute`` and in evaluation mode.
        calibration: its calibration.
        compute: device and precision.
        sample: the clip; it has an input of ``modality``.
        modality: the modality that varies.
        label: column of the explained label, or of the dimension.
        names: names of the columns, for messages; by default their positions.
    """

    def __init__(
        self,
        model: EmotionModel,
        calibration: Calibration,
        compute: Compute,
        sample: Sample,
        modality: Modality,
        label: int,
        names: Sequence[str] = (),
    ) -> None:
        self.model, self.compute, self.modality, self.label = model, compute, modality, label
        self.names = tuple(names) or tuple(str(c) for c in range(model.prior.numel()))
        self.x = sample.inputs[modality].to(compute.device)
        batch = Collate(model.modalities, model.prior.numel())([sample]).to(compute.device)
        with torch.no_grad(), compute.autocast():
            self._others = {m: e for m, e in model.encode(batch).items() if m != modality}
            self._reliability = model.input_reliability(batch)
        self._presence = {m: batch.presence[m] for m in model.modalities}
        key = subset_key([m for m in model.modalities if m in sample.inputs or m in sample.embeddings])
        bias = calibration.biases.get(key)
        self._calibration, self._key = calibration, key
        self._temperature = calibration.temperature(key)
        self._bias = None if bias is None else torch.tensor(bias, dtype=torch.float32, device=compute.device)

    def __call__(self, x: Tensor, mask: Tensor) -> Tensor:
        """Scores ``[K]`` float32 of K changed inputs; differentiable where the encoder is.

        Args:
            x: ``[K, T, ...]``, padded.
            mask: ``[K, T]`` bool, true for real steps; every row has at least one.
        """
        return self.of_embeddings(self.embed(x, mask))

    def embed(self, x: Tensor, mask: Tensor) -> Tensor:
        """Embeddings ``[K, D]`` of K changed inputs.

        Args:
            x: ``[K, T, ...]``, padded.
            mask: ``[K, T]`` bool, as for a call.
        """
        encoder = self.model.encoders[self.modality]
        with self.compute.autocast():
            parts = [encoder(x[i : i + _CHUNK], mask[i : i + _CHUNK]) for i in range(0, len(x), _CHUNK)]
        return torch.cat(parts)

    def of_embeddings(self, embeddings: Tensor) -> Tensor:
        """Scores ``[K]`` float32 of K embeddings ``[K, D]`` of the modality."""
        logits = self.logits(embeddings)
        if self.model.task == "dimensions":
            return logits[:, self.label].tanh()
        if self.model.task == "multi":
            return logits[:, self.label]
        others = [c for c in range(logits.shape[1]) if c != self.label]
        return logits[:, self.label] - logits[:, others].logsumexp(dim=1)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Calibrated logits ``[K, C]`` float32 of K embeddings ``[K, D]`` of the modality."""
        count = len(embeddings)
        every: Mapping[Modality, Tensor] = {
            **{m: e.expand(count, -1).to(embeddings.dtype) for m, e in self._others.items()},
            self.modality: embeddings,
        }
        with self.compute.autocast():
            presence = {m: p.expand(count) for m, p in self._presence.items()}
            logits = self.model.fuse(every, presence, {m: r.expand(count) for m, r in self._reliability.items()})
        if self.model.task == "dimensions":
            return logits.float()
        scaled = logits.float() / self._temperature
        return scaled if self._bias is None else scaled + self._bias

    def probability(self, scores: Tensor) -> Tensor:
        """Probability of the label for log-odds; the unchanged value of a dimension."""
        return scores if self.model.task == "dimensions" else scores.sigmoid()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities ``[K, C]`` of calibrated logits; the values of dimensions."""
        return self.model.probabilities(logits)

    def decide(self, logits: Tensor) -> list[tuple[int, ...]]:
        """The columns that are decided for each of K calibrated logits ``[K, C]``, at the costs of the calibration.

        Returns:
            K tuples: one column each; with several labels per clip all given labels, possibly none; empty with
            ``task: dimensions``.
        """
        task = self.model.task
        if task == "dimensions":
            return [()] * len(logits)
        probabilities = self.probabilities(logits).detach().double().cpu().numpy()
        decided = self._calibration.decide([self._key] * len(logits), probabilities, task)
        if task == "multi":
            return [tuple(row.nonzero()[0].tolist()) for row in decided]
        return [(int(column),) for column in decided]
