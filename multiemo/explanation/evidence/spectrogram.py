"""Maps over the spectrogram."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from multiemo.explanation.evidence.voice_views import IG_STEPS, Neutral
from multiemo.explanation.records import EvidenceMap
from multiemo.explanation.target import ClipTarget
from multiemo.types import SpeechSpec, WaveformSpec

#: Cells of a map of mel bands: bands in a row, and seconds in a column with the largest number of columns.
_BANDS_PER_ROW, _COLUMN_SECONDS, _MOST_COLUMNS = 4, 0.1, 100
#: Edges of the rows of a map of a waveform, Hz, and the largest number of columns. Each cell costs a pass.
_EDGES_HZ, _MOST_WAVE_COLUMNS = (0.0, 500.0, 1500.0, 4000.0), 8
#: Largest width of the picture, pixels.
_MOST_PIXELS = 400
#: Lowest frequency of the mel bands, Hz (:mod:`multiemo.preprocess.voice.tensors`).
_LOWEST_HZ = 40.0
#: Window and hop of the spectrum of a waveform, seconds.
_WINDOW, _HOP = 0.032, 0.008


def mel_map(neutral: Neutral, spec: SpeechSpec, target: ClipTarget, start: float) -> EvidenceMap:
    """Integrated gradients of the mel bands, summed over cells.

    Args:
        neutral: the input and what replaces it.
        spec: specification of the input; it has mel bands.
        target: what is explained.
        start: time of the first row, seconds.
    """
    from captum.attr import IntegratedGradients

    def score(x: Tensor) -> Tensor:
        return target(x, torch.ones(x.shape[:2], dtype=torch.bool, device=x.device))

    x = neutral.x.unsqueeze(0)
    origin = neutral.origin.expand_as(neutral.x).unsqueeze(0)
    scores = IntegratedGradients(score).attribute(x, origin, n_steps=IG_STEPS, internal_batch_size=IG_STEPS)[0]
    mels = scores[:, : spec.n_mels].detach().cpu().float().T
    steps = mels.shape[1]
    seconds = steps * spec.hop
    columns = max(1, min(_MOST_COLUMNS, round(seconds / _COLUMN_SECONDS), steps))
    place = torch.arange(steps) * columns // steps
    cells = torch.zeros(len(mels), columns).index_add_(1, place, mels)
    row = torch.arange(len(mels)) // _BANDS_PER_ROW
    cells = torch.zeros(int(row[-1]) + 1, columns).index_add_(0, row, cells)
    return EvidenceMap(
        kind="spectrogram",
        scores=[[round(float(v), 6) for v in line] for line in cells],
        picture=grey_picture(neutral.x[:, : spec.n_mels].cpu().T),
        start=round(start, 3),
        end=round(start + seconds, 3),
        low=_LOWEST_HZ,
        high=spec.sample_rate / 2,
        method="integrated gradients",
        trust="not measured",
    )


def wave_map(neutral: Neutral, spec: WaveformSpec, target: ClipTarget, start: float) -> EvidenceMap:
    """The fall of the score when each band of frequency and time is removed from the samples.

    Args:
        neutral: the input.
        spec: specification of the input.
        target: what is explained.
        start: time of the first sample, seconds.
    """
    row = spec.row_samples
    wave = neutral.x[:, :row].reshape(-1)
    seconds = len(wave) / spec.sample_rate
    size, hop = round(_WINDOW * spec.sample_rate), round(_HOP * spec.sample_rate)
    window = torch.hann_window(size, device=wave.device)
    padded = F.pad(wave, (0, max(0, size - len(wave))))
    spectrum = torch.stft(padded, size, hop, window=window, pad_mode="constant", return_complex=True)
    edges = [e for e in _EDGES_HZ if e < spec.sample_rate / 2]
    columns = max(1, min(_MOST_WAVE_COLUMNS, round(seconds / 0.3)))
    frequency = torch.linspace(0, spec.sample_rate / 2, spectrum.shape[0], device=wave.device)
    band = torch.bucketize(frequency, torch.tensor(edges[1:], device=wave.device), right=True)
    column = torch.arange(spectrum.shape[1], device=wave.device) * columns // spectrum.shape[1]
    with torch.no_grad():
        ones = torch.ones(1, len(neutral.x), dtype=torch.bool, device=wave.device)
        whole = float(target(neutral.x.unsqueeze(0), ones))
        cells = []
        for r in range(len(edges)):
            line = []
            for c in range(columns):
                kept = spectrum.masked_fill((band == r).unsqueeze(1) & (column == c), 0.0)
                changed = neutral.x.clone()
                samples = torch.istft(kept, size, hop, window=window, length=len(padded))[: len(wave)]
                changed[:, :row] = samples.view(-1, row)
                line.append(round(whole - float(target(changed.unsqueeze(0), ones)), 6))
            cells.append(line)
    return EvidenceMap(
        kind="spectrogram",
        scores=cells,
        picture=grey_picture((spectrum.abs() + 1e-3).log().cpu()),
        start=round(start, 3),
        end=round(start + seconds, 3),
        low=0.0,
        high=spec.sample_rate / 2,
        method="occlusion",
        trust="not measured",
    )


def grey_picture(levels: Tensor) -> str:
    """A grey PNG in base64 of levels ``[bands, steps]``, the lowest band at the bottom, louder cells darker."""
    from PIL import Image

    width = min(_MOST_PIXELS, levels.shape[1])
    shrunk = F.adaptive_avg_pool2d(levels[None, None].float(), (min(64, len(levels)), width))[0, 0].flip(0)
    low, high = torch.quantile(shrunk, torch.tensor([0.05, 0.99]))
    shade = 255 * (1 - ((shrunk - low) / (high - low).clamp_min(1e-6)).clamp(0, 1))
    buffer = io.BytesIO()
    Image.fromarray(shade.numpy().astype(np.uint8), mode="L").save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
