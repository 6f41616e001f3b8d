"""Builds inputs, loaders and models from a config, trains them, and loads them again from a model folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multiemo.lazy import lazy_names

if TYPE_CHECKING:
    from multiemo.runs.evaluation import evaluate_bundle, evaluate_run
    from multiemo.runs.model_folder import Bundle, load_bundle, save_bundle
    from multiemo.runs.pipeline import Run, train
    from multiemo.runs.sources import Source, open_source

__all__ = [
    "Bundle",
    "Run",
    "Source",
    "evaluate_bundle",
    "evaluate_run",
    "load_bundle",
    "open_source",
    "save_bundle",
    "train",
]

__getattr__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(("Bundle", "load_bundle", "save_bundle"), "multiemo.runs.model_folder"),
        **dict.fromkeys(("Source", "open_source"), "multiemo.runs.sources"),
        **dict.fromkeys(("evaluate_bundle", "evaluate_run"), "multiemo.runs.evaluation"),
        **dict.fromkeys(("Run", "train"), "multiemo.runs.pipeline"),
    },
)
