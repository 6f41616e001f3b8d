"""Processor time of each stage of a prediction."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import cv2
import torch

from multiemo.media import playback as play
from multiemo.model import EmotionModel
from multiemo.predict import Item, Predictor
from multiemo.predict.segmentation.segmenter import Segmenter
from multiemo.preprocess.faces import tracking
from multiemo.preprocess.voice import tensors


def predict_once(model: Predictor, item: Item) -> None:
    """Predict a file; raise what the prediction raises."""
    answer = next(model.predict_many([item]))
    if isinstance(answer, Exception):
        raise answer


def stages(model: Predictor, item: Item) -> dict[str, float]:
    """Measure the processor time of each stage of one prediction, with one thread each.

    Args:
        model: the model.
        item: a film.

    Returns:
        {stage: seconds}; ``decode, and the rest`` is the time outside the other stages, ``all`` the total.
    """
    spent: defaultdict[str, float] = defaultdict(float)
    inner = threading.local()

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            outer, inner.inside = getattr(inner, "inside", 0.0), 0.0
            began = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                total = time.thread_time() - began
                spent[name] += total - inner.inside
                inner.inside = outer + total

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
        predict_once(model, item)
        total = time.process_time() - began
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
    found = {name: round(seconds, 3) for name, seconds in spent.items()}
    found["decode, and the rest"] = round(total - sum(spent.values()), 3)
    return {**found, "all": round(total, 3)}


class _Timed:
    """A face detector whose time is measured."""

    def __init__(self, detector: Any, timed: Callable[..., Any]) -> None:
        self.detect = timed("detect faces", detector.detect)


@contextmanager
def _patched(timed: Callable[..., Any], places: list[tuple[str, Any, str]]) -> Iterator[None]:
    """Measure the time of functions while the context is open."""
    with ExitStack() as stack:
        for name, place, key in places:
            stack.enter_context(mock.patch.object(place, key, timed(name, getattr(place, key))))
        yield
