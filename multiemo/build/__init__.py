"""The only wiring: config -> preprocessors, loaders, model; a model folder -> the same again."""

from multiemo.build.bundle import Bundle, load_bundle, save_bundle
from multiemo.build.data import Source, open_source
from multiemo.build.evaluation import evaluate_bundle, evaluate_run
from multiemo.build.observer import Observer
from multiemo.build.run import Run, train

__all__ = [
    "Bundle",
    "Observer",
    "Run",
    "Source",
    "evaluate_bundle",
    "evaluate_run",
    "load_bundle",
    "open_source",
    "save_bundle",
    "train",
]
