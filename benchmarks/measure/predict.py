"""``predict`` on a film of a minute, an hour and in chunks, against decoding it: a table, then one JSON line.

    python -m benchmarks.measure.predict [--run runs/demo] [--film FILE] [--voice FOLDER] [--no-hour]

The film is repeated to 60 s of 1280x720, H.264 and AAC (``measure/film.py``), in four versions, each harder to decode
than the one before: unchanged, with the grain of a camera, at 4 Mbit/s, and encoded like phones. The default film is
one of the demo. The model is loaded before the measurement, and a transcript is given. The reference is PyAV, which
decodes every picture. Both take turns in one process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
import torch

import multiemo
from multiemo.media.reading import Playback, PlayedSound
from multiemo.predict import Item
from multiemo.predict.segmentation import stream as segments
from multiemo.transcripts import Cue, Transcript

from .film import looped, repeated
from .slow_path import agreement, real_files
from .stages import predict_once, stages

_TURNS = 5
_AGAINST = (("decode_s", "ratio"), ("decode_threads_s", "ratio_threads"))
#: {name: encoding of the film}; see :func:`.film.looped`.
_FILMS: dict[str, dict[str, Any]] = {
    "soft": {},
    "grain": {"grain": 4.0},
    "4 Mbit/s": {"grain": 4.0, "megabits": 4.0},
    "phone": {"grain": 4.0, "megabits": 12.0, "phone": True},
}
#: The text of each cue of the transcript; there is one every two seconds.
_WORDS = "I really did not expect that to happen"


def minute(run: Path, film: Path) -> dict[str, Any]:
    """Time ``predict`` on the film against decoding all of its pictures.

    Returns:
        ``megabits``, Mbit/s of the film; ``decode_s`` (PyAV with its defaults), ``decode_threads_s`` (PyAV with one
        thread per core) and ``predict_s``, medians of the turns; ``ratio`` and ``ratio_threads``, [median, minimum,
        maximum] over the turns; and ``stages``, processor time of each stage in one more turn with one thread each.
    """
    model = multiemo.load(run)
    item = _item(film)
    decode_all(film)
    predict_once(model, item)
    ways = {
        "decode_s": lambda: decode_all(film),
        "decode_threads_s": lambda: decode_all(film, "AUTO"),
        "predict_s": lambda: predict_once(model, item),
    }
    turns = [{name: _seconds(work) for name, work in ways.items()} for _ in range(_TURNS)]
    found: dict[str, Any] = {"megabits": round(film.stat().st_size * 8 / 60e6, 1)}
    found |= {name: round(median(t[name] for t in turns), 3) for name in ways}
    for name, base in (("ratio", "decode_s"), ("ratio_threads", "decode_threads_s")):
        ratios = [t["predict_s"] / t[base] for t in turns]
        found[name] = [round(v, 2) for v in (median(ratios), min(ratios), max(ratios))]
    return {**found, "stages": stages(model, item)}


def decode_all(film: Path, threads: str | None = None) -> int:
    """Decode every picture of a film with PyAV, and return their number."""
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        if threads is not None:
            stream.thread_type = threads
        return sum(1 for _ in container.decode(stream))


def streamed(run: Path, film: Path, chunk: float = 0.25) -> dict[str, Any]:
    """Compare a stream of chunks of the film with a prediction of the whole file.

    Args:
        run: run folder.
        film: the film.
        chunk: duration of the sound in a chunk, seconds.

    Returns:
        ``segments``; ``same``, the share of segments with equal spans and labels; ``latency_s``, the median time of a
        chunk; ``slowest_s``, the time of the slowest chunk, at the end of which a segment was due; ``chunk_s``.
    """
    model = multiemo.load(run, segments="speech")
    whole = model.predict_item(Item(str(film), film))
    entries = sorted([*whole["segments"], *whole["skipped"]], key=lambda e: e["start"])
    rate = model.reader.rate
    streamed_entries: list[dict[str, Any]] = []
    times: list[float] = []
    playback = Playback(film, rate=rate, fps=segments.TRACK_FPS)
    with model.stream(rate=rate) as stream:
        for sound, pictures in _chunks(playback, rate, chunk):
            began = time.perf_counter()
            for frame, moment in pictures:
                streamed_entries += stream.push(frame=frame, time=moment)
            streamed_entries += stream.push(audio=sound)
            times.append(time.perf_counter() - began)
        streamed_entries += stream.close(playback.duration)
    same = [
        (a["start"], a["end"], a.get("label"), a.get("smoothed", {}).get("label"))
        == (b["start"], b["end"], b.get("label"), b.get("smoothed", {}).get("label"))
        for a, b in zip(entries, streamed_entries, strict=False)
    ]
    return {
        "segments": len(entries),
        "same": round(sum(same) / max(len(entries), len(streamed_entries)), 4),
        "chunk_s": chunk,
        "latency_s": round(median(times), 4),
        "slowest_s": round(max(times), 3),
    }


def memory(run: Path, film: Path, scratch: Path) -> dict[str, Any]:
    """Measure the peak memory of predicting five minutes and an hour, each in a process of its own.

    Args:
        run: run folder.
        film: film of a minute, which is repeated.
        scratch: folder for the long films.

    Returns:
        For ``five_minutes`` and ``hour``: ``peak_mb`` (resident, MiB), ``segments`` and ``seconds``; and ``growth`` of
        the peak from the first to the second.
    """
    found: dict[str, Any] = {}
    for name, times in (("five_minutes", 5), ("hour", 60)):
        long_film = repeated(film, scratch / f"{name}.mp4", times)
        began = time.perf_counter()
        code = (
            "import sys, multiemo;"
            "entry = multiemo.load(sys.argv[1]).predict(sys.argv[2]);"
            "from multiemo.benchmark.cost.memory import peak_so_far;"
            "print(round(peak_so_far('cpu')), len(entry['segments']))"
        )
        done = subprocess.run([sys.executable, "-c", code, str(run), str(long_film)], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        peak, count = done.stdout.split()
        found[name] = {"peak_mb": int(peak), "segments": int(count), "seconds": round(time.perf_counter() - began, 1)}
        long_film.unlink()
    found["growth"] = round(found["hour"]["peak_mb"] / found["five_minutes"]["peak_mb"] - 1, 3)
    return found


def demo_film(run: Path) -> Path:
    """A film of a demo run with pictures and sound; some of its films have no sound."""
    for film in sorted((run / "corpus" / "media").glob("*.mp4")):
        with av.open(film) as container:
            if container.streams.video and container.streams.audio:
                return film
    raise SystemExit(f"{run}: not a demo run; create one with `multiemo demo --out {run}`, or give --film FILE")


def _item(film: Path) -> Item:
    cues = [Cue(2.0 * n, 2.0 * n + 1.8, _WORDS) for n in range(30)]
    return Item(str(film), film, transcript=Transcript.of(cues, "benchmark"))


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _chunks(playback: Playback, rate: int, chunk: float) -> Iterator[tuple[Any, list[Any]]]:
    """Yield chunks of ``chunk`` seconds of sound, each with the pictures that are stored with it in the file."""
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
    """Run all measurements of this module.

    Args:
        run: run folder, by default of the demo.
        film: film to repeat; a film of the demo by default.
        voice: folder of sound files that replace its sound.
        hour: whether to measure the memory of an hour against that of five minutes.
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
    """Format the results as text."""
    lines = []
    for name, row in found["minute"].items():
        times = [f"{row[b]:.2f} s: {row[r][0]:.2f} ({row[r][1]:.2f}..{row[r][2]:.2f})" for b, r in _AGAINST]
        lines.append(f"60 s of 1280x720, {name} ({row['megabits']} Mbit/s): predict {row['predict_s']:.2f} s")
        lines.append(f"  against decoding in {times[0]}")
        lines.append(f"  with one thread per core in {times[1]}")
        lines.append("  " + ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in row["stages"].items()))
    stream = found["streamed"]
    lines.append(
        f"in chunks of {stream['chunk_s']} s: {stream['same']:.1%} of {stream['segments']} segments equal; "
        f"{1000 * stream['latency_s']:.0f} ms per chunk, at most {1000 * stream['slowest_s']:.0f} ms"
    )
    for kind, row in found["agreement"].items():
        lines.append(f"{kind}s with the label of the slow path: {row['same']} of {row['segments']} segments")
        if "itself" in row:
            lines[-1] += (
                f"; one picture later, the slow path repeats its label for {row['itself']}, of which predict has "
                f"{row['same_of_these']}"
            )
    if "memory" in found:
        peak = found["memory"]
        lines.append(
            f"peak memory: an hour {peak['hour']['peak_mb']} MiB in {peak['hour']['seconds']} s, five minutes "
            f"{peak['five_minutes']['peak_mb']} MiB"
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
