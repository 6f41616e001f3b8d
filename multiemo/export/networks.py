"""The parts of a model that become ONNX graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from multiemo.calibration import Calibration
from multiemo.model import EmotionModel
from multiemo.types import Modality, subset_key


class EncoderGraph(nn.Module):
    """One encoder, with the reliability of its input where the model measures it.

    Args:
        model: the model.
        modality: modality of the encoder.
    """

    def __init__(self, model: EmotionModel, modality: Modality) -> None:
        super().__init__()
        self.encoder = model.encoders[modality]
        self.reliability = dict(model.reliability).get(modality)
        # No name of an operator, which a value within the graph may have.
        self.outputs = ["clip_embedding", *(["reliability"] if self.reliability is not None else [])]

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Embedding ``[B, D]``, and reliability ``[B]`` if it is measured.

        Args:
            x: ``[B, T, ...]``.
            mask: ``[B, T]`` bool, true for real steps, which come first; each row has one.
        """
        embedding = self.encoder(x, mask).float()
        return (embedding,) if self.reliability is None else (embedding, self.reliability(x, mask))


class FusionGraph(nn.Module):
    """Fusion, heads and calibration: from the embeddings of a batch to probabilities.

    Args:
        model: the model.
        calibration: its calibration.
    """

    temperatures: Tensor
    biases: Tensor
    branch_temperatures: Tensor
    branch_biases: Tensor

    def __init__(self, model: EmotionModel, calibration: Calibration) -> None:
        super().__init__()
        self.model = model
        self.modalities = model.modalities
        self.measured = [m for m in model.modalities if m in model.reliability]
        what = "predicted_values" if model.task == "dimensions" else "probabilities"
        self.outputs = [what, *(f"{m}_{what}" for m in self.modalities)]
        if model.dimension_head is not None:
            self.outputs.append("dimensions")
        classes = len(model.prior)
        # Row number k has the modalities whose bits are set in k.
        sets = [[m for i, m in enumerate(self.modalities) if k >> i & 1] for k in range(2 ** len(self.modalities))]
        keys = [subset_key(members) if members else "" for members in sets]
        zeros = [0.0] * classes
        self.register_buffer("temperatures", torch.tensor([calibration.temperature(k) for k in keys]))
        self.register_buffer("biases", torch.tensor([list(calibration.biases.get(k, zeros)) for k in keys]))
        one = [calibration.branches.get(m, 1.0) for m in self.modalities]
        self.register_buffer("branch_temperatures", torch.tensor(one))
        branch = [list(calibration.branch_biases.get(m, zeros)) for m in self.modalities]
        self.register_buffer("branch_biases", torch.tensor(branch))

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs of :meth:`forward`, in order."""
        return [
            *(f"{m}_embedding" for m in self.modalities),
            *(f"{m}_present" for m in self.modalities),
            *(f"{m}_reliability" for m in self.measured),
        ]

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs from embeddings ``[B, D]``, presence ``[B]`` bool and reliabilities ``[B]``.

        The rows of a modality that is absent are ignored; they must be finite.
        """
        model, count = self.model, len(self.modalities)
        embeddings = dict(zip(self.modalities, given[:count], strict=True))
        presence = dict(zip(self.modalities, given[count : 2 * count], strict=True))
        reliability = dict(zip(self.measured, given[2 * count :], strict=True))
        embeddings = {m: torch.where(presence[m].unsqueeze(1), e, 0.0) for m, e in embeddings.items()}
        row = torch.stack([presence[m].long() << i for i, m in enumerate(self.modalities)]).sum(0)
        fused = self._scaled(model.fuse(embeddings, presence, reliability), self.temperatures[row], self.biases[row])
        branches = [
            self._scaled(model.branch_logits(m, embeddings[m]), temperature, bias)
            for m, temperature, bias in zip(
                self.modalities, self.branch_temperatures.unsqueeze(1), self.branch_biases, strict=True
            )
        ]
        if model.dimension_head is None:
            return (fused, *branches)
        return (fused, *branches, model.fuse_dimensions(embeddings, presence, reliability))

    def _scaled(self, logits: Tensor, temperature: Tensor, bias: Tensor) -> Tensor:
        """Calibrated probabilities ``[B, C]``; the values themselves for a model of dimensions."""
        logits = logits.float()
        if self.model.task == "dimensions":
            return logits.tanh()
        if self.model.task == "multi":
            return torch.sigmoid(logits / temperature.unsqueeze(-1) + bias)
        return torch.softmax(logits.log_softmax(-1) / temperature.unsqueeze(-1) + bias, dim=-1)
