"""Augmentation of prosody tracks."""

from __future__ import annotations

import numpy as np
import torch

from multiemo.encoders.speech.augmentation import SpeechAugment, mask_spans
from multiemo.types import PROSODY_CHANNELS
from tests.support.tensors import padded, tracks
from tests.support.tiny_speech import P

OFF = {"stretch": 0.0, "mel_shift": 0.0, "pitch_shift": 0.0, "gain": 0.0, "tilt": 0.0, "noise": 0.0}


def test_augmentation_that_is_off_changes_nothing() -> None:
    x, mask = padded(tracks([50, 30]))
    y, after = SpeechAugment(**OFF)(x, mask, 64)
    assert torch.equal(x, y)
    assert torch.equal(mask, after)


def test_stretch_changes_length_and_speaking_rate_together() -> None:
    torch.manual_seed(1)
    rate = 64 + PROSODY_CHANNELS.index("rate")
    clips = [torch.ones(200, 64 + P)] * 16
    y, mask = SpeechAugment(**{**OFF, "stretch": 0.25})(*padded(clips, extra=60), 64)
    lengths = mask.sum(1)
    assert lengths.min() < 190
    assert lengths.max() > 210
    assert lengths.min() >= 159
    assert lengths.max() <= 250
    speed = 199 / (lengths - 1)
    torch.testing.assert_close(y[:, 0, rate], speed, rtol=0.01, atol=0)
    assert (y[:, 0, :64] == 1).all()


def test_gain_moves_the_mel_bands_and_the_energy_alike() -> None:
    energy = 64 + PROSODY_CHANNELS.index("energy")
    x, mask = padded(tracks([20, 20, 20]))
    y, _ = SpeechAugment(**{**OFF, "gain": 6.0})(x, mask, 64)
    decibels = (y - x)[:, :, energy]
    assert decibels.abs().max() <= 6.0
    torch.testing.assert_close((y - x)[:, :, :64].mean(2), decibels * np.log(10) / 10, atol=1e-5, rtol=0)


def test_noise_fills_valleys_and_leaves_peaks() -> None:
    torch.manual_seed(0)
    mel = torch.full((64, 30, 64), -10.0)
    mel[:, 15] = 0.0
    y, _ = SpeechAugment(**{**OFF, "noise": 30.0})(mel, torch.ones(64, 30, dtype=torch.bool), 64)
    assert (y[:, 15].abs() < 0.1).all()
    touched = (y[:, 0] > -9.99).any(1).float().mean()
    assert 0.1 < touched < 0.6


def test_masked_spans_stay_within_their_share() -> None:
    torch.manual_seed(0)
    y = mask_spans(torch.ones(100, 40, 20), 2, 0.2, dim=2)
    gone = (y[:, 0] == 0).float().mean(1)
    assert gone.max() <= 0.45
    assert gone.mean() > 0.05
    assert (y == y[:, :1]).all()
