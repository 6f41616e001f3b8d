"""Entries of the prediction JSON, and traces to draw them with."""

from __future__ import annotations

import numpy as np

from multiemo.predict.traces import TRACE_RATE, Traces

LABELS = ("neutral", "happy", "sad")
NASTY = 'say "no" & <b>go</b> --> $5$, {\\an8}\nnew line\x00\x0b\ud800 ]]> <img src=x onerror=alert(1)>'
CHINESE = "今天天气真好，我们去公园吧"


def said(start: float, end: float, top: int = 0, *, labels=LABELS, text: str | None = None, **more) -> dict:
    probs = {label: 0.3 / (len(labels) - 1) for label in labels} | {labels[top]: 0.7}
    smoothed = {label: 0.2 / (len(labels) - 1) for label in labels} | {labels[top]: 0.8}
    return {
        "start": start, "end": end, "kind": "speech", "label": labels[top], "best": labels[top], "probs": probs,
        "by_modality": {"text": probs, "speech": smoothed}, "contribution": {"text": 0.25, "speech": -0.125},
        "present": ["text", "speech"], "absent": {"face": "no face was found"}, "valence": -0.5, "arousal": 0.25,
        "text": text, "smoothed": {"label": labels[top], "probs": smoothed},
        "face": {"person": 2, "people": 2, "chosen": "only face", "quality": 0.9}, **more,
    }  # fmt: skip


def entry(*segments: dict, name: str = "talk.mp4", duration: float = 12.0, **more) -> dict:
    return {
        "input": name, "duration": duration, "present": ["text", "speech"], "absent": {"face": "no face was found"},
        "segments": list(segments), "skipped": [], "notes": [], **more,
    }  # fmt: skip


def usual(text: str = CHINESE) -> dict:
    people = [{"person": 1, "start": 0.5, "end": 4.0, "segments": [said(0.5, 4.0, 1)]}]
    skipped = [{"start": 7.0, "end": 9.25, "absent": {"speech": "silence"}}]
    return entry(said(0.5, 4.0, 1, text=text), said(4.0, 7.0, 2, text="well"), said(9.25, 12.0), skipped=skipped,
                 people=people, words={"source": "talk.srt", "language": "zh"}, notes=["turned"])  # fmt: skip


EMPTY = entry(present=[], absent={"speech": "silence"}, skipped=[{"start": 0.0, "end": 12.0, "absent": {}}])
ONE_TEXT = entry(said(0.0, 0.0, 2, text="so sad"), name="text", duration=0.0)
WINDOWS = entry(*(said(2.0 * i, 2.0 * i + 4.0, i % 3, text=f"part {i}") for i in range(5)))
OLD = {k: v for k, v in usual().items() if k not in ("people", "words")}
OLD["segments"] = [
    {k: v for k, v in s.items() if k not in ("kind", "smoothed", "face", "text")} for s in OLD["segments"]
]
NASTY_ONE = entry(said(0, 4, 1, text=NASTY, labels=("_up", "<i>$x$</i>", "c,\n")), name=f"{NASTY}.mp4", notes=[NASTY],
                  absent={"face": NASTY}, skipped=[{"start": 4, "end": 12, "absent": {"face": NASTY}}],
                  people=[{"person": NASTY, "start": 0, "end": 4, "segments": [said(0, 4)]}])  # fmt: skip
ENTRIES = {"usual": usual(), "empty": EMPTY, "text": ONE_TEXT, "windows": WINDOWS, "old": OLD, "nasty": NASTY_ONE}


def traces(seconds: float, *indices: int) -> Traces:
    count = round(seconds * TRACE_RATE)
    pitch = np.full(count, np.nan, np.float32)
    pitch[count // 3 : count // 2] = 200
    faces = {i: np.full((64, 64, 3), (250, 0, 250), np.uint8) for i in indices}
    return Traces(np.linspace(0, 0.5, count, dtype=np.float32), pitch, faces)
