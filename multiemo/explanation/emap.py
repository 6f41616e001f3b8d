"""The additive-only prediction of a fused model over a corpus: EMAP.

Hessel & Lee 2020, "Does my multimodal model learn cross-modal interactions? It's harder to tell than you might think!"
(EMNLP): the empirical multimodally-additive function projection. If the accuracy of the projection equals that of the
model, the model uses no interactions between modalities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from multiemo.metrics import Estimate, PairedTest, estimates, label_measure, paired_tests
from multiemo.records import Record, record
from multiemo.types import Modality

#: Maps embeddings ``{modality: [K, D_m]}`` to logits ``[K, C]``; calibrated ones, or with costs added, if labels are
#: decided with them.
Fuse = Callable[[Mapping[Modality, Tensor]], Tensor]


@dataclass(frozen=True, slots=True)
class AdditiveProjection:
    """The outputs of a model, and of its best additive approximation.

    Args:
        full: ``[N, C]`` logits of the model.
        additive: ``[N, C]`` logits of the projection.
        background: number of clips whose modalities were combined.
    """

    full: NDArray[np.float64]
    additive: NDArray[np.float64]
    background: int


@record
class AdditiveFigures(Record):
    """Figures of the model, or of its projection, with intervals over speakers.

    Args:
        uar: unweighted average recall.
        uar_ci: its 95% interval.
        accuracy: share of correct labels.
        accuracy_ci: its 95% interval.
    """

    uar: float
    uar_ci: tuple[float, float]
    accuracy: float
    accuracy_ci: tuple[float, float]


@record
class AdditiveComparison(Record):
    """What interactions between modalities add to a model's figures on a corpus.

    Args:
        clips: number of labelled clips with every modality of the model.
        speakers: number of their speakers.
        background: number of clips whose modalities were combined.
        full: figures of the model.
        additive: figures of its additive projection.
        gain: {figure: paired test of the model against its projection}.
        same_label: share of clips for which both give the same label.
    """

    clips: int
    speakers: int
    background: int
    full: AdditiveFigures
    additive: AdditiveFigures
    gain: dict[str, PairedTest]
    same_label: float


def emap(
    embeddings: Mapping[Modality, Tensor], fuse: Fuse, *, background: int = 24, seed: int = 0, batch: int = 8192
) -> AdditiveProjection:
    """Project a fused model on the additive functions of its modalities.

    ``f_add(x) = sum over m of E[f(x_m, X_others)] - (M - 1) E[f(X)]``, where every X is a modality of a clip of the
    background, drawn independently of the others. The expectations are exact over all combinations of background
    clips: ``N M B^(M-1) + B^M`` passes of the fusion, no encoder. With all N clips in the background it is the
    published EMAP. An additive function equals its projection, whatever the background.

    Args:
        embeddings: {modality: ``[N, D_m]``} of N clips that have every modality.
        fuse: the fusion, with the heads.
        background: largest number B of clips whose modalities are combined, drawn without replacement.
        seed: seed of the draw.
        batch: largest number of combinations that are fused at once, which bounds the memory.
    """
    order, count = list(embeddings), len(next(iter(embeddings.values())))
    if background < count:
        drawn = np.sort(np.random.default_rng(seed).choice(count, background, replace=False))
    else:
        drawn = np.arange(count)
    each = {m: torch.arange(count) for m in order}
    full = _fused(embeddings, each, fuse, batch)
    everyone = np.array(list(product(drawn, repeat=len(order)))).reshape(-1, len(order))
    grand = _mean_fused(embeddings, everyone, fuse, batch, np.zeros(len(everyone), dtype=np.int64), 1)[0]
    additive = -(len(order) - 1) * grand[None].repeat(count, axis=0)
    combinations = np.array(list(product(drawn, repeat=len(order) - 1))).reshape(-1, len(order) - 1)
    step = max(1, batch // len(combinations))
    for place in range(len(order)):
        for start in range(0, count, step):
            own = np.arange(start, min(start + step, count))
            rows = np.insert(np.tile(combinations, (len(own), 1)), place, np.repeat(own, len(combinations)), axis=1)
            owner = np.repeat(np.arange(len(own)), len(combinations))
            additive[own] += _mean_fused(embeddings, rows, fuse, batch, owner, len(own))
    return AdditiveProjection(full, additive, len(drawn))


def compare_additive(
    projection: AdditiveProjection, truth: NDArray[np.int64], speakers: Sequence[str]
) -> AdditiveComparison:
    """Compare the labels of a model with those of its additive projection.

    Args:
        projection: from :func:`emap`.
        truth: ``[N]`` label indices.
        speakers: ``[N]`` speaker of each clip.
    """
    full, additive = projection.full.argmax(axis=1), projection.additive.argmax(axis=1)
    measure = label_measure(projection.full.shape[1])
    tests = paired_tests(measure, truth, full, additive, speakers)
    return AdditiveComparison(
        clips=len(truth),
        speakers=len(set(speakers)),
        background=projection.background,
        full=_figures(estimates(measure, truth, full, speakers)),
        additive=_figures(estimates(measure, truth, additive, speakers)),
        gain={name: tests[name] for name in ("uar", "accuracy")},
        same_label=float((full == additive).mean()),
    )


def _figures(found: Mapping[str, Estimate]) -> AdditiveFigures:
    uar, accuracy = found["uar"], found["accuracy"]
    return AdditiveFigures(
        uar=uar.value, uar_ci=(uar.low, uar.high), accuracy=accuracy.value, accuracy_ci=(accuracy.low, accuracy.high)
    )


def _mean_fused(
    embeddings: Mapping[Modality, Tensor],
    rows: NDArray[np.int64],
    fuse: Fuse,
    batch: int,
    owner: NDArray[np.int64],
    owners: int,
) -> NDArray[np.float64]:
    """Mean logits ``[owners, C]`` of combinations; ``rows`` ``[K, M]`` are the clips of each modality."""
    sums: NDArray[np.float64] | None = None
    for start in range(0, len(rows), batch):
        part = torch.from_numpy(rows[start : start + batch])
        logits = _fused(embeddings, {m: part[:, i] for i, m in enumerate(embeddings)}, fuse, batch)
        if sums is None:
            sums = np.zeros((owners, logits.shape[1]))
        np.add.at(sums, owner[start : start + batch], logits)
    assert sums is not None
    return sums / np.bincount(owner, minlength=owners)[:, None]


@torch.inference_mode()
def _fused(
    embeddings: Mapping[Modality, Tensor], rows: Mapping[Modality, Tensor], fuse: Fuse, batch: int
) -> NDArray[np.float64]:
    """Logits ``[K, C]`` of combinations of embeddings; ``rows`` has the K clips of each modality."""
    count = len(next(iter(rows.values())))
    parts = [
        fuse({m: e[rows[m][i : i + batch].to(e.device)] for m, e in embeddings.items()}).double().cpu()
        for i in range(0, count, batch)
    ]
    return np.asarray(torch.cat(parts).numpy())
