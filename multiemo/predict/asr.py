"""Speech recognition with timestamps, by any Whisper model of the transformers library (Radford et al. 2023).

Each span of speech is recognised independently, so a file and a live stream of the same sound give the same words.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from multiemo.arrays import Floats
from multiemo.encoders.common.pretrained import load_weights, quiet, resolve_model
from multiemo.errors import ConfigError
from multiemo.runs.device import resolve_device
from multiemo.transcripts import Cue, Transcript
from multiemo.transcripts.cleaning import sounds_note, strip_sounds
from multiemo.transcripts.transcript import repair_cues

_WHERE = "--asr"
#: Sound shorter than this (seconds) is not recognised: it is too short for a word.
_SHORTEST = 0.1
#: Whisper's own rule for silence: no words if its "no speech" probability exceeds the first threshold and the mean log
#: probability of its words is below the second.
_SILENCE = {"no_speech_threshold": 0.6, "logprob_threshold": -1.0, "temperature": (0.0,)}


class Transcriber:
    """A Whisper model that transcribes speech.

    Args:
        model: a model folder, ``package:NAME``, or the name of a hub model ("openai/whisper-small").
        language: code of the language spoken ("zh"). With ``None`` the model detects it for each span.
        offline: never download: a hub model must already be in the local cache.
        device: as in :func:`multiemo.runs.device.compute_of`. The model computes in float32.

    Raises:
        ConfigError: the model does not exist, is not a Whisper model, lacks files, or does not support the language.

    Example::

        words = Transcriber("openai/whisper-small").transcribe(samples)
        words.between(0.0, 4.0)
    """

    #: Sample rate that it reads, Hz.
    RATE = 16000

    def __init__(self, model: str, *, language: str | None = None, offline: bool = False, device: str = "auto") -> None:
        self.name = model
        self.device = resolve_device(device)
        self._model, self._extractor, self._tokenizer = _load(model, offline)
        self._model.to(self.device).eval()
        _encode_once(self._model.get_encoder())
        settings = self._model.generation_config
        last_word = getattr(settings, "no_timestamps_token_id", None)
        self._has_times = last_word is not None
        self._first_time = math.inf if last_word is None else last_word + 1  # every id from here on is a timestamp
        is_english = getattr(settings, "is_multilingual", None) is False
        table = {} if is_english else getattr(settings, "lang_to_id", None) or {}
        self._languages = {i: name.strip("<|>") for name, i in table.items()}  # by the id of the language's token
        self._has_tasks = bool(getattr(settings, "task_to_id", None))
        known = ["en"] if is_english else sorted(self._languages.values())
        if language is not None and language not in known:
            what = ", ".join(known) or "none by name"
            raise ConfigError(f"{_WHERE}: {model!r} does not support the language {language!r}; it supports {what}")
        self.language = "en" if is_english else language

    def transcribe(self, samples: Floats, offset: float = 0.0) -> Transcript:
        """Transcribe one span of speech; a span longer than 30 s is read in windows of 30 s.

        Args:
            samples: ``[N]`` float32 within -1..1 at :data:`RATE`.
            offset: start of the span, seconds; it is added to all times.

        Returns:
            Cues within the span. If no words were recognised, there are none, and a note says so.

        Raises:
            ValueError: ``samples`` is not one-dimensional.
        """
        if samples.ndim != 1:
            raise ValueError(f"samples must be [N] mono, not {samples.shape}")
        duration = len(samples) / self.RATE
        cues, language, notes = self._recognise(samples, duration) if duration >= _SHORTEST else ([], None, [])
        if not cues:
            notes.append(f"no words were recognised from {offset:.2f} to {offset + duration:.2f} s")
        transcript = Transcript.of(cues, self.source, notes, language=language)
        return transcript.shifted(offset)

    def __call__(self, samples: Floats, offset: float = 0.0) -> tuple[Cue, ...]:
        """The cues of :meth:`transcribe`."""
        return self.transcribe(samples, offset).cues

    @property
    def source(self) -> str:
        """The source that its transcripts name."""
        return f"speech recognition by {self.name}"

    @torch.inference_mode()
    def _recognise(self, samples: Floats, duration: float) -> tuple[list[Cue], str | None, list[str]]:
        """The cues of a span, its language, and notes; times are relative to the start of the span."""
        cues: list[Cue] = []
        sounds = late = 0
        samples = np.nan_to_num(samples)
        language = self._find_language(samples) if self._languages and self.language is None else self.language
        for start, end, tokens in self._stretches(samples, language):
            words = self._tokenizer.decode([t for t in tokens if t < self._first_time], skip_special_tokens=True)
            text, count = strip_sounds(words.replace("\ufffd", ""))
            sounds += count
            late += bool(text) and start >= duration
            if text and start < duration:
                cues.append(Cue(start, min(end, duration), text))
        mended, counts = repair_cues(cues)
        notes = [f"{late} caption(s) after the end of the sound were dropped: the model invented them"] if late else []
        return mended, language, [*notes, *sounds_note(sounds), *counts]

    def _stretches(self, samples: Floats, language: str | None) -> Iterator[tuple[float, float, list[int]]]:
        """Start, end (seconds) and tokens of each stretch for which the model gives timestamps.

        Without timestamps it is unknown where the words of a 30 s window end, so each window is decoded independently.
        """
        options: dict[str, Any] = {"return_segments": True, "return_timestamps": self._has_times}
        options |= _SILENCE if self._has_times else {}
        options |= {"language": language} if self._languages else {}
        options |= {"task": "transcribe"} if self._languages and self._has_tasks else {}
        step = len(samples) if self._has_times else self._extractor.n_samples
        for first in range(0, len(samples) - round(_SHORTEST * self.RATE) + 1, step):
            with quiet():
                found = self._model.generate(self._features(samples[first : first + step]), **options)
            for segment in found["segments"][0]:
                begin = first / self.RATE
                yield begin + float(segment["start"]), begin + float(segment["end"]), segment["tokens"].tolist()

    def _find_language(self, samples: Floats) -> str:
        """The language detected in the first 30 s."""
        features = self._features(samples[: self._extractor.n_samples])
        missing = self._extractor.nb_max_frames - features.shape[-1]
        found = self._model.detect_language(torch.nn.functional.pad(features, (0, missing)))
        return str(self._languages[int(found[0])])

    def _features(self, samples: Floats) -> torch.Tensor:
        """``[1, M, T]`` log-mel bands, not padded, so that Whisper finds no words after the end of the sound."""
        made = self._extractor(
            samples, sampling_rate=self.RATE, return_tensors="pt", truncation=False, padding="do_not_pad"
        )
        return made.input_features.to(self.device)  # type: ignore[no-any-return]


def _encode_once(encoder: Any) -> None:
    """Make the encoder cache its last output.

    The library runs it on the same sound three times: for the language, for silence and for the words.
    """
    forward = encoder.forward
    kept: dict[str, Any] = {}

    def cached_forward(input_features: torch.Tensor, **options: Any) -> Any:
        if not kept or not torch.equal(kept["sound"], input_features):
            kept["output"] = forward(input_features, **options)
            kept["sound"] = input_features
        return kept["output"]

    encoder.forward = cached_forward


def _load(name: str, offline: bool) -> tuple[Any, Any, Any]:
    """A Whisper model, its feature extractor and its tokenizer.

    Raises:
        ConfigError: the model does not exist, is not a Whisper model, or part of it is missing.
    """
    from safetensors import SafetensorError
    from transformers import AutoConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

    folder = resolve_model(name, _WHERE, local_only=offline)
    what = f"{_WHERE}: {name!r}"
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if config.model_type != "whisper":
            raise ConfigError(
                f"{what} is a {config.model_type!r} model; give a Whisper model, such as openai/whisper-small"
            )
        if not any((Path(folder) / file).is_file() for file in ("tokenizer.json", "vocab.json")):
            raise ConfigError(f"{what} has no tokenizer.json; save the model's processor into the same folder")
        model = load_weights(WhisperForConditionalGeneration, folder, config, what)
        extractor = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
        tokenizer = WhisperTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"{what} cannot be loaded as a Whisper model: {reason}") from None
    if extractor.sampling_rate != Transcriber.RATE:
        raise ConfigError(
            f"{what} reads sound at {extractor.sampling_rate} Hz; only models for {Transcriber.RATE} Hz are supported"
        )
    return model, extractor, tokenizer
