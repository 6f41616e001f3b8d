"""Learns what is usual for one person from recordings without labels, for encoders that normalise speakers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from multiemo.encoders.base import Encoder
from multiemo.errors import MediaError, MultiemoError
from multiemo.predict.answers import as_multiemo_error
from multiemo.predict.reader import Reader
from multiemo.predict.sources import Item
from multiemo.runs.device import Compute, speaker_vector
from multiemo.types import Modality


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A person that a model knows from other recordings.

    Args:
        clips: {modality: number of clips or segments of the person}.
        offsets: {modality: ``[M]``}, what is subtracted from the person's inputs, on the CPU.
    """

    clips: dict[Modality, int]
    offsets: dict[Modality, Tensor]


def enrol(reader: Reader, encoders: Mapping[Modality, Encoder], items: Iterable[Item], compute: Compute) -> Enrolment:
    """Read recordings of one person.

    Args:
        reader: of the model.
        encoders: {modality: encoder that normalises speakers}.
        items: recordings; every segment of a longer one counts as a clip.
        compute: device of the encoders, and precision.

    Raises:
        MediaError: a recording cannot be read, or nothing in them has one of the modalities.
    """
    means: dict[Modality, list[Tensor]] = {m: [] for m in encoders}
    absent: dict[Modality, str] = {}
    for item in items:
        try:
            for segment in reader.open(item).segments:
                absent = {**segment.absent, **absent}
                for m in encoders:
                    if m in segment.inputs:
                        means[m].append(speaker_vector(encoders[m], segment.inputs[m], compute))
        except Exception as error:
            cause = as_multiemo_error(error, item.name)
            raise type(cause)(f"--enrol: {cause}") from (None if isinstance(error, MultiemoError) else error)
    found = {m: torch.stack(rows) for m, rows in means.items() if rows}
    if not found:
        why = "; ".join(f"{m}: {absent[m]}" for m in means if m in absent) or "they are empty"
        raise MediaError(f"--enrol: nothing in these recordings shows the person's {' or '.join(means)} ({why})")
    offsets = {}
    for m, rows in found.items():
        estimator = encoders[m].speaker_offset
        assert estimator is not None
        total, count = rows.sum(0).to(compute.device), torch.tensor(float(len(rows)), device=compute.device)
        offsets[m] = estimator(total, count).cpu()
    return Enrolment({m: len(rows) for m, rows in found.items()}, offsets)
