"""A pass over clips that decodes media against one that reads the cache: a table, then one JSON line.

    python -m benchmarks.measure.cache [--root FOLDER] [--clips 48]

Without ``--root`` the media are those of a generated demo corpus (films of synthetic people); with it, the media files
in a folder. Clips are read one at a time in one process, and the cached tensors are compared bit by bit with the
decoded ones. The row of a modality is the gain of a single branch; ``all`` is every modality in one pass.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from multiemo.data.cache.tensors import TensorCache
from multiemo.data.manifest.reading import read_manifest
from multiemo.data.targets import LabelSpace
from multiemo.inputs import Input, build_input
from multiemo.inputs.dataset import ClipDataset
from multiemo.synthetic import make_corpus
from multiemo.types import Clip, FaceSpec, Modality, Sample, SpeechSpec, WaveformSpec

_FILMS, _SOUNDS = (".mp4", ".avi", ".mov", ".mkv", ".flv", ".webm"), (".wav", ".flac", ".mp3", ".ogg", ".m4a")
_WARM_PASSES = 5


def second_epoch(root: Path | None, clips: int = 48) -> dict[str, Any]:
    """Measure the speed of a pass that reads everything from the cache.

    Args:
        root: folder of media files, or ``None`` for the demo corpus.
        clips: approximate number of clips, taken at equal intervals.

    Returns:
        ``root``, ``clips``, and for each of ``speech`` (log-mel and prosody), ``waveform``, ``face`` and ``all``
        (speech and face) for which there are media: ``mb`` of tensors; ``decoded`` and ``cached``, seconds of a pass
        (for ``cached`` the median of five, each with a newly opened cache), and their ``ratio``; ``cpu_decoded``,
        ``cpu_cached`` and ``cpu_ratio``, the same in processor time, which other load on the machine disturbs less; and
        ``equal``, whether the tensors are the same, bit for bit.
    """
    with tempfile.TemporaryDirectory(prefix="multiemo-") as scratch:
        folder = Path(scratch) / "corpus" if root is None else root
        found = _demo(folder, clips) if root is None else _media(folder, clips)
        kinds: dict[str, dict[Modality, Input]] = {
            "speech": {"speech": build_input("speech", SpeechSpec())},
            "waveform": {"speech": build_input("speech", WaveformSpec())},
            "face": {"face": build_input("face", FaceSpec())},
        }
        if not any(clip.video for clip in found):
            kinds.pop("face")
        else:
            kinds["all"] = {**kinds["speech"], **kinds["face"]}
        _pass(found[:2], folder, kinds.get("all", kinds["speech"]), None)  # warm-up: loads what is loaded on first use
        result: dict[str, Any] = {"root": "demo" if root is None else root.name, "clips": len(found)}
        for kind, inputs in kinds.items():
            result[kind] = _compare(found, folder, inputs, Path(scratch) / f"cache-{kind}")
    return result


def _compare(clips: Sequence[Clip], folder: Path, inputs: Mapping[Modality, Input], cache: Path) -> dict[str, Any]:
    store = TensorCache(cache)
    decoded, cpu_decoded, made = _pass(clips, folder, inputs, store)
    store.close()
    passes: list[tuple[float, float]] = []
    equal = True
    for _ in range(_WARM_PASSES):
        store = TensorCache(cache)
        wall, cpu, read = _pass(clips, folder, inputs, store)
        store.close()
        passes.append((wall, cpu))
        equal = equal and all(_same(a, b) for a, b in zip(made, read, strict=True))
    cached, cpu_cached = (median(column) for column in zip(*passes, strict=True))
    return {
        "mb": round(sum(x.nbytes for sample in made for x in sample.inputs.values()) / 1e6, 2),
        "decoded": round(decoded, 3),
        "cached": round(cached, 4),
        "ratio": round(decoded / cached, 1),
        "cpu_decoded": round(cpu_decoded, 3),
        "cpu_cached": round(cpu_cached, 4),
        "cpu_ratio": round(cpu_decoded / cpu_cached, 1),
        "equal": equal,
    }


def _pass(
    clips: Sequence[Clip], folder: Path, inputs: Mapping[Modality, Input], cache: TensorCache | None
) -> tuple[float, float, list[Sample]]:
    """Wall-clock and processor time of one pass, seconds, and its samples."""
    dataset = ClipDataset(clips, folder, inputs, LabelSpace("demo5"), cache=cache)
    wall, cpu = time.perf_counter(), time.process_time()
    samples = [dataset[i] for i in range(len(dataset))]
    return time.perf_counter() - wall, time.process_time() - cpu, samples


def _same(a: Sample, b: Sample) -> bool:
    same_inputs = a.inputs.keys() == b.inputs.keys() and all(torch.equal(a.inputs[m], b.inputs[m]) for m in a.inputs)
    return same_inputs and a.absent == b.absent


def _demo(folder: Path, clips: int) -> list[Clip]:
    """Clips of a new demo corpus that have sound or video."""
    found = read_manifest(make_corpus(folder, speakers=8, clips_per_speaker=-(-clips // 8)))
    return [clip for clip in found if clip.video or clip.audio][:clips]


def _media(folder: Path, clips: int) -> list[Clip]:
    """Clips for the media files in a folder, taken at equal intervals."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (*_FILMS, *_SOUNDS))
    if not files:
        raise SystemExit(f"{folder}: contains no media files")
    names = [file.relative_to(folder).as_posix() for file in files[:: max(len(files) // clips, 1)][:clips]]
    return [
        Clip(id=name, corpus="files", video=name)
        if name.lower().endswith(_FILMS)
        else Clip(id=name, corpus="files", audio=name)
        for name in names
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--root", type=Path, help="folder of media files")
    parser.add_argument("--clips", type=int, default=48)
    given = parser.parse_args()
    result = second_epoch(given.root, given.clips)
    columns = ("decoded", "cached", "ratio", "cpu_decoded", "cpu_cached", "cpu_ratio", "mb", "equal")
    print(" " * 9 + "".join(f"{column:>13}" for column in columns))
    for kind in ("speech", "waveform", "face", "all"):
        if kind in result:
            print(f"{kind:<9}" + "".join(f"{result[kind][column]!s:>13}" for column in columns))
    print(json.dumps({"second_epoch": result}))


if __name__ == "__main__":
    main()
