"""Media in, an emotion timeline out, through the same preprocessors as training."""

from multiemo.predict.items import Item, expand
from multiemo.predict.predictor import WINDOW, Answer, Predictor, evaluate, load, predict_all

__all__ = ["WINDOW", "Answer", "Item", "Predictor", "evaluate", "expand", "load", "predict_all"]
