"""What attackers see of clips: embeddings by a speaker encoder, or by the encoders of the model itself."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from multiemo.arrays import Array, Floats
from multiemo.data.features.reading import read_features
from multiemo.data.manifest.reading import media_path
from multiemo.encoders.face.backbones import create_backbone
from multiemo.errors import ConfigError
from multiemo.extras import require
from multiemo.inputs import build_input
from multiemo.inputs.material import ManifestRow, PreparedInput
from multiemo.inputs.rows import read_row
from multiemo.media.reading import read_media
from multiemo.progress import Progress
from multiemo.runs.batches import Part
from multiemo.runs.device import Compute, resolve_device
from multiemo.runs.evaluation import evaluation_loader
from multiemo.runs.model_folder import Bundle
from multiemo.types import Clip, FaceSpec, Modality

#: {clip id: embedding}.
Embeddings = dict[str, Array]
#: Crops of a clip that an attacker of faces reads, evenly spread.
_FACE_FRAMES = 8
#: Sample rate that the speaker encoder reads, Hz.
RATE = 16000


class SpeakerEncoder:
    """The speaker encoder of ``resemblyzer`` (Wan et al. 2018), on the CPU.

    Raises:
        ConfigError: the package is not installed.
    """

    name = "resemblyzer"

    def __init__(self) -> None:
        package: ModuleType = require("resemblyzer", "the attacker resemblyzer")
        self._prepare = package.preprocess_wav
        self._encoder = package.VoiceEncoder("cpu", verbose=False)

    @classmethod
    def installed(cls) -> bool:
        """Whether the package is installed."""
        return importlib.util.find_spec("resemblyzer") is not None

    def embed_sound(self, sound: Floats) -> Array | None:
        """The embedding ``[256]`` of a sound, of length 1; ``None`` if no speech is found.

        Args:
            sound: ``[N]`` float32 with full scale 1, at :data:`RATE`.
        """
        speech = self._prepare(sound, RATE) if len(sound) else sound
        return np.asarray(self._encoder.embed_utterance(speech), np.float64) if len(speech) else None

    def embed(self, clips: Sequence[Clip], folder: Path, progress: Progress) -> Embeddings:
        """Embed the voice of each clip; clips without sound, or in which no speech is found, are left out.

        Args:
            clips: rows of a manifest.
            folder: its folder.
            progress: receives the number of finished clips.
        """
        made = {}
        for number, clip in enumerate(clips):
            source = clip.audio or clip.video
            if source is not None:
                where = media_path(source, folder)
                sound = read_media(where, start=clip.start, end=clip.end, rate=RATE, where=clip.id).audio
                found = None if sound is None else self.embed_sound(sound)
                if found is not None:
                    made[clip.id] = found
            progress.update(number + 1, len(clips))
        return made


class FaceEncoder:
    """A model of pictures that is named by the user, such as one that was trained to recognise people.

    Args:
        name: a timm model with published weights (``hf-hub:OWNER/MODEL`` included), or ``local-dir:FOLDER``.
        device: see :func:`multiemo.runs.device.compute_of`.

    Raises:
        ConfigError: there is no such model, or its weights are not available.
    """

    def __init__(self, name: str, device: str) -> None:
        try:
            backbone, facts = create_backbone(name, None, True, None, None)
        except ConfigError as error:
            raise ConfigError(f"--face-attacker: {error}") from None
        self.name = name.rpartition("/")[2].removeprefix("local-dir:")
        self._device = resolve_device(device)
        self._backbone = backbone.eval().to(self._device)
        self._mean, self._std = (torch.tensor(facts[key]).view(3, 1, 1) for key in ("mean", "std"))
        self._input = build_input("face", FaceSpec(size=facts["size"], frames=_FACE_FRAMES))

    @torch.inference_mode()
    def embed(self, clips: Sequence[Clip], folder: Path, progress: Progress) -> Embeddings:
        """Embed the face of each clip: the mean over its crops; clips without a face are left out.

        Args:
            clips: rows of a manifest.
            folder: its folder.
            progress: receives the number of finished clips.

        Raises:
            MediaError: a file cannot be read.
        """
        made = {}
        for number, clip in enumerate(clips):
            row = read_row(ManifestRow(clip, folder), {"face": self._input})
            for error in row.damaged.values():
                raise error
            found = row.ready.get("face")
            if isinstance(found, PreparedInput):
                pictures = (found.tensor.float() / 255 - self._mean) / self._std
                vectors = self._backbone(pictures.to(self._device)).float().cpu().double()
                made[clip.id] = vectors.mean(0).numpy()
            progress.update(number + 1, len(clips))
        return made


def feature_embeddings(clips: Sequence[Clip], folder: Path, modality: Modality) -> Embeddings:
    """Means over time of the precomputed features of each clip, standardised; clips without them are left out.

    Args:
        clips: rows of a manifest.
        folder: its folder.
        modality: modality of the features.
    """
    made: Embeddings = {}
    for clip in clips:
        if modality in clip.features:
            ref = clip.features[modality]
            values, _ = read_features(media_path(ref.path, folder), ref.key, clip.start, clip.end)
            if len(values):
                made[clip.id] = values.astype(np.float64).mean(axis=0)
    if not made:
        return made
    rows = np.stack(list(made.values()))
    middle, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-9)
    return {name: (values - middle) / spread for name, values in made.items()}


@torch.inference_mode()
def branch_embeddings(bundle: Bundle, part: Part, modality: Modality, compute: Compute) -> Embeddings:
    """Embeddings of the clips of a part by the encoder of a model; clips without the modality are left out.

    Args:
        bundle: the model.
        part: preprocessed part.
        modality: modality of the encoder.
        compute: device and precision.
    """
    model = bundle.model.to(compute.device).eval()
    rows = part.rows_with((modality,), labelled=False)
    made: Embeddings = {}
    for batch in evaluation_loader(part, model.modalities, rows, budget=bundle.config.training.budget) if rows else ():
        with compute.autocast():
            found = model.encode(batch.to(compute.device))[modality].float().cpu().double().numpy()
        made |= dict(zip(batch.ids, found, strict=True))
    return made
