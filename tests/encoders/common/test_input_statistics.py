"""Statistics of inputs do not depend on padding, and show what an encoder may hide."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from multiemo.encoders.common.input_statistics import column_statistics, statistics_of
from multiemo.types import FaceSpec, FeatureSpec, InputSpec, SpeechSpec, TextSpec, WaveformSpec

INPUTS: list[tuple[InputSpec, tuple[int, ...], type]] = [
    (SpeechSpec(), (60, 75), float),
    (SpeechSpec(n_mels=0), (60, 11), float),
    (SpeechSpec(prosody=False), (60, 64), float),
    (WaveformSpec(), (8000, 1), float),
    (WaveformSpec(prosody=True), (60, 171), float),
    (FaceSpec(), (6, 3, 48, 48), int),
]


def inputs(shape: tuple[int, ...], kind: type, clips: int = 3) -> torch.Tensor:
    torch.manual_seed(0)
    if kind is int:
        return torch.randint(0, 255, (clips, *shape), dtype=torch.uint8)
    return torch.randn(clips, *shape) * torch.arange(1.0, clips + 1).view(-1, *[1] * len(shape))


@pytest.mark.parametrize(("spec", "shape", "kind"), INPUTS, ids=lambda v: getattr(v, "kind", ""))
def test_padding_and_neighbours_do_not_matter(spec, shape, kind):
    statistics, x = statistics_of(spec), inputs(shape, kind)
    mask = torch.ones(3, shape[0], dtype=torch.bool)
    short = shape[0] * 2 // 3
    mask[1, short:] = False
    padded = x.clone()
    padded[1, short:] = 77
    found = statistics(padded, mask)
    assert found.isfinite().all()
    alone = statistics(x[1:2, :short], mask[1:2, :short])
    torch.testing.assert_close(found[1:2], alone)
    assert not torch.allclose(found[0], found[2])


def test_columns_are_those_of_numpy():
    x = torch.randn(1, 11, 3)
    found = column_statistics(x, torch.ones(1, 11, dtype=torch.bool))[0].view(2, 3).numpy()
    values = x[0].numpy()
    np.testing.assert_allclose(found, np.stack([values.mean(0), values.std(0)]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spec", [SpeechSpec(prosody=False), WaveformSpec()])
def test_the_level_of_a_recording_does_not_matter(spec):
    statistics = statistics_of(spec)
    x = inputs((60, 64) if spec.kind == "speech" else (8000, 1), float, clips=1)
    louder = x + 3.0 if spec.kind == "speech" else x * 4.0
    mask = torch.ones(1, x.shape[1], dtype=torch.bool)
    torch.testing.assert_close(statistics(louder, mask), statistics(x, mask), atol=1e-3, rtol=1e-3)


def test_a_narrow_band_shows_in_a_waveform_and_blur_in_a_face():
    waves, mask = inputs((8000, 1), float, clips=1), torch.ones(1, 8000, dtype=torch.bool)
    narrow = torch.fft.irfft(torch.fft.rfft(waves[:, :, 0]) * (torch.arange(4001) < 1700))[..., None]
    statistics = statistics_of(WaveformSpec())
    bands = [statistics(x, mask)[0, :64] for x in (waves, narrow)]
    assert (bands[0] - bands[1])[-8:].min() > 2, "the highest bands lose their level"
    faces = inputs((2, 3, 48, 48), int, clips=1)
    blurred = torch.nn.functional.avg_pool2d(faces[0].float(), 5, 1, 2).byte()[None]
    seen = torch.ones(1, 2, dtype=torch.bool)
    sharp, soft = (statistics_of(FaceSpec())(x, seen)[0, -3] for x in (faces, blurred))
    assert sharp > soft + 2


def test_words_and_features_have_no_statistics():
    assert statistics_of(TextSpec()) is None
    assert statistics_of(FeatureSpec(dim=3)) is None
