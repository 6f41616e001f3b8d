"""Classic baselines on the clips and labels of a fold: the figures that a benchmark's models must beat.

============  ==============================================================  ======================================
modality      input                                                           classifier
============  ==============================================================  ======================================
text          TF-IDF of words (1-2) and of characters (1-4)                   balanced logistic regression
speech        acoustic functionals (prosody, MFCCs), see ``descriptors.py``   balanced RBF support vector machine
face          HOG of the aligned crops, averaged over frames                  balanced RBF support vector machine
features      means and deviations over time, constant columns dropped        balanced logistic regression, C = 0.1
combinations  --                                                              mean of the probabilities of those present
============  ==============================================================  ======================================

The settings are fixed and were chosen without test rows. They are the defaults of scikit-learn, except for: class
weights, because the main figure is an unweighted recall; ``C = 3`` for the support vector machines, a usual value for
standardised columns; ``C = 0.1`` for few clips with many correlated columns; terms that occur in a single text are
dropped. Character n-grams serve languages that are written without spaces. HOG uses crops of 48 pixels, whatever size
the model reads: three folds over 4500 rows of FER2013's train part gave UAR .422, against .414 with the model's 64
pixels. Functionals were chosen over MFCC statistics alone by five folds by speaker within RAVDESS actors 01-15: UAR
.530 against .394. There, temperatures gave a log loss of 1.357 against 1.366 with Platt scaling, and they change no
decision. Support vector machines are trained on at most 10,000 clips, since their time grows with the square of the
number of clips.

For valence, arousal and dominance without labels there are regressors on the same inputs (``regressors.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from multiemo.arrays import Array
from multiemo.benchmark.baselines.classifiers import RECIPES, UNKNOWN, Recipe, classify, learnable, least, take_rows
from multiemo.benchmark.baselines.descriptors import DESCRIPTORS, feature_statistics
from multiemo.benchmark.baselines.regressors import REGRESSIONS, regress
from multiemo.config import Config
from multiemo.errors import ManifestError, SplitError
from multiemo.evaluation import ClipPrediction, rounded
from multiemo.inputs.base import Input
from multiemo.inputs.material import Utterance
from multiemo.metrics import means_of
from multiemo.progress import Progress
from multiemo.runs.batches import prepare_part
from multiemo.types import MODALITIES, SUBSETS, Clip, Modality


@dataclass(frozen=True, slots=True)
class Inputs:
    """Inputs of the classifiers for N clips, read once for all folds and seeds.

    Args:
        rows: {clip id: row}, without the clips that were left out (``bad``).
        speakers: N speakers.
        labels: C labels, in order.
        task: ``single``, ``soft``, ``multi`` or ``dimensions``.
        target: ``[N, C]``; zeros for unlabelled clips; for dimensions, NaN where unknown.
        labelled: ``[N]``, whether a clip is labelled.
        recipes: {modality: its classifier or regressor}.
        values: {modality: N texts, or ``[N, K]`` float32}; undefined where the modality is absent.
        presence: {modality: ``[N]``}, the same as for the model.
        bad: {clip id: message} for clips whose media cannot be read.
    """

    rows: dict[str, int]
    speakers: tuple[str, ...]
    labels: tuple[str, ...]
    task: str
    target: Array
    labelled: NDArray[np.bool_]
    recipes: dict[Modality, Recipe]
    values: dict[Modality, Any]
    presence: dict[Modality, NDArray[np.bool_]]
    bad: dict[str, str]

    def find(self, ids: Sequence[str], part: str) -> NDArray[np.int64]:
        """Rows of the labelled clips among some clips.

        Args:
            ids: ids of the clips.
            part: name of their part, for messages.

        Raises:
            ManifestError: an id was not read, or no labelled clip is left.
        """
        unknown = [i for i in ids if i not in self.rows and i not in self.bad]
        if unknown:
            raise ManifestError(f"{part}: clip {unknown[0]!r} is not among the {len(self.rows)} clips that were read")
        rows = np.array([self.rows[i] for i in ids if i in self.rows], dtype=np.int64)
        rows = rows[self.labelled[rows]]
        if not len(rows):
            raise ManifestError(f"classic baselines: no labelled clip of {part} can be read ({len(ids)} were given)")
        return rows

    def notes(self, train: Sequence[str]) -> list[str]:
        """Remarks for the reader of the results: clips left out, and classifiers trained on a part of the clips."""
        notes = [f"classic baselines: left out {clip}: {message}" for clip, message in self.bad.items()]
        rows = self.find(train, "train")
        for m, recipe in self.recipes.items():
            known = int(self.presence[m][rows].sum())
            if recipe.most is not None and known > recipe.most:
                notes.append(f"{recipe.name} is trained on {recipe.most} of {known} train clips, a stratified sample")
        return notes


def read_inputs(
    config: Config,
    folder: Path,
    clips: Sequence[Clip],
    inputs: Mapping[Modality, Input],
    *,
    label_from: str = "clip",
    progress: Progress | None = None,
) -> Inputs:
    """Compute the descriptors of clips from the cached preprocessed tensors.

    Args:
        config: gives the label set, task, cache, workers, and whether unreadable clips are left out.
        folder: folder of the manifest.
        clips: all rows of the manifest, of every part.
        inputs: inputs of the model (``Bundle.inputs``), so that a clip has the same modalities for both.
        label_from: see :class:`multiemo.runs.sources.Source`.
        progress: receives the number of clips that are done.

    Returns:
        The inputs of all readable clips.

    Raises:
        MediaError: media cannot be read, and the config does not allow skipping them.
    """
    reads = {m: inputs[m].baseline_input() for m in MODALITIES if m in inputs}
    part = prepare_part(config, folder, clips, reads, label_from=label_from, dialogue=clips, progress=progress)
    kept, labels = part.dataset.clips, part.dataset.space.labels
    speakers: list[str] = []
    targets: list[Tensor | None] = []
    found: dict[Modality, list[Any]] = {m: [] for m in reads}
    for i in range(len(kept)):
        sample = part.dataset[i]
        speakers.append(sample.speaker)
        targets.append(sample.target)
        for m, entry in reads.items():
            x = sample.inputs.get(m)
            found[m].append(None if x is None else _describe(x.numpy(), entry, kept[i]))
    presence = {m: np.array([x is not None for x in column], dtype=bool) for m, column in found.items()}
    nothing = np.zeros(len(labels))
    recipes = REGRESSIONS if config.task == "dimensions" else RECIPES
    return Inputs(
        rows={clip.id: i for i, clip in enumerate(kept)},
        speakers=tuple(speakers),
        labels=labels,
        task=config.task,
        target=np.array([nothing if t is None else t.double().numpy() for t in targets]),
        labelled=np.array([t is not None for t in targets], dtype=bool),
        recipes={
            m: recipes.get("text" if entry.raw is Utterance else entry.spec.kind, recipes[UNKNOWN])
            for m, entry in reads.items()
        },
        values={m: column if reads[m].raw is Utterance else _stack(column) for m, column in found.items()},
        presence=presence,
        bad=part.prepared.bad,
    )


def fit_predict(inputs: Inputs, train: Sequence[str], test: Sequence[str]) -> dict[str, list[ClipPrediction]]:
    """Fit the baselines on the train clips of a fold and predict its test clips.

    Test clips are used for prediction only. The result does not depend on a seed.

    Args:
        inputs: from :func:`read_inputs`.
        train, test: clip ids; unlabelled clips are skipped.

    Returns:
        {``majority``, ``prior``, ``classic``: records as an evaluation writes them}, each with ``id``, ``speaker``,
        ``target`` and ``probs``: {subset: ``[C]``} for the subsets of which the clip has a modality. ``majority``
        predicts the most frequent train label with certainty (``multi``: every label that more than half of the clips
        have). ``prior`` predicts the train frequencies. ``classic`` are the classifiers of the table above. A label
        that train lacks has probability zero. For dimensions, records have ``values`` in place of ``probs``, ``prior``
        predicts their train means, and there is no ``majority``.

    Raises:
        SplitError: a clip is in both parts, or train has a single label.
        ManifestError: no train clip has a modality, or a part has no labelled clip.
    """
    both = sorted(set(train) & set(test))
    if both:
        raise SplitError(f"classic baselines: clip {both[0]!r} is in train and in test ({len(both)} such clips)")
    train_rows, test_rows = inputs.find(train, "train"), inputs.find(test, "test")
    regression = inputs.task == "dimensions"
    prior = means_of(inputs.target[train_rows])
    most = (prior > 0.5) if inputs.task == "multi" else np.arange(len(prior)) == prior.argmax()
    single = {m: _classify(inputs, m, train_rows, test_rows) for m in inputs.recipes}
    keys = [k for k, members in SUBSETS.items() if set(members) <= set(inputs.recipes)]
    usable = {k: np.any([inputs.presence[m][test_rows] for m in SUBSETS[k]], axis=0) for k in keys}
    constant = {"prior": prior} if regression else {"majority": most.astype(float), "prior": prior}
    predicted: dict[str, dict[str, Array]] = {
        name: {k: np.broadcast_to(p, (len(test_rows), len(prior))) for k in keys} for name, p in constant.items()
    }
    predicted["classic"] = {k: _mean([single[m] for m in SUBSETS[k]]) for k in keys}
    ids = {row: clip for clip, row in inputs.rows.items()}
    return {
        name: [
            _prediction(inputs, ids[row], row, {k: rounded(p[i]) for k, p in probabilities.items() if usable[k][i]})
            for i, row in enumerate(test_rows.tolist())
        ]
        for name, probabilities in predicted.items()
    }


def _prediction(inputs: Inputs, name: str, row: int, answers: dict[str, list[float | None]]) -> ClipPrediction:
    """The record of the clip ``name``, which is in a row of the inputs."""
    line = ClipPrediction(id=name, speaker=inputs.speakers[row], target=rounded(inputs.target[row]))
    if inputs.task == "dimensions":
        line["values"] = answers
    else:
        line["probs"] = answers
    return line


# --------------------------------------------------------------------------------------------------------------------
# Reading


def _describe(x: NDArray[Any], entry: Input, clip: Clip) -> str | NDArray[np.float32] | None:
    """The descriptor vector of a preprocessed clip; for texts, the text itself."""
    if entry.raw is Utterance:
        return clip.text
    return DESCRIPTORS.get(entry.spec.kind, feature_statistics)(x)


def _stack(vectors: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32]:
    """Stack vectors to ``[N, K]``, with rows of NaN for absent ones."""
    width = next((len(v) for v in vectors if v is not None), 0)
    return np.stack([np.full(width, np.nan, dtype=np.float32) if v is None else v for v in vectors])


# --------------------------------------------------------------------------------------------------------------------
# Classifying


def _classify(inputs: Inputs, m: Modality, train: NDArray[np.int64], test: NDArray[np.int64]) -> Array:
    """Predictions of one modality, ``[len(test), C]``; NaN where a clip does not have it."""
    present = inputs.presence[m]
    known, predictable = train[present[train]], present[test]
    if not len(known):
        raise ManifestError(f"classic baselines: no labelled clip of train has {m}; remove its encoder from the config")
    target = inputs.target[known]
    if inputs.task == "dimensions":
        result = np.full((len(test), len(inputs.labels)), np.nan)
        if predictable.any():
            values = inputs.values[m]
            result[predictable] = regress(
                inputs.recipes[m], take_rows(values, known), target, take_rows(values, test[predictable])
            )
        return result
    if len(learnable(target, inputs.task)) < least(inputs.task):
        label = inputs.labels[int(target.mean(axis=0).argmax())]
        raise SplitError(
            f"classic baselines: all {len(known)} labelled train clips that have {m} are {label!r}; a classifier "
            "needs clips of at least two labels: choose another split, or add clips"
        )
    result = np.full((len(test), len(inputs.labels)), np.nan)
    if predictable.any():
        values, speakers = inputs.values[m], [inputs.speakers[i] for i in known]
        train_values, test_values = take_rows(values, known), take_rows(values, test[predictable])
        result[predictable] = classify(inputs.recipes[m], train_values, target, speakers, test_values, task=inputs.task)
    return result


def _mean(probabilities: Sequence[Array]) -> Array:
    """``[N, C]`` mean over the modalities that are present; NaN for a clip without any."""
    stacked = np.stack(probabilities)
    present = ~np.isnan(stacked)
    count = present.sum(axis=0)
    total = np.where(present, stacked, 0.0).sum(axis=0)
    mean: Array = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return mean
