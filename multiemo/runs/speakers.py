"""The clips of a part by which speakers are normalised (``speaker_normalization`` of an encoder)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.utils.data import Dataset

from multiemo.encoders.base import Encoder
from multiemo.errors import ConfigError
from multiemo.inputs.dataset import speaker_name
from multiemo.runs.batches import Part
from multiemo.runs.device import Compute, speaker_vector
from multiemo.training.speaker_draws import SpeakerDraws
from multiemo.types import Modality, Sample


def speaker_draws(
    part: Part,
    encoders: Mapping[Modality, Encoder],
    samples: Dataset[Sample] | None = None,
    *,
    compute: Compute | None = None,
) -> SpeakerDraws | None:
    """Draws from the clips of a part whose speaker is named; ``None`` if no encoder normalises speakers.

    Args:
        part: preprocessed part.
        encoders: {modality: encoder}.
        samples: dataset to read instead of the part's own, with the same indices; hidden states in it are not computed
            again.
        compute: device of the encoders, and precision; by default the CPU in float32.
    """
    normalised = {m: encoder for m, encoder in encoders.items() if encoder.speaker_offset is not None}
    if not normalised:
        return None
    clips, compute = part.dataset.clips, compute or Compute(torch.device("cpu"))
    means: dict[Modality, dict[str, Tensor]] = {m: {} for m in normalised}
    speakers: dict[str, str] = {}
    for row in part.rows_with(tuple(normalised), labelled=False):
        if clips[row].speaker is None:
            continue
        sample = (part.dataset if samples is None else samples)[row]
        for m, encoder in normalised.items():
            if (found := _vector(encoder, m, sample, compute)) is not None:
                means[m][sample.id] = found
                speakers[sample.id] = speaker_name(clips[row])
    offsets = {m: encoder.speaker_offset for m, encoder in normalised.items() if encoder.speaker_offset is not None}
    return SpeakerDraws(offsets, means, speakers)


def fit_offsets(draws: SpeakerDraws) -> None:
    """Fit what is usual for speakers to the clips of train; offsets that another run has fitted are kept.

    Raises:
        ConfigError: fewer than two speakers are named that have several clips.
    """
    for m in draws.offsets:
        several = draws.fit(m)
        if several < 2:
            raise ConfigError(
                f"encoders.{m}.speaker_normalization: needs speakers with several clips each, but train names "
                f"{several}; add speakers to the manifest, or set it to false"
            )


def _vector(encoder: Encoder, m: Modality, sample: Sample, compute: Compute) -> Tensor | None:
    """What is averaged over the clips of a speaker, ``[M]`` on the CPU; ``None`` if the sample lacks the modality."""
    if m in sample.states:
        return sample.states[m].float().mean(0)
    if m not in sample.inputs:
        return None
    return speaker_vector(encoder, sample.inputs[m], compute)
