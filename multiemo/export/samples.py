"""Inputs with which a model is exported and compared: two made-up clips, read as any clip."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor

from multiemo.data.collate import Collate
from multiemo.data.manifest.reading import read_manifest
from multiemo.errors import ConfigError
from multiemo.predict.predictor import Predictor
from multiemo.predict.reader import Options
from multiemo.predict.sources import file_item
from multiemo.runs.model_folder import Bundle
from multiemo.synthetic.corpus import make_corpus
from multiemo.types import FeatureSpec, Modality, Sample

#: Clips, so that every set of modalities occurs.
_CLIPS = 8


def sample_inputs(bundle: Bundle) -> dict[Modality, tuple[Tensor, Tensor]]:
    """Inputs ``[B, T, ...]`` of each modality of a model, with their masks ``[B, T]``.

    Args:
        bundle: the model.

    Raises:
        ConfigError: a modality cannot be read from a film.
    """
    model = bundle.model
    predictor = Predictor(bundle, device="cpu", options=Options(segments="whole"))
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="multiemo-export-") as folder:
        manifest = make_corpus(Path(folder), speakers=2, clips_per_speaker=_CLIPS // 2)
        for clip in read_manifest(manifest):
            path = Path(folder, str(clip.video or clip.audio or clip.image))
            words = " ".join([clip.text or "so"] * (1 + len(samples) % 3))
            segments = predictor.reader.open(file_item(path, words)).segments
            samples += [predictor.sample(segment) for segment in segments]
    batch = Collate(model.modalities, len(bundle.labels))(samples)
    found: dict[Modality, tuple[Tensor, Tensor]] = {}
    for m in model.modalities:
        spec = bundle.inputs[m].spec
        rows = batch.presence[m].nonzero().squeeze(1)
        if isinstance(spec, FeatureSpec):
            found[m] = torch.randn(_CLIPS, 5, spec.dim), torch.arange(5) < torch.randint(2, 6, (_CLIPS, 1))
        elif len(rows) == 0:
            raise ConfigError(f"encoders.{m}: its input is not in films, so it cannot be exported")
        else:
            rows = rows[torch.arange(_CLIPS) % len(rows)]
            found[m] = batch.inputs[m][rows], batch.masks[m][rows]
    return found
