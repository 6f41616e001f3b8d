"""Checks that a manifest has the labels, modalities and dialogue context that a config needs, before any decoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from multiemo.config import Config
from multiemo.data.dialogue import contexts, without_context
from multiemo.data.targets import LabelSpace
from multiemo.errors import ConfigError, ManifestError
from multiemo.runs.parts import input_kind
from multiemo.types import DIMENSIONS, Absent, Clip, Modality


def no_labels_error(where: object, task: str, purpose: str, *, label: str = "a label", hint: str = "") -> ManifestError:
    """The error for a manifest in which no row has the annotation that the task needs.

    Args:
        where: path of the manifest.
        task: task of the config; with ``dimensions`` a row needs a dimension instead of a label.
        purpose: end of the sentence: what the annotation is needed for.
        label: the missing annotation, for tasks with labels.
        hint: reason or remedy, appended to the message; unused with ``dimensions``.
    """
    if task == "dimensions":
        return ManifestError(f"{where}: no row has {' or '.join(DIMENSIONS)}{purpose}")
    return ManifestError(f"{where}: no row has {label}{purpose}{hint}")


def check_labels(where: object, clips: Sequence[Clip], space: LabelSpace) -> None:
    """Check that at least one row has a label of the model's label set.

    Args:
        where: path of the manifest, for the message.
        clips: rows of the manifest or of one part.
        space: label space of the model.

    Raises:
        ManifestError: no row has such a label.
    """
    if any(space.target(clip) is not None for clip in clips):
        return
    why = "; ".join(space.notes(clips)[:3]) or f"none has one (label_from: {space.label_from})"
    label = f"a label of {space.name} ({', '.join(space.labels)})"
    raise no_labels_error(where, space.task, ", which the model predicts", label=label, hint=f": {why}")


def check_modalities(config: Config, clips: Sequence[Clip], modalities: Iterable[Modality], where: str) -> None:
    """Check that every trained modality occurs in at least one row of train.

    Args:
        config: config that names the encoder of each modality.
        clips: rows of train.
        modalities: modalities that are trained.
        where: path of the manifest, or the fold, for the message.

    Raises:
        ManifestError: no row has an input for one of the modalities.
    """
    for m in modalities:
        kind = input_kind(config, m)
        if all(isinstance(kind.source(clip, m), Absent) for clip in clips):
            raise ManifestError(
                f"{where}: no clip to train on has {kind.row_keys(m)}, which encoders.{m} reads; add it to the "
                f"manifest, or remove encoders.{m} from the config and {m} from stages"
            )


def check_context(config: Config, clips: Sequence[Clip], where: str) -> None:
    """Check that the manifest has earlier turns where the text encoder reads dialogue context.

    Args:
        config: config of a run or benchmark.
        clips: all rows of the manifest that the text branch is trained on.
        where: path of the manifest, for the message.

    Raises:
        ConfigError: ``encoders.text.context`` is set, but no row has an earlier turn.
    """
    if "text" not in config.modalities or "text" in config.taken_over:
        return
    width = config.encoders["text"].options.get("context", 0)
    missing = without_context(clips, width if isinstance(width, int) else 0)
    if missing is not None and not any(contexts(clips, width).values()):
        raise ConfigError(
            f"encoders.text.context: cannot take effect: {where}: {missing}; fill in group, or set context to 0"
        )
