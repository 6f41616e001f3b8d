"""The tensors that a model reads of an input, for the exported graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from multiemo.data.collate import Collate
from multiemo.errors import MediaError
from multiemo.predict.sources import Item, file_item
from multiemo.types import Modality

if TYPE_CHECKING:
    from multiemo.predict import Predictor


def input_tensors(
    model: Predictor, source: str | Path | None = None, *, text: str | None = None
) -> dict[Modality, tuple[NDArray[np.generic], NDArray[np.bool_]]]:
    """Read a file, a text, or both, as the model reads it, one row for each segment.

    Args:
        model: the loaded model.
        source: path of a video, an audio file or an image.
        text: what is said in it.

    Returns:
        {modality: (input ``[B, T, ...]``, mask ``[B, T]`` true for real steps)} of the modalities that any segment has.
        A row of a modality that its segment lacks has no real step; it must not go through the encoder.

    Raises:
        MediaError: the file cannot be read, or nothing was given.
    """
    if source is None and text is None:
        raise MediaError("nothing to read: give a file, a text, or both")
    item = Item("text", text=text) if source is None else file_item(source, text)
    samples = [model.sample(segment) for segment in model.reader.open(item).segments]
    if not samples:
        return {}
    batch = Collate(model.model.modalities, len(model.labels))(samples)
    return {m: (x.numpy(), batch.masks[m].numpy()) for m, x in batch.inputs.items() if batch.presence[m].any()}
