"""A film of a minute, an hour and in pieces through ``predict``, against decoding it: a table, then one JSON line.

    python -m benchmarks.measure.predict [--run runs/demo] [--film FILE] [--voice FOLDER] [--no-hour]

The film is repeated to 60 s of 1280x720, H.264 and AAC (``measure/film.py``), in four ways, each harder to decode than
the one before: as it is, with a camera's grain, at 4 Mbit/s, and as phones write it. By default it is of the demo.
The model is loaded before, and a transcript is given. Decoding is PyAV's, of every picture; both take turns in one
process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import av
import cv2
import numpy as np
import torch

import multiemo
from multiemo.media import playback as play
from multiemo.media.reading import Playback, PlayedSound
from multiemo.model import EmotionModel
from multiemo.predict import Item, Predictor
from multiemo.predict.segmentation import stream as segments
from multiemo.predict.segmentation.segmenter import Segmenter
from multiemo.preprocess.faces import tracking
from multiemo.preprocess.voice import tensors
from multiemo.transcripts import Cue, Transcript

from .film import looped, repeated
from .slow_path import agreement, real_files

_TURNS = 5
_AGAINST = (("decode_s", "ratio"), ("decode_threads_s", "ratio_threads"))
#: How the film is encoded.
_FILMS: dict[str, dict[str, Any]] = {
    "soft": {},
    "grain": {"grain": 4.0},
    "4 Mbit/s": {"grain": 4.0, "megabits": 4.0},
    "phone": {"grain": 4.0, "megabits": 12.0, "phone": True},
}
#: Words of the film, a cue every two seconds.
_WORDS = "I really did not expect that to happen"


def minute(run: Path, film: Path) -> dict[str, Any]:
    """``predict`` on the film against decoding all of its pictures.

    Returns:
        ``megabits`` a second; ``decode_s``, by PyAV as it comes, ``decode_threads_s``, with a thread a core, and
        ``predict_s``: medians of the turns; ``ratio`` and ``ratio_threads``, medians and ranges of each turn's; and
        ``stages``: processor seconds of each stage in one more turn, with one thread each.
    """
    model = multiemo.load(run)
    item = _item(film)
    decode_all(film)
    _predict(model, item)
    ways = {
        "decode_s": lambda: decode_all(film),
        "decode_threads_s": lambda: decode_all(film, "AUTO"),
        "predict_s": lambda: _predict(model, item),
    }
    turns = [{name: _seconds(work) for name, work in ways.items()} for _ in range(_TURNS)]
    found: dict[str, Any] = {"megabits": round(film.stat().st_size * 8 / 60e6, 1)}
    found |= {name: round(median(t[name] for t in turns), 3) for name in ways}
    for name, base in (("ratio", "decode_s"), ("ratio_threads", "decode_threads_s")):
        ratios = [t["predict_s"] / t[base] for t in turns]
        found[name] = [round(v, 2) for v in (median(ratios), min(ratios), max(ratios))]
    return {**found, "stages": stages(model, item)}


def decode_all(film: Path, threads: str | None = None) -> int:
    """Every picture of a film, by PyAV; how many there are."""
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        if threads is not None:
            stream.thread_type = threads
        return sum(1 for _ in container.decode(stream))


def stages(model: Predictor, item: Item) -> dict[str, float]:
    """Processor seconds of each stage of one prediction, with one thread each; what is left is decoding."""
    spent: defaultdict[str, float] = defaultdict(float)
    inner = threading.local()

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            outer, inner.inside = getattr(inner, "inside", 0.0), 0.0
            began = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                whole = time.thread_time() - began
                spent[name] += whole - inner.inside
                inner.inside = outer + whole

        return call

    places: list[tuple[str, Any, str]] = [
        ("grey", play.DecodedFrame, "grey"),
        ("colour", play.DecodedFrame, "rgb"),
        ("follow faces", tracking.FaceTracker, "add"),
        ("crop", tracking, "crop_face"),
        ("voice activity", Segmenter, "audio"),
        ("log-mel and prosody", tensors.SpeechPreprocessor, "__call__"),
        ("encoders and fusion", EmotionModel, "__call__"),
    ]
    face = model.bundle.inputs["face"].preprocessor
    with _patched(timed, places), mock.patch.object(face, "detector", _Timed(face.detector, timed)):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        began = time.process_time()
        _predict(model, item)
        whole = time.process_time() - began
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    found = {name: round(seconds, 3) for name, seconds in spent.items()}
    found["decode, and the rest"] = round(whole - sum(spent.values()), 3)
    return {**found, "all": round(whole, 3)}


def streamed(run: Path, film: Path, chunk: float = 0.25) -> dict[str, Any]:
    """The film in pieces as they would come, against the file at once.

    Returns:
        ``segments``; ``same``: share of them with equal spans and labels; ``latency_s``: median time of a piece;
        ``slowest_s``: of the one at the end of which a segment was due; ``chunk_s``: sound in a piece.
    """
    model = multiemo.load(run, segments="speech")
    whole = model.predict_item(Item(str(film), film))
    entries = sorted([*whole["segments"], *whole["skipped"]], key=lambda e: e["start"])
    rate = model.reader.rate
    said: list[dict[str, Any]] = []
    times: list[float] = []
    playback = Playback(film, rate=rate, fps=segments.TRACK_FPS)
    with model.stream(rate=rate) as stream:
        for sound, pictures in _chunks(playback, rate, chunk):
            began = time.perf_counter()
            for frame, moment in pictures:
                said += stream.push(frame=frame, time=moment)
            said += stream.push(audio=sound)
            times.append(time.perf_counter() - began)
        said += stream.close(playback.duration)
    same = [
        (a["start"], a["end"], a.get("label"), a.get("smoothed", {}).get("label"))
        == (b["start"], b["end"], b.get("label"), b.get("smoothed", {}).get("label"))
        for a, b in zip(entries, said, strict=False)
    ]
    return {
        "segments": len(entries),
        "same": round(sum(same) / max(len(entries), len(said)), 4),
        "chunk_s": chunk,
        "latency_s": round(median(times), 4),
        "slowest_s": round(max(times), 3),
    }


def memory(run: Path, film: Path, scratch: Path) -> dict[str, Any]:
    """Peak resident memory of five minutes and of an hour of the film, MiB, each in a process of its own."""
    found: dict[str, Any] = {}
    for name, times in (("five_minutes", 5), ("hour", 60)):
        long = repeated(film, scratch / f"{name}.mp4", times)
        began = time.perf_counter()
        code = (
            "import sys, multiemo;"
            "entry = multiemo.load(sys.argv[1]).predict(sys.argv[2]);"
            "from multiemo.benchmark.cost.memory import peak_so_far;"
            "print(round(peak_so_far('cpu')), len(entry['segments']))"
        )
        done = subprocess.run([sys.executable, "-c", code, str(run), str(long)], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        peak, count = done.stdout.split()
        found[name] = {"peak_mb": int(peak), "segments": int(count), "seconds": round(time.perf_counter() - began, 1)}
        long.unlink()
    found["growth"] = round(found["hour"]["peak_mb"] / found["five_minutes"]["peak_mb"] - 1, 3)
    return found


def demo_film(run: Path) -> Path:
    """One of the films of a demo run."""
    films = sorted((run / "corpus" / "media").glob("*.mp4"))
    if not films:
        raise SystemExit(f"{run}: not a demo run; make one with `multiemo demo --out {run}`, or give --film FILE")
    return films[0]


# --------------------------------------------------------------------------------------------------------------------
class _Timed:
    """A detector whose time is counted."""

    def __init__(self, detector: Any, timed: Callable[..., Any]) -> None:
        self.detect = timed("detect faces", detector.detect)


@contextmanager
def _patched(timed: Callable[..., Any], places: list[tuple[str, Any, str]]) -> Iterator[None]:
    with ExitStack() as stack:
        for name, place, key in places:
            stack.enter_context(mock.patch.object(place, key, timed(name, getattr(place, key))))
        yield


def _item(film: Path) -> Item:
    cues = [Cue(2.0 * n, 2.0 * n + 1.8, _WORDS) for n in range(30)]
    return Item(str(film), film, transcript=Transcript.of(cues, "benchmark"))


def _predict(model: Predictor, item: Item) -> None:
    answer = next(model.predict_many([item]))
    if isinstance(answer, Exception):
        raise answer


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _chunks(playback: Playback, rate: int, chunk: float) -> Iterator[tuple[Any, list[Any]]]:
    """Pieces of ``chunk`` seconds of sound, each with the pictures that come with it in the file."""
    sound, pictures, wanted = [np.zeros(0, np.float32)], [], round(chunk * rate)
    for piece in playback.pieces():
        if not isinstance(piece, PlayedSound):
            pictures.append((piece.frame, piece.time))
            continue
        sound.append(piece.samples)
        while sum(map(len, sound)) >= wanted:
            joined = np.concatenate(sound)
            yield joined[:wanted], pictures
            sound, pictures = [joined[wanted:]], []
    yield np.concatenate(sound), pictures


def everything(run: Path, film: Path | None, voice: Path | None, *, hour: bool = True) -> dict[str, Any]:
    """All of the above.

    Args:
        run: of the demo, or another.
        film: to repeat; one of the demo's by default.
        voice: folder of sound files to put into it.
        hour: also the memory of an hour against five minutes.
    """
    with tempfile.TemporaryDirectory(prefix="multiemo-") as scratch:
        source = film or demo_film(run)
        found: dict[str, Any] = {"film": source.name}
        made = {
            name: looped(source, Path(scratch) / f"{number}.mp4", seconds=60.0, voice=voice, **options)
            for number, (name, options) in enumerate(_FILMS.items())
        }
        found["minute"] = {name: minute(run, path) for name, path in made.items()}
        soft = made["soft"]
        found |= {"streamed": streamed(run, soft), "agreement": agreement(run, [soft, *real_files()])}
        if hour:
            found["memory"] = memory(run, soft, Path(scratch))
    return found


def table(found: dict[str, Any]) -> str:
    """What people read."""
    lines = []
    for name, row in found["minute"].items():
        times = [f"{row[b]:.2f} s: {row[r][0]:.2f} ({row[r][1]:.2f}..{row[r][2]:.2f})" for b, r in _AGAINST]
        lines.append(f"60 s of 1280x720, {name} ({row['megabits']} Mbit/s): predict {row['predict_s']:.2f} s")
        lines.append(f"  against decoding it in {times[0]}")
        lines.append(f"  with a thread a core in {times[1]}")
        lines.append("  " + ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in row["stages"].items()))
    stream = found["streamed"]
    lines.append(
        f"in pieces of {stream['chunk_s']} s: {stream['same']:.1%} of {stream['segments']} segments the same; "
        f"{1000 * stream['latency_s']:.0f} ms a piece, the slowest {1000 * stream['slowest_s']:.0f}"
    )
    for kind, said in found["agreement"].items():
        lines.append(f"labels of {kind}s like the slow path's: {said['same']} of {said['segments']}")
        if "itself" in said:
            lines[-1] += (
                f"; a picture later it says itself the same of {said['itself']}, and of these predict of "
                f"{said['same_of_these']}"
            )
    if "memory" in found:
        long = found["memory"]
        lines.append(
            f"peak memory: an hour {long['hour']['peak_mb']} MB in {long['hour']['seconds']} s, five minutes "
            f"{long['five_minutes']['peak_mb']} MB"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/demo"))
    parser.add_argument("--film", type=Path)
    parser.add_argument("--voice", type=Path, help="folder of sound files to put into the film")
    parser.add_argument("--no-hour", action="store_true", help="leave out the memory of an hour")
    arguments = parser.parse_args()
    found = everything(arguments.run, arguments.film, arguments.voice, hour=not arguments.no_hour)
    print(table(found))
    print(json.dumps({"threads": torch.get_num_threads(), **found}))


if __name__ == "__main__":
    main()
