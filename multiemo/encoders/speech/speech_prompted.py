"""Speech by asking an audio-language model, without training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from multiemo.encoders.common.prompted_media import MediaPrompted, Medium, medium_part
from multiemo.errors import ConfigError
from multiemo.labels.words import Language
from multiemo.registry import Positive, encoders
from multiemo.types import WaveformSpec

#: Length of the silence that stands for a voice without content.
SILENCE_SECONDS = 2.0


@encoders.register("speech_prompted", modality="speech")
class SpeechPrompted(MediaPrompted):
    """Asks an audio-language model of the transformers library which label fits the voice.

    The prompt is fixed, and uses the chat template of the model's processor if there is one. Nothing is trained, and
    the checkpoint refers to the model by its name and the digests of its files.

    Args:
        model: a model folder, ``package:NAME`` for one inside an installed package, or the name of a hub model
            ("Qwen/Qwen2-Audio-7B-Instruct").
        language: language of the prompt and of the words for the labels.
        max_seconds: longest speech that is read, from its beginning; at most what the model's feature extractor takes
            (30 s for those of Whisper).
        trim: both ends are cut where they are this many dB below the clip's loudest 25 ms (0.1 s is kept);
            0 cuts nothing.
        labels: C labels, given by the config.
        task: task of the config.
        assets: folder written by :meth:`save_assets`.

    Raises:
        ConfigError: ``model`` does not take sound with text, or cannot read a clip of this length.
        CheckpointError: the model is not the one that the checkpoint was made with.
    """

    input_kind = "waveform"
    input_spec: WaveformSpec
    medium: ClassVar[Medium] = Medium(
        "audio",
        "audio",
        ("feature_extractor", "audio_processor"),
        "name an audio-language model of transformers, such as Qwen2-Audio",
    )

    def __init__(
        self,
        *,
        model: str,
        language: Language = "en",
        max_seconds: Positive = 30.0,
        trim: float = 40.0,
        labels: Sequence[str],
        task: str = "single",
        assets: Path | None = None,
    ) -> None:
        super().__init__("speech", model=model, labels=labels, language=language, count=1, task=task, assets=assets)
        extractor = medium_part(self.processor, self.medium)
        rate = getattr(extractor, "sampling_rate", None)
        if rate is None:
            raise ConfigError(f"encoders.speech.model: {model!r} names no sample rate; {self.medium.instead}")
        longest = min(max_seconds, float(getattr(extractor, "chunk_length", None) or max_seconds))
        self.input_spec = WaveformSpec(sample_rate=int(rate), max_seconds=longest, trim=trim, normalize=False)
        self.check_longest(torch.zeros(round(longest * rate), 1))

    def media(self, clip: Tensor) -> list[Any]:
        """The samples ``[N]`` of a clip ``[N, 1]``."""
        return [clip[:, 0].float().cpu().numpy()]

    def neutral(self) -> Tensor:
        """Silence ``[N, 1]`` of two seconds."""
        seconds = min(SILENCE_SECONDS, self.input_spec.max_seconds)
        return torch.zeros(round(seconds * self.input_spec.sample_rate), 1)
