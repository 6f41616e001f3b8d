"""Corruptions of pictures: their documented properties, measured independently."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import ndimage

from multiemo.benchmark.robustness.corrupt_face import Film
from tests.support.corrupted import CHANGING, apply, film


@pytest.mark.parametrize("share", [0.1, 0.35, 0.7, 1.0])
def test_the_plate_covers_its_share_of_the_face_and_moves_with_it(share):
    clean = replace(film(), frames=np.full((6, 90, 120, 3), 200, np.uint8))
    got = apply("occlusion", clean, share).frames
    hidden = (got == 127).all(axis=3)
    assert hidden.sum(axis=(1, 2)) == pytest.approx(share * 3600, rel=0.05)
    for i, (plate, box) in enumerate(zip(hidden, clean.boxes.astype(int), strict=True)):
        outside = plate.copy()
        outside[box[1] : box[3], box[0] : box[2]] = False
        assert not outside.any()
        assert_array_equal(np.roll(hidden[0], i, axis=1), plate)
    assert (got[~hidden] == 200).all()


@pytest.mark.parametrize("share", [0.02, 0.05, 0.2])
def test_blur_is_a_gaussian_in_face_sizes(share):
    rng = np.random.default_rng(3)
    coarse = ndimage.zoom(rng.integers(0, 256, (10, 13, 3)).astype(float), (12, 12, 1), order=1).clip(0, 255)
    clean = Film(coarse.astype(np.uint8)[None], np.zeros(1), np.array([[10.0, 10.0, 110.0, 110.0]]))
    got = apply("blur", clean, share).frames[0].astype(float)
    expected = ndimage.gaussian_filter(clean.frames[0].astype(float), (100 * share, 100 * share, 0), mode="mirror")
    assert np.abs(got - expected).mean() < 1.5
    assert np.abs(got - expected)[20:-20, 20:-20].max() < 8


def test_low_light_halves_the_light_a_stop_and_leaves_the_noise():
    clean = replace(film(), frames=np.full((2, 90, 120, 3), 180, np.uint8), boxes=film(2).boxes, times=np.zeros(2))
    before = (180 / 255) ** 2.2
    noise = []
    for stops in (1.0, 3.0):
        light = (apply("low_light", clean, stops).frames / 255.0) ** 2.2
        assert light.mean() == pytest.approx(before / 2**stops, rel=0.02)
        noise.append(light.std() / light.mean())
    assert noise[1] > 1.3 * noise[0]


@pytest.mark.parametrize("pixels", [32.0, 16.0, 8.0])
def test_low_resolution_leaves_no_finer_detail(pixels):
    clean = film(1, 240, 240)
    clean = replace(clean, boxes=np.array([[20.0, 20.0, 180.0, 180.0]]))
    got = apply("low_resolution", clean, pixels).frames[0].mean(axis=2)
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2(got - got.mean()))) ** 2
    reach = np.hypot(*np.meshgrid(*[np.arange(240) - 120] * 2))
    nyquist = 240 * pixels / 160 / 2
    assert spectrum[reach > 2.2 * nyquist].sum() < 0.07 * spectrum.sum()
    assert apply("low_resolution", clean, 160.0) is clean, "a face of no more pixels stays"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 1.0])
def test_dropped_frames_are_gone_with_their_times(share):
    clean = film(10)
    got = apply("dropped_frames", clean, share)
    assert len(got.frames) == len(got.times) == len(got.boxes) == 10 - round(10 * share)
    assert (np.diff(got.times) > 0).all()
    for frame, time in zip(got.frames, got.times, strict=True):
        assert_array_equal(frame, clean.frames[int(time * 4)])


@pytest.mark.parametrize("corruption", [c for c in CHANGING if c.modality == "face"], ids=lambda c: c.name)
@pytest.mark.parametrize(("height", "width"), [(40, 60), (1, 1), (1, 50)])
def test_one_frame_and_tiny_pictures_are_no_reason_to_stop(corruption, height, width):
    picture = np.full((1, height, width, 3), 90, np.uint8)
    for box in ([0.0, 0.0, width, height], [-5.0, -5.0, width + 9.0, height + 9.0], [3.0, 3.0, 3.0, 3.0]):
        for severity in corruption.severities:
            got = apply(corruption.name, Film(picture, np.zeros(1), np.array([box])), severity)
            assert got.frames.shape == picture.shape
