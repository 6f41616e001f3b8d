"""Membership inference against a branch: shadow models by the framework's own trainer, and the attack."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from multiemo.arrays import Array
from multiemo.data.splits.grouping import group_of
from multiemo.errors import ConfigError
from multiemo.evaluation import collect
from multiemo.metrics.membership import inference, likelihood_ratios
from multiemo.privacy.models import Branch, in_part
from multiemo.privacy.protections import Protection
from multiemo.progress import Progress
from multiemo.runs.device import predict
from multiemo.runs.evaluation import evaluation_loader
from multiemo.runs.folder.privacy_report import MeasuredShare, MembershipFigures
from multiemo.runs.folder.source import part_of
from multiemo.runs.model_folder import Bundle
from multiemo.types import Clip

#: Fewest shadow models: a clip needs two that were trained on it and two that were not, also while one is attacked
#: without its complement.
LEAST_SHADOWS = 6
_SMALLEST = 1e-12


def membership(branch: Branch, split: str, shadows: int, progress: Progress) -> list[MembershipFigures]:
    """Attack a branch: which clips and people was it trained on?

    Every shadow model is trained on a random half of the people of ``train`` and ``split`` together, and every person
    is in half of the shadow models.

    Args:
        branch: branch of a run.
        split: part of the run whose people were not trained on, ``test`` or ``val``.
        shadows: number of shadow models, even.
        progress: receives the number of trained models.

    Returns:
        Figures of clips and people, for the run's weights and for the shadow models themselves.

    Raises:
        MultiemoError: the number of shadow models is not valid, or a training fails.
    """
    check_shadows(shadows)
    unit = branch.source.split.group_by
    trained, others = branch.labelled(branch.source.part("train")), branch.labelled(part_of(branch.source, split))
    clips = [*trained, *others]
    val = [] if split == "val" else branch.labelled(branch.source.part("val"))
    names = [group_of(c, unit) for c in clips]
    halves = balanced_halves(sorted(set(names)), shadows)
    fits, inside = [], []
    progress.stage(f"shadow models ({branch.modality})")
    with TemporaryDirectory(prefix="multiemo-") as place:
        for number, half in enumerate(halves):
            folder = Path(place) / str(number)
            folder.mkdir()
            rows = _parts(clips, names, half, val)
            linked = Protection.parse("none").apply(rows, branch.source.folder, folder, Progress())
            model = branch.trained(linked, folder, folder / "run", branch.cache, seed=number + 1)
            fits.append(_fit(branch, model, clips))
            inside.append(np.array([name in half for name in names]))
            progress.update(number + 1, shadows)
    own, member = _fit(branch, branch.bundle, clips), np.arange(len(clips)) < len(trained)
    known = ~np.isnan(np.stack([own, *fits])).any(axis=0)
    people = np.unique(np.array(names)[known], return_inverse=True)[1]
    return _figures(branch, own[known], member[known], np.stack(fits)[:, known], np.stack(inside)[:, known], people)


def check_shadows(shadows: int) -> None:
    """Check the number of shadow models.

    Raises:
        ConfigError: it is odd or too small.
    """
    if shadows < LEAST_SHADOWS or shadows % 2:
        raise ConfigError(f"--shadows: {shadows} is not valid; give 0 for none, or an even number from {LEAST_SHADOWS}")


def balanced_halves(names: Sequence[str], count: int, seed: int = 0) -> list[set[str]]:
    """Random halves of some names, each followed by its complement; each name is in exactly half of them.

    Args:
        names: distinct names, at least two.
        count: number of halves, even.
        seed: random seed.

    Example:
        >>> halves = balanced_halves(["a", "b", "c", "d"], 4)
        >>> [sum(name in half for half in halves) for name in "abcd"]
        [2, 2, 2, 2]
    """
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count // 2):
        half = {names[i] for i in rng.permutation(len(names))[: len(names) // 2]}
        made += [half, set(names) - half]
    return made


def _parts(clips: Sequence[Clip], names: Sequence[str], half: set[str], val: Sequence[Clip]) -> list[Clip]:
    """Rows of the training of a shadow model; without ``val``, half of the people outside are its validation part."""
    outside = sorted(set(names) - half)
    selecting = set() if val else set(outside[::2])
    rows = [
        in_part(c, "train" if name in half else "val" if name in selecting else "test")
        for c, name in zip(clips, names, strict=True)
    ]
    return rows + [in_part(c, "val") for c in val]


def _fit(branch: Branch, model: Bundle, clips: Sequence[Clip]) -> Array:
    """``[N]`` how well a model fits the target of each clip; NaN where it cannot predict it.

    With one label per clip, the log-odds of its probability, which is nearly normal (Carlini et al. 2022); else minus
    the loss.
    """
    part = branch.prepared(clips, branch.source.folder, branch.cache, bundle=model)
    m, task = branch.modality, model.config.task
    rows = part.rows_with((m,))
    loader = evaluation_loader(part, (m,), rows, budget=model.config.training.budget)
    network = model.model.to(branch.compute.device).eval()
    found = collect(partial(predict, network, branch.compute), loader, task=task)
    network.cpu()
    made = np.full(len(clips), np.nan)
    place = {c.id: i for i, c in enumerate(clips)}
    made[[place[name] for name in found.ids]] = fit_of(found.branches[m], found.target, task)
    return made


def fit_of(predicted: Array, target: Array, task: str) -> Array:
    """How well predictions fit targets, ``[N]``.

    Args:
        predicted: ``[N, C]`` probabilities, or values with the task ``dimensions``.
        target: ``[N, C]``; NaN where a dimension is unknown.
        task: ``single``, ``soft``, ``multi`` or ``dimensions``.
    """
    if task == "dimensions":
        return np.asarray(-np.nanmean((predicted - target) ** 2, axis=1))
    p = np.clip(predicted, _SMALLEST, 1 - _SMALLEST)
    if task == "single":
        own = (p * target).sum(axis=1)
        return np.asarray(np.log(own) - np.log1p(-np.minimum(own, 1 - _SMALLEST)))
    loss = -(target * np.log(p))
    return np.asarray(-(loss - (1 - target) * np.log1p(-p)).sum(axis=1) if task == "multi" else -loss.sum(axis=1))


def _figures(
    branch: Branch,
    own: Array,
    member: NDArray[np.bool_],
    fits: Array,
    inside: NDArray[np.bool_],
    people: NDArray[np.int64],
) -> list[MembershipFigures]:
    """Figures of the run's weights and of the shadow models, by clips and by people.

    A shadow model is attacked without its complement: with it, clips of the attacked model would have one shadow model
    trained on them less than the others, which alone lowers their scores.

    Args:
        branch: the attacked branch.
        own: ``[N]`` fit of the branch.
        member: ``[N]`` whether it was trained on the clip.
        fits: ``[S, N]`` fit of the shadow models, each followed by its complement.
        inside: ``[S, N]`` whether each was trained on the clip.
        people: ``[N]`` person of each clip.
    """
    count = len(fits)
    others = [np.delete(np.arange(count), [i, i ^ 1]) for i in range(count)]
    targets = {
        "run": (likelihood_ratios(own, fits, inside)[None], member[None]),
        "shadows": (
            np.stack([likelihood_ratios(fits[i], fits[rest], inside[rest]) for i, rest in enumerate(others)]),
            inside,
        ),
    }
    sizes = np.bincount(people)
    first = np.unique(people, return_index=True)[1]
    made = []
    for target, (scores, members) in targets.items():
        means = np.stack([np.bincount(people, row) / sizes for row in scores])
        for level, values, chosen, owner in (
            ("clips", scores, members, people),
            ("people", means, members[:, first], np.arange(len(sizes))),
        ):
            found = inference(values, chosen, owner)
            made.append(
                MembershipFigures(
                    modality=branch.modality,
                    target=target,  # type: ignore[arg-type]
                    level=level,  # type: ignore[arg-type]
                    shadows=count if target == "run" else count - 2,
                    members=float(chosen.sum(axis=1).mean()),
                    others=float((~chosen).sum(axis=1).mean()),
                    auc=MeasuredShare(value=found.auc, interval=list(found.auc_interval)),
                    tpr=MeasuredShare(value=found.tpr, interval=list(found.tpr_interval)),
                )
            )
    return made
