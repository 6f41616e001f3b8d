"""Media in, an emotion timeline out, through the same preprocessors as training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiemo.lazy import lazy_names

if TYPE_CHECKING:
    from multiemo.predict.answers import Answer
    from multiemo.predict.folders import LeftOut
    from multiemo.predict.prediction import Prediction
    from multiemo.predict.predictor import Predictor, evaluate, load, stream
    from multiemo.predict.reader import WINDOW
    from multiemo.predict.sources import Item, expand
    from multiemo.predict.streaming import Stream

__all__ = [
    "WINDOW",
    "Answer",
    "Item",
    "LeftOut",
    "Prediction",
    "Predictor",
    "Stream",
    "evaluate",
    "expand",
    "load",
    "stream",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Answer": "multiemo.predict.answers",
        "LeftOut": "multiemo.predict.folders",
        "Prediction": "multiemo.predict.prediction",
        **dict.fromkeys(("Item", "expand"), "multiemo.predict.sources"),
        **dict.fromkeys(("Predictor", "evaluate", "load", "stream"), "multiemo.predict.predictor"),
        "WINDOW": "multiemo.predict.reader",
        "Stream": "multiemo.predict.streaming",
    },
)
