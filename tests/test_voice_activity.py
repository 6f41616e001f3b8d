"""The voice activity network on blocks, compared with the package's own loop."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from multiemo import voice_activity
from multiemo.errors import ConfigError
from multiemo.media.reading import read_media
from multiemo.voice_activity import RATE, STEP, VoiceActivity
from tests.support.sounds import talk

Floats = NDArray[np.float32]


def ours(samples: Floats, *sizes: int) -> Floats:
    """Return the probabilities from blocks of these sizes, repeated."""
    network, found, first, k = VoiceActivity(), [], 0, 0
    while first < len(samples):
        size = sizes[k % len(sizes)] if sizes else len(samples)
        found.append(network(samples[first : first + size]))
        first, k = first + size, k + 1
    return np.concatenate([*found, network.flush()])


def theirs(samples: Floats) -> Floats:
    """Run the package's own loop, with the last chunk padded with zeros."""
    from silero_vad import load_silero_vad

    model = load_silero_vad()
    padded = torch.from_numpy(np.pad(samples, (0, -len(samples) % STEP)))
    with torch.inference_mode():
        return np.array([model(padded[i : i + STEP], RATE).item() for i in range(0, len(padded), STEP)], np.float32)


def test_probabilities_are_those_of_the_package() -> None:
    samples = talk(20.3)  # more than one pass, and an incomplete step
    own = ours(samples)
    assert len(own) == -(-len(samples) // STEP) > voice_activity._BLOCK
    assert own.min() < 0.05
    assert own.max() > 0.9
    np.testing.assert_allclose(own, theirs(samples), atol=1e-4)


def test_probabilities_of_real_speech_are_those_of_the_package(real_data: Path) -> None:
    for take in ("Actor_03/03-01-05-02-01-01-03.flac", "Actor_12/03-01-04-01-02-02-12.flac"):
        samples = read_media(real_data / "ravdess" / take, rate=RATE).audio
        assert samples is not None
        own = ours(samples)
        assert own.max() > 0.9
        np.testing.assert_allclose(own, theirs(samples), atol=1e-4)


@pytest.mark.parametrize("sizes", [(1, 511, 513), (160,), (4000, 7), (512,), (16000, 0, 33)])
def test_blocks_of_any_size_give_the_same(sizes: tuple[int, ...]) -> None:
    samples = talk(3.01)
    np.testing.assert_allclose(ours(samples, *sizes), ours(samples), atol=1e-5)


def test_what_is_left_of_a_step_waits_for_the_rest() -> None:
    network = VoiceActivity()
    samples = talk(0.1)
    assert len(network(samples[:500])) == 0
    assert len(network(samples[500:512])) == 1
    assert len(network.flush()) == 0
    assert len(network(samples[:600])) == 1
    assert len(network.flush()) == 1


def test_after_a_flush_another_recording_begins() -> None:
    network, samples = VoiceActivity(), talk(2.0)
    first = network(samples)
    network.flush()
    np.testing.assert_array_equal(network(samples), first)


def test_broken_samples_do_not_stay_in_the_memory_of_the_network() -> None:
    samples = talk(4.0)
    broken = samples.copy()
    broken[100:200] = np.nan
    broken[300] = np.inf
    broken[400] = -1e30
    own = ours(broken)
    assert np.isfinite(own).all()
    np.testing.assert_allclose(own[62:], ours(samples)[62:], atol=0.1)


def test_the_package_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.split(".")[0] == "silero_vad"]:
        monkeypatch.delitem(sys.modules, name)
    voice_activity._load.cache_clear()
    VoiceActivity()
    assert "silero_vad" not in sys.modules


def test_a_missing_network_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install 'silero-vad"):
        VoiceActivity()
    without = importlib.util.spec_from_loader("silero_vad", None, is_package=True)
    assert without is not None
    without.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: without)
    with pytest.raises(ConfigError, match=r"silero_vad\.jit"):
        VoiceActivity()


@pytest.mark.slow
def test_it_is_many_times_faster_than_the_loop() -> None:
    samples = talk(20.0)
    best: dict[str, float] = {}
    for name, run in (("ours", ours), ("theirs", theirs)):
        for _ in range(4):
            start = time.perf_counter()
            run(samples)
            best[name] = min(best.get(name, np.inf), time.perf_counter() - start)
    assert best["theirs"] > 4 * best["ours"]
