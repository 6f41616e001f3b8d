"""Sounds, films and words for corruptions to spoil."""

from __future__ import annotations

import numpy as np

from multiemo.benchmark.robustness.corrupt_face import Film
from multiemo.benchmark.robustness.corrupt_speech import Sound
from multiemo.benchmark.robustness.corrupt_text import Vocabulary, Wording
from multiemo.benchmark.robustness.corruptions import CORRUPTIONS, randomness

RATE = 16000
CHANGING = [c for c in CORRUPTIONS.values() if c.function is not None]


def apply(name, given, severity, *, seed=0, clip="a"):
    return CORRUPTIONS[name].function(given, severity, randomness(seed, clip, name))


def speech(seconds=3.0, level=0.05, seed=1, rate=RATE):
    """Syllables of a harmonic voice with pauses between and a faint room around them."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    f0 = 120 + 60 * rng.random()
    voice = sum(np.sin(2 * np.pi * k * f0 * t + rng.random() * 6) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 2.1 * t + 6 * rng.random()), 0, None) * (np.sin(2 * np.pi * 0.4 * t) > -0.3)
    return (level * voice * syllables + 1e-4 * rng.standard_normal(len(t))).astype(np.float32)


def sound(**options):
    return Sound(speech(**options), options.get("rate", RATE), tuple(speech(seed=s) for s in range(10, 20)))


def film(frames=6, height=90, width=120, seed=0):
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 256, (frames, height, width, 3)).astype(np.uint8)
    boxes = np.array([[20.0 + i, 10.0, 80.0 + i, 70.0] for i in range(frames)])
    return Film(pictures, np.arange(frames) / 4, boxes)


ENGLISH = [f"word{i:03d}" for i in range(400)]
CHINESE = [chr(0x4E00 + i) for i in range(400)]


def wordings(count=60, length=30):
    rng = np.random.default_rng(5)
    vocabulary = Vocabulary(tuple(ENGLISH), tuple(CHINESE))
    english = [" ".join(rng.choice(ENGLISH, length)) + "!" for _ in range(count)]
    chinese = ["".join(rng.choice(CHINESE, length)) + "。" for _ in range(count)]
    return [Wording(t, vocabulary=vocabulary) for t in english], [Wording(t, vocabulary=vocabulary) for t in chinese]
