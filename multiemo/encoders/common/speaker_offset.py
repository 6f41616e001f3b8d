"""How a speaker usually differs from others: what speaker normalisation subtracts from the input of an encoder.

People differ in register, loudness, timbre and the resting shape of their face, often more than one person does between
emotions. Other clips of the same person show what is usual for them. No labels are needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from multiemo.errors import ConfigError

#: Least variance between speakers, as a share of the variance within them; below it a column is hardly shifted.
_LEAST_BETWEEN = 1e-3


class SpeakerOffset(nn.Module):
    """Estimates a speaker's offset from the means of some of their clips, column by column.

    ``offset = (sum of the clips' means - n * mean) / (n + ratio)``

    with n the number of clips, the mean over training speakers, and the ratio of the variance of clips within a speaker
    to that between speakers. This is the posterior mean of the offset if both are normal (Efron and Morris 1973): no
    clip gives no offset, few clips a cautious one, many clips the speaker's own mean.

    Args:
        columns: ``[M]`` bool, the columns of the input that are shifted; the others keep an offset of zero.
    """

    columns: Tensor
    mean: Tensor
    ratio: Tensor

    def __init__(self, columns: Tensor) -> None:
        super().__init__()
        self.register_buffer("columns", columns.clone(), persistent=False)
        self.register_buffer("mean", torch.zeros(len(columns)))
        self.register_buffer("ratio", torch.full((len(columns),), torch.inf))

    @property
    def fitted(self) -> bool:
        """Whether :meth:`fit` has found how speakers differ."""
        return bool(torch.isfinite(self.ratio).any())

    def fit(self, means: Tensor, speakers: Sequence[str]) -> None:
        """Fit mean and ratio to training clips; with fewer than two speakers of two clips no offset is ever estimated.

        Args:
            means: ``[N, M]``, of the input or hidden states of each clip over time.
            speakers: speaker of each of the N clips.
        """
        rows: dict[str, list[int]] = {}
        for row, speaker in enumerate(speakers):
            rows.setdefault(speaker, []).append(row)
        several = [means[of].double() for of in rows.values() if len(of) > 1]
        if len(several) < 2:
            return
        centres = torch.stack([clips.mean(0) for clips in several])
        within = torch.stack([clips.var(0) for clips in several]).mean(0)
        # The centres of speakers also vary because each is a mean of few clips.
        noise = within * torch.tensor([1 / len(clips) for clips in several], dtype=torch.float64).mean()
        between = (centres.var(0) - noise).clamp_min(_LEAST_BETWEEN * within)
        self.mean = centres.mean(0).to(self.mean)
        self.ratio = torch.where(between > 0, within / between, torch.inf).to(self.ratio)

    def forward(self, total: Tensor, count: Tensor) -> Tensor:
        """Estimate offsets.

        Args:
            total: ``[..., M]`` sum of the means of a speaker's clips.
            count: ``[...]`` number of these clips; may be 0.

        Returns:
            ``[..., M]``, zero without clips.
        """
        count = count.unsqueeze(-1).to(total.dtype)
        return ((total - count * self.mean) / (count + self.ratio)).masked_fill(~self.columns, 0.0)


def not_normalised_error(option: str) -> ConfigError:
    """The error for an option that a model without speaker normalisation cannot follow."""
    return ConfigError(
        f"{option}: no encoder of this model normalises speakers; train it with speaker_normalization: true in "
        "encoders.face or encoders.speech (encoders features, speech_prosody, and frozen speech_pretrained)"
    )
