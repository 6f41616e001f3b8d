"""The prosody track on RAVDESS takes: its speed against openSMILE, and its pitch against pYIN and Praat.

One take is drawn for every actor and emotion, always the same ones. openSMILE (``pip install "opensmile>=2.5"``) and
Praat (``pip install praat-parselmouth``) are included if they are installed.
"""

from __future__ import annotations

import importlib.util
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from multiemo.data.corpora.audiovisual.ravdess import ravdess
from multiemo.errors import ManifestError
from multiemo.preprocess.voice.prosody import prosody
from multiemo.preprocess.voice.tensors import SpeechPreprocessor
from multiemo.types import SpeechSpec

from .pitch import agreement

RATE, BATCH = 16000, 32
OPENSMILE = "openSMILE eGeMAPS"


@dataclass(frozen=True, slots=True)
class Take:
    """One spoken sentence.

    Args:
        name: name of the file.
        actor: 1 to 24; men have odd numbers.
        wave: ``[N]`` samples at 16 kHz.
    """

    name: str
    actor: int
    wave: NDArray[np.float32]


def corpus_folder() -> Path:
    """The folder of RAVDESS: ``ravdess`` in ``MULTIEMO_DATA``, by default in ``shared/data`` beside the repository."""
    default = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("MULTIEMO_DATA", default)) / "ravdess"


def draw_files(root: Path) -> list[tuple[int, Path]]:
    """Draw one take for every actor and emotion: (actor, file).

    Raises:
        ManifestError: there are no takes in ``root``.
    """
    cells: dict[tuple[str, str], list[Path]] = {}
    for clip in ravdess(root, lambda *_: None):
        if clip.audio is not None:
            cells.setdefault((str(clip.speaker), str(clip.label)), []).append(root / clip.audio)
    draw = random.Random(0)
    return [(int(cell[0]), draw.choice(sorted(cells[cell]))) for cell in sorted(cells)]


def draw_takes(root: Path) -> list[Take]:
    """Read the takes that :func:`draw_files` draws."""
    return [Take(file.name, actor, librosa.load(file, sr=RATE)[0]) for actor, file in draw_files(root)]


def speed(takes: Sequence[Take], turns: int = 7) -> list[dict[str, Any]]:
    """Time passes over the takes; all methods take turns in this process.

    Args:
        takes: takes with their samples in memory.
        turns: number of timed passes of each method, after a warm-up.

    Returns:
        One record for a single thread and one for all threads: ``threads``, ``takes``, ``seconds`` of sound, and for
        each method the median ``time`` of a pass, ``realtime`` (seconds of sound per second) and ``ratio``, the time of
        openSMILE over its time (median over the turns, and ``range``).
    """
    seconds = sum(len(take.wave) for take in takes) / RATE
    rows = []
    for threads in sorted({1, torch.get_num_threads()}):
        with _threads(threads):
            ways = _ways(takes, threads)
            times: dict[str, list[float]] = {name: [] for name in ways}
            for turn in range(turns + 1):
                for name in ways if turn % 2 else reversed(ways):
                    began = time.perf_counter()
                    ways[name]()
                    times[name].append(time.perf_counter() - began)
        row: dict[str, Any] = {"threads": threads, "takes": len(takes), "seconds": seconds, "ways": {}}
        for name, spent in times.items():
            middle = statistics.median(spent[1:])
            found: dict[str, Any] = {"time": middle, "realtime": seconds / middle}
            if OPENSMILE in times:
                ratios = [a / b for a, b in zip(times[OPENSMILE][1:], spent[1:], strict=True)]
                found |= {"ratio": statistics.median(ratios), "range": [min(ratios), max(ratios)]}
            row["ways"][name] = found
        rows.append(row)
    return rows


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _ways(takes: Sequence[Take], threads: int) -> dict[str, Callable[[], object]]:
    """The timed methods; openSMILE is single-threaded, so it gets as many takes at once as there are threads."""
    waves = [torch.from_numpy(take.wave) for take in takes]
    waves.sort(key=len)
    batches = [waves[i : i + BATCH] for i in range(0, len(waves), BATCH)]
    padded = [(pad_sequence(batch, True), torch.tensor([len(wave) for wave in batch])) for batch in batches]
    mel = SpeechPreprocessor(SpeechSpec(prosody=False, trim=0.0))
    ways: dict[str, Callable[[], object]] = {
        "prosody track": lambda: [prosody(wave, RATE) for wave in waves],
        f"prosody track, batches of {BATCH}": lambda: [prosody(wave, RATE, lengths=size) for wave, size in padded],
        f"log-mel, {mel.spec.n_mels} bands": lambda: [mel(take.wave, RATE) for take in takes],
    }
    # Each take has a thread of its own, so operations are not parallelised any further.
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    if threads > 1:
        ways[f"prosody track, {threads} takes at once"] = lambda: list(pool.map(lambda w: prosody(w, RATE), waves))
    if importlib.util.find_spec("opensmile"):
        import opensmile

        smile = opensmile.Smile(
            opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.LowLevelDescriptors, num_workers=1
        )
        ways[OPENSMILE] = lambda: list(pool.map(lambda take: smile(take.wave, RATE), takes))
    return ways


def measure(turns: int = 7) -> dict[str, Any]:
    """Measure speed and pitch on the takes of :func:`corpus_folder`.

    Returns:
        ``speed`` of :func:`speed` and ``pitch`` of :func:`.pitch.agreement`; without the corpus, the reason as
        ``skipped``.
    """
    root = corpus_folder()
    try:
        takes = draw_takes(root)
    except ManifestError as error:
        return {"skipped": f"{error}; set MULTIEMO_DATA to the folder that contains ravdess"}
    found = agreement([take.wave for take in takes], [take.actor % 2 == 1 for take in takes])
    return {"speed": speed(takes, turns), "pitch": found}


def table(found: dict[str, Any]) -> str:
    """Format the result of :func:`measure` as text."""
    if "skipped" in found:
        return f"prosody: skipped: {found['skipped']}"
    lines = []
    for row in found["speed"]:
        lines.append(f"prosody of {row['takes']} takes, {row['seconds']:.0f} s of speech, threads: {row['threads']}")
        for name, way in row["ways"].items():
            line = f"  {name:<34}{way['time']:8.2f} s{way['realtime']:8.0f} x real time"
            if "ratio" in way:
                line += f"{way['ratio']:8.2f} x openSMILE ({way['range'][0]:.2f}..{way['range'][1]:.2f})"
            lines.append(line)
        if OPENSMILE not in row["ways"]:
            lines.append('  openSMILE is not installed, so it is not compared: pip install "opensmile>=2.5"')
    columns = ("common", "median", "within_20", "within_50", "gross", "voicing", "kappa")
    lines.append(f"{'pitch, cents on common frames':<36}" + "".join(f"{column:>10}" for column in columns))
    for name, row in found["pitch"].items():
        lines.append(f"  {name:<34}{row['common']:>10}" + "".join(f"{row[c]:>10.3f}" for c in columns[1:]))
    if not any("Praat" in name for name in found["pitch"]):
        lines.append("  Praat is not installed, so it is not compared: pip install praat-parselmouth")
    return "\n".join(lines)
