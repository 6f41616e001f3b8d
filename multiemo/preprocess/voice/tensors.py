"""Audio samples -> the tensor that a speech encoder's InputSpec describes."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multiemo.errors import MediaError
from multiemo.preprocess.voice.prosody import prosody, rms_db
from multiemo.types import Absent, SpeechSpec, WaveformSpec

#: Shorter audio is treated as absent.
SHORTEST_SECONDS = 0.05
#: Audio whose loudest 25 ms are below this level is treated as silent.
SILENCE_DBFS = -70.0
TRIM_MARGIN_SECONDS = 0.1
TRIM_HOP_SECONDS = 0.01
MEL_WINDOW_SECONDS = 0.025
# Below the noise of a quiet room, so that digital silence and a quiet microphone give similar values.
MEL_FLOOR = 1e-5


class SpeechPreprocessor:
    """Computes log-mel bands and the prosody track, side by side.

    Args:
        spec: input specification of the encoder.

    Example:
        >>> prepare = SpeechPreprocessor(SpeechSpec(n_mels=40))
        >>> tone = np.sin(2 * np.pi * 200 * np.arange(8000) / 8000).astype("float32")
        >>> tuple(prepare(tone, 8000).shape)
        (101, 51)
        >>> prepare(np.zeros(8000, dtype="float32"), 8000).reason
        'silent: the loudest 25 ms are at -80.0 dBFS, below -70'
    """

    def __init__(self, spec: SpeechSpec) -> None:
        self.spec = spec

    def __call__(self, audio: NDArray[np.float32], rate: int) -> Tensor | Absent:
        """Prepare one clip.

        Args:
            audio: ``[N]`` float, -1..1.
            rate: sample rate of ``audio``, Hz.

        Returns:
            ``[T, M + P]`` float32 (M log-mel bands, natural logarithm of power, then the P prosody channels), or why
            there is no speech.

        Raises:
            MediaError: some samples are not finite, or there is more than one channel.
        """
        spec = self.spec
        wave = prepare_wave(audio, rate, spec.sample_rate, spec.max_seconds, spec.trim)
        if isinstance(wave, Absent):
            return wave
        streams = []
        if spec.n_mels:
            mel = _mel(spec.sample_rate, spec.n_mels, spec.hop)
            streams.append(mel(wave).clamp_min(MEL_FLOOR).log().T)
        if spec.prosody:
            streams.append(prosody(wave, spec.sample_rate, hop=spec.hop))
        return torch.cat(streams, 1).contiguous()


class WaveformPreprocessor:
    """Returns the waveform for pretrained encoders, optionally with the prosody track.

    Args:
        spec: input specification of the encoder.

    Example:
        >>> tone = np.sin(2 * np.pi * 200 * np.arange(8000) / 8000).astype("float32")
        >>> tuple(WaveformPreprocessor(WaveformSpec())(tone, 8000).shape)
        (16000, 1)
        >>> tuple(WaveformPreprocessor(WaveformSpec(prosody=True))(tone, 8000).shape)
        (100, 171)
    """

    def __init__(self, spec: WaveformSpec) -> None:
        self.spec = spec

    def __call__(self, audio: NDArray[np.float32], rate: int) -> Tensor | Absent:
        """Prepare one clip.

        Args:
            audio: ``[N]`` float, -1..1.
            rate: sample rate of ``audio``, Hz.

        Returns:
            ``[N, 1]`` float32 at the encoder's rate, or why there is no speech. With prosody ``[T, hop samples + P]``,
            complete hops only; the track is measured before the samples are normalised.

        Raises:
            MediaError: some samples are not finite, or there is more than one channel.
        """
        spec = self.spec
        wave = prepare_wave(audio, rate, spec.sample_rate, spec.max_seconds, spec.trim)
        if isinstance(wave, Absent):
            return wave
        tracks = [prosody(wave, spec.sample_rate, hop=spec.hop)] if spec.prosody else []
        if spec.normalize:
            wave = (wave - wave.mean()) / (wave.var(unbiased=False) + 1e-7).sqrt()
        rows = len(wave) // spec.row_samples
        samples = wave[: rows * spec.row_samples].view(rows, spec.row_samples)
        return torch.cat([samples, *(track[:rows] for track in tracks)], 1)


def prepare_wave(
    audio: NDArray[np.float32], rate: int, sample_rate: int, max_seconds: float, trim: float
) -> Tensor | Absent:
    """Check, resample, trim and cut audio.

    Args:
        audio: ``[N]`` float, -1..1.
        rate: sample rate of ``audio``, Hz.
        sample_rate: sample rate of the result, Hz.
        max_seconds: length of the longest result, seconds.
        trim: dB below the loudest 25 ms at which an end counts as silence; 0 keeps the ends.

    Returns:
        ``[N']`` float32 at ``sample_rate``, or why there is no speech.

    Raises:
        MediaError: some samples are not finite, or there is more than one channel.
    """
    if audio.ndim != 1:
        raise MediaError(f"audio has shape {audio.shape}, but one channel of samples is needed; mix it down first")
    if rate <= 0:
        raise MediaError(f"audio has a sample rate of {rate} Hz; it must be positive")
    seconds = len(audio) / rate
    if seconds < SHORTEST_SECONDS:
        return Absent(f"too short: {1000 * seconds:.0f} ms of audio, less than {1000 * SHORTEST_SECONDS:.0f}")
    wave = torch.from_numpy(np.ascontiguousarray(audio, dtype=np.float32))
    finite = torch.isfinite(wave)
    if not bool(finite.all()):
        bad = int((~finite).sum())
        first = int((~finite).nonzero()[0]) / rate
        raise MediaError(f"{bad} of {len(wave)} audio samples are not finite, the first at {first:.3f} s; re-encode it")
    if rate != sample_rate:
        wave = _resampler(rate, sample_rate)(wave)
    step = round(TRIM_HOP_SECONDS * sample_rate)
    level = rms_db(wave.unsqueeze(0), sample_rate, step).squeeze(0)
    loudest = float(level.max())
    if loudest < SILENCE_DBFS:
        return Absent(f"silent: the loudest 25 ms are at {loudest:.1f} dBFS, below {SILENCE_DBFS:.0f}")
    if trim > 0:
        first, last = _loud_span(level, trim, step, round(TRIM_MARGIN_SECONDS * sample_rate))
        wave = wave[first:last]
    return wave[: round(max_seconds * sample_rate)]


def trimmed_start(audio: NDArray[np.float32], rate: int, spec: SpeechSpec | WaveformSpec) -> float:
    """Seconds that :func:`prepare_wave` cuts from the beginning of audio that it accepts.

    Args:
        audio: ``[N]`` float, -1..1.
        rate: sample rate of ``audio``, Hz.
        spec: input specification of the encoder.
    """
    if spec.trim <= 0:
        return 0.0
    wave = torch.from_numpy(np.ascontiguousarray(audio, dtype=np.float32))
    if rate != spec.sample_rate:
        wave = _resampler(rate, spec.sample_rate)(wave)
    step = round(TRIM_HOP_SECONDS * spec.sample_rate)
    level = rms_db(wave.unsqueeze(0), spec.sample_rate, step).squeeze(0)
    first, _ = _loud_span(level, spec.trim, step, round(TRIM_MARGIN_SECONDS * spec.sample_rate))
    return first / spec.sample_rate


def _loud_span(level: Tensor, trim: float, step: int, margin: int) -> tuple[int, int]:
    """First and last sample of what :func:`prepare_wave` keeps, from levels ``[T]`` (dBFS) every ``step`` samples."""
    loud = (level >= float(level.max()) - trim).nonzero()
    return max(int(loud[0]) * step - margin, 0), int(loud[-1]) * step + margin


@lru_cache(maxsize=16)
def _resampler(rate: int, wanted: int) -> Any:
    from torchaudio.transforms import Resample  # slow to import: the package imports all its models

    return Resample(rate, wanted)


@lru_cache(maxsize=16)
def _mel(sample_rate: int, n_mels: int, hop: float) -> Any:
    from torchaudio.transforms import MelSpectrogram

    size = 2 * round(MEL_WINDOW_SECONDS * sample_rate / 2)
    return MelSpectrogram(
        sample_rate=sample_rate,
        n_fft=max(512, 2 ** math.ceil(math.log2(size))),
        win_length=size,
        hop_length=round(hop * sample_rate),
        f_min=40.0,
        n_mels=n_mels,
        pad_mode="constant",
        norm=None,
        mel_scale="slaney",
    )
