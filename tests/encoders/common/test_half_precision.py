"""The half-precision layers for GPUs equal those of the libraries; checked on a CPU in double precision."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import transformers
from torch import nn
from torch.nn import functional as F

from multiemo.encoders.common import fused_layers, half_precision
from multiemo.encoders.common.half_precision import spectral_convolution, strided_convolution, suit_half_precision
from multiemo.encoders.speech import frontends
from multiemo.encoders.speech.speech_pretrained import SpeechPretrained
from tests.support.tensors import padded, waves
from tests.support.tiny_speech import KINDS, build, save_model


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the layers use their GPU code path, in the precision of their input."""
    monkeypatch.setattr(half_precision, "half_of", lambda x: x.dtype)
    monkeypatch.setattr(frontends, "half_of", lambda x: x.dtype)
    monkeypatch.setattr(half_precision, "_LONG_KERNEL", 8)


def with_gradients(convolve, *inputs):
    made = convolve(*inputs)
    torch.manual_seed(1)
    loss = (made * torch.randn(made.shape, dtype=made.dtype)).sum()
    return made, *torch.autograd.grad(loss, [x for x in inputs if x is not None])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("channels", "width", "stride", "padding"),
    [(1, 10, 5, 0), (3, 5, 2, 1), (16, 3, 2, 0), (16, 2, 2, 0), (16, 3, 1, 1), (8, 3, 4, 0)],
)
def test_strided_convolutions_are_torch_s(channels, width, stride, padding, bias):
    torch.manual_seed(0)
    x = torch.randn(3, channels, 101, dtype=torch.double, requires_grad=True)
    weight = torch.randn(24, channels, width, dtype=torch.double, requires_grad=True)
    b = torch.randn(24, dtype=torch.double, requires_grad=True) if bias else None
    ours = with_gradients(lambda *a: strided_convolution(*a, stride, padding), x, weight, b)
    torchs = with_gradients(lambda *a: F.conv1d(*a, stride, padding), x, weight, b)
    for one, other in zip(ours, torchs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert ours[0].transpose(1, 2).is_contiguous(), "the next layer would copy"


@pytest.mark.parametrize(("width", "steps"), [(128, 299), (128, 7), (19, 64), (9, 50)])
def test_spectral_convolutions_are_torch_s(width, steps):
    torch.manual_seed(0)
    x = torch.randn(2, 12, steps, dtype=torch.double, requires_grad=True)
    weight = torch.randn(20, 3, width, dtype=torch.double, requires_grad=True)
    bias = torch.randn(20, dtype=torch.double, requires_grad=True)
    ours = with_gradients(lambda *a: spectral_convolution(*a, width // 2, 4), x, weight, bias)
    torchs = with_gradients(lambda *a: F.conv1d(*a, padding=width // 2, groups=4), x, weight, bias)
    for one, other in zip(ours, torchs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_spectra_of_half_precision_lose_no_more_than_it_does():
    torch.manual_seed(0)
    x, weight = torch.randn(2, 12, 299), torch.randn(12, 3, 128) / 20
    exact = F.conv1d(x, weight, padding=64, groups=4)
    half = spectral_convolution(x.bfloat16(), weight, None, 64, 4)
    assert half.dtype == torch.bfloat16
    assert (half - exact).norm() / exact.norm() < 2**-8


@pytest.mark.parametrize("kind", KINDS)
def test_speech_models_are_the_library_s(kind: str, tmp_path: Path, as_on_a_gpu: None, monkeypatch) -> None:
    folder = save_model(kind, tmp_path)
    encoder = SpeechPretrained(model=str(folder), freeze="none", dropout=0.0).double().eval()
    x, mask = padded(waves([0.3, 0.5]))
    got = with_gradients(lambda x: encoder(x, mask), x.double().requires_grad_())
    monkeypatch.setattr(half_precision, "half_of", lambda x: None)
    monkeypatch.setattr(frontends, "half_of", lambda x: None)
    wanted = with_gradients(lambda x: encoder(x, mask), x.double().requires_grad_())
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)  # the masked norm is float32 on a CPU


def test_every_such_layer_is_taken(as_on_a_gpu: None, monkeypatch) -> None:
    """Also a positional convolution with weight norm."""
    taken: list[str] = []
    for name in ("strided_convolution", "spectral_convolution"):
        real = getattr(half_precision, name)
        monkeypatch.setattr(half_precision, name, lambda *a, r=real, n=name: (taken.append(n), r(*a))[1])
    config = transformers.Wav2Vec2Config(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7
    )
    model = transformers.Wav2Vec2Model(config).eval()
    wave = torch.randn(2, 4000)
    with torch.no_grad():
        before = model(wave).last_hidden_state
        suit_half_precision(model)
        after = model(wave).last_hidden_state
    assert taken == ["strided_convolution"] * 7 + ["spectral_convolution"]
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)
    assert model.state_dict().keys() == transformers.Wav2Vec2Model(config).state_dict().keys()


def test_norms_keep_half_precision(as_on_a_gpu: None) -> None:
    layer = nn.Sequential(nn.LayerNorm(8))
    suit_half_precision(layer)
    x = torch.randn(4, 8)
    assert layer(x.bfloat16()).dtype == torch.bfloat16
    torch.testing.assert_close(layer(x.bfloat16()).float(), nn.LayerNorm(8)(x), rtol=0.02, atol=0.02)


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") != "1", reason="needs Triton's interpreter")
@pytest.mark.parametrize("seconds", [[0.3, 0.3], [0.3, 0.2]])
def test_the_kernels_norm_of_the_waveform_is_the_plain_one(seconds: list[float], tmp_path: Path, monkeypatch) -> None:
    encoder = build("wav2vec2-group", tmp_path, prosody=False, freeze="none").eval()
    x, mask = padded(waves(seconds))
    options = {} if len(set(seconds)) > 1 else {"padded": False}

    def results() -> list[torch.Tensor]:
        encoder.zero_grad()
        made = encoder(x, mask, **options)
        made.square().sum().backward()
        return [made.detach(), *(p.grad for p in encoder.parameters() if p.grad is not None)]

    wanted, used = results(), []
    monkeypatch.setattr(fused_layers, "suited", lambda x: not used.append(x.shape))
    got = results()
    assert len(used) == 1
    largest = max(float(w.norm()) for w in wanted)
    for ours, plain in zip(got, wanted, strict=True):
        assert float((ours - plain).norm()) <= 1e-4 * float(plain.norm()) + 1e-6 * largest
