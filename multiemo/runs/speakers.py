"""The mean inputs of a part's clips, by which speakers are normalised (``speaker_normalization`` of an encoder)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from multiemo.encoders.common.speaker_offset import SpeakerOffset, clip_mean
from multiemo.errors import ConfigError
from multiemo.inputs.dataset import speaker_name
from multiemo.runs.batches import Part
from multiemo.training.speaker_draws import SpeakerDraws
from multiemo.types import Modality


def fit_speaker_offset(offset: SpeakerOffset, part: Part, m: Modality, rows: Sequence[int]) -> None:
    """Fit what is usual for speakers to training clips.

    Args:
        offset: estimator of an encoder.
        part: preprocessed training part.
        m: modality of the encoder, which all of the clips have.
        rows: indices into the part.

    Raises:
        ConfigError: fewer than two speakers are named that have several clips.
    """
    clips = part.dataset.clips
    named = [row for row in rows if clips[row].speaker is not None]
    speakers = [speaker_name(clips[row]) for row in named]
    several = sum(count > 1 for count in Counter(speakers).values())
    if several < 2:
        raise ConfigError(
            f"encoders.{m}.speaker_normalization: needs speakers with several clips each, but train names {several}; "
            "add speakers to the manifest, or set it to false"
        )
    offset.fit(torch.stack([clip_mean(part.dataset[row].inputs[m]) for row in named]), speakers)


def speaker_draws(part: Part, encoders: Mapping[Modality, nn.Module]) -> SpeakerDraws | None:
    """Draws from the clips of a part whose speaker is named; ``None`` if no encoder normalises speakers.

    Args:
        part: preprocessed part.
        encoders: {modality: encoder}.
    """
    offsets = {m: o for m, e in encoders.items() if isinstance(o := e.speaker_offset, SpeakerOffset)}
    if not offsets:
        return None
    clips = part.dataset.clips
    named = {
        m: [row for row in part.rows_with((m,), labelled=False) if clips[row].speaker is not None] for m in offsets
    }
    means = {m: {clips[row].id: clip_mean(part.dataset[row].inputs[m]) for row in rows} for m, rows in named.items()}
    speakers = {
        clips[row].id: speaker_name(clips[row]) for row in sorted({row for rows in named.values() for row in rows})
    }
    return SpeakerDraws(offsets, means, speakers)
