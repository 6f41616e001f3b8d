"""Media in, an emotion timeline out, through the same preprocessors as training."""

from multiemo.predict.answers import Answer
from multiemo.predict.items import Item, expand
from multiemo.predict.predictor import Predictor, evaluate, load, stream
from multiemo.predict.reader import WINDOW
from multiemo.predict.streaming import Stream

__all__ = ["WINDOW", "Answer", "Item", "Predictor", "Stream", "evaluate", "expand", "load", "stream"]
