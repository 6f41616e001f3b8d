"""Pitch of this package, of librosa's pYIN and of Praat on the same takes: against each other and a known truth.

Trackers differ mainly in their window. Ours is a Hann window of 50 ms, as in Praat at this lowest pitch; that of pYIN
is 128 ms at 16 kHz with equal weights. While the pitch moves, windows of different length measure different things, and
agreement says little about either tracker. Therefore pYIN is also run with shorter windows, and all trackers are run on
synthetic voices with a known pitch: sinusoids that follow the pitch of a real take.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import librosa
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from multiemo.preprocess.voice.pitch import F0_MAX, F0_MIN, frame_count
from multiemo.preprocess.voice.prosody import F0_REFERENCE, PROSODY_CHANNELS, prosody

Floats: TypeAlias = NDArray[np.floating[Any]]

RATE, STEP = 16000, 160
#: Window of pYIN in samples: the default of librosa.
PYIN_WINDOW = 2048
#: Shorter windows: half of it, and two periods of the lowest pitch, which is the minimum.
SHORTER = (1024, 544)
#: Harmonics of a synthetic voice, and the level of its noise relative to the loudest sample of the take.
HARMONICS, NOISE = 40, 10 ** (-60 / 20)


@dataclass(frozen=True, slots=True)
class Track:
    """The pitch of one clip, row t at sample ``t * STEP``.

    Args:
        f0: ``[T]`` Hz, positive; undefined in unvoiced frames.
        voiced: ``[T]``, whether a frame is voiced.
    """

    f0: Floats
    voiced: NDArray[np.bool_]


def ours(wave: NDArray[np.float32]) -> Track:
    """The pitch of the prosody track."""
    track = prosody(torch.from_numpy(wave), RATE, hop=STEP / RATE).numpy()
    f0, voicing = (track[:, PROSODY_CHANNELS.index(name)] for name in ("f0", "voicing"))
    return Track(F0_REFERENCE * 2 ** (f0 / 12), voicing > 0.5)


def pyin(wave: NDArray[np.float32], window: int = PYIN_WINDOW) -> Track:
    """librosa's pYIN (Mauch & Dixon 2014), with its defaults except for range, rate and hop."""
    f0, voiced, _ = librosa.pyin(
        wave, fmin=F0_MIN, fmax=F0_MAX, sr=RATE, hop_length=STEP, frame_length=window, fill_na=None
    )
    return Track(f0, voiced)


def praat(wave: NDArray[np.float32]) -> Track:
    """Praat's autocorrelation pitch (Boersma 1993), with its defaults except for the range; needs parselmouth."""
    import parselmouth

    # Praat centres its frames in the sound; with this length, there is one at every hop, to within a sample.
    margin = 5 * STEP
    padded = np.zeros(-(-(len(wave) + 2 * margin) // (2 * STEP)) * 2 * STEP - 1)
    padded[margin : margin + len(wave)] = wave
    sound = parselmouth.Sound(padded, RATE)
    found = sound.to_pitch_ac(time_step=STEP / RATE, pitch_floor=F0_MIN, pitch_ceiling=F0_MAX)
    row = np.round((found.xs() * RATE - 0.5 - margin) / STEP).astype(int)
    f0 = np.zeros(frame_count(len(wave), STEP))
    inside = (row >= 0) & (row < len(f0))
    f0[row[inside]] = found.selected_array["frequency"][inside]
    return Track(np.where(f0 > 0, f0, F0_MIN), f0 > 0)


def resynthesise(wave: NDArray[np.float32], track: Track) -> tuple[NDArray[np.float32], Track]:
    """Synthesise a voice with a known pitch: sinusoids that follow a track, as loud as the take at their frequencies.

    Salamon et al. 2017, "An analysis/synthesis framework for automatic F0 annotation of multitrack datasets".

    Args:
        wave: ``[N]``, the take.
        track: pitch of the voice, with at least one voiced frame.

    Returns:
        ``[N]`` samples, and their true pitch.
    """
    size = 512
    level = np.abs(librosa.stft(wave, n_fft=size, hop_length=STEP)) / (size / 4)
    count = min(len(track.f0), level.shape[1])
    rows, samples = np.arange(count), np.arange(len(wave))
    known = track.voiced[:count]
    octaves = np.interp(rows, rows[known], np.log2(track.f0[:count][known]))
    phase = 2 * np.pi * np.cumsum(np.exp2(np.interp(samples, rows * STEP, octaves))) / RATE
    out = NOISE * np.abs(wave).max() * np.random.default_rng(0).standard_normal(len(wave))
    for k in range(1, HARMONICS + 1):
        place = np.round(k * np.exp2(octaves) * size / RATE).astype(int)
        loud = np.where(known & (place < size // 2), level[np.minimum(place, size // 2), rows], 0.0)
        out += np.interp(samples, rows * STEP, loud) * np.sin(k * phase + k * k)
    return out.astype(np.float32), Track(np.exp2(octaves), known)


def compare(pairs: Sequence[tuple[Track, Track]]) -> dict[str, float]:
    """Measure the agreement of two trackers on the frames of several clips.

    Args:
        pairs: (measured track, reference track) of each clip.

    Returns:
        ``frames``; ``common``, frames that both call voiced; for these, the ``median`` of the absolute difference in
        cents, the shares ``within_20`` and ``within_50`` cents, and the share of ``gross`` differences, over 20%;
        ``voicing``, the share of all frames in which both agree on voicing, and Cohen's ``kappa`` of the voicing.
    """
    f0, reference, voiced, voiced_reference = (
        np.concatenate([getattr(pair[side], name) for pair in pairs]) for name in ("f0", "voiced") for side in (0, 1)
    )
    both = voiced & voiced_reference
    ratio = f0[both] / reference[both]
    cents = np.abs(1200 * np.log2(ratio))
    return {
        "frames": len(both),
        "common": int(both.sum()),
        "median": float(np.median(cents)),
        "within_20": float(np.mean(cents <= 20)),
        "within_50": float(np.mean(cents <= 50)),
        "gross": float(np.mean(np.abs(ratio - 1) > 0.2)),
        "voicing": float(np.mean(voiced == voiced_reference)),
        "kappa": float(cohen_kappa_score(voiced, voiced_reference)),
    }


def agreement(waves: Sequence[NDArray[np.float32]], men: Sequence[bool], known: int = 4) -> dict[str, dict[str, float]]:
    """Compare all trackers.

    Args:
        waves: the takes.
        men: for each take, whether the speaker is a man.
        known: every ``known``-th take gets two synthetic voices, one along our track and one along that of pYIN.

    Returns:
        {name: result of :func:`compare`}: our tracker against pYIN for men, women and all, and against pYIN with
        shorter windows; if parselmouth is installed, our tracker against Praat, and Praat against every pYIN; and each
        tracker on the synthetic voices against their true pitch.
    """
    trackers: dict[str, Callable[[NDArray[np.float32]], Track]] = {"ours": ours, "pYIN": pyin}
    if importlib.util.find_spec("parselmouth"):
        trackers = {"ours": ours, "Praat": praat, "pYIN": pyin}
    tracks = {name: [tracker(wave) for wave in waves] for name, tracker in trackers.items()}
    tracks |= {f"pYIN of {1000 * size // RATE} ms": [pyin(wave, size) for wave in waves] for size in SHORTER}
    found = {}
    for sex, wanted in (("men", True), ("women", False)):
        pairs = zip(tracks["ours"], tracks["pYIN"], men, strict=True)
        found[f"ours, pYIN: {sex}"] = compare([(a, b) for a, b, man in pairs if man == wanted])
    for first, second in itertools.combinations(tracks, 2):
        if not first.startswith("pYIN"):
            found[f"{first}, {second}"] = compare(list(zip(tracks[first], tracks[second], strict=True)))
    for along in ("ours", "pYIN"):
        given = list(zip(waves, tracks[along], strict=True))[::known]
        voiced = [(wave, track) for wave, track in given if track.voiced.any()]
        made = [resynthesise(wave, track) for wave, track in voiced]
        for name, tracker in trackers.items():
            found[f"{name}, truth along {along}"] = compare([(tracker(voice), truth) for voice, truth in made])
    return found
