"""Whether the rows of a manifest can serve what a config asks of them; said before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from multiemo.config import Config
from multiemo.data.dialogue import contexts, without_context
from multiemo.data.targets import LabelSpace
from multiemo.errors import ConfigError, ManifestError
from multiemo.runs.parts import input_kind
from multiemo.types import DIMENSIONS, Absent, Clip, Modality


def nothing_known(where: object, task: str, purpose: str, *, label: str = "a label", hint: str = "") -> ManifestError:
    """The error of a manifest of which no row knows what a task needs.

    Args:
        where: the manifest.
        task: of the config; with ``dimensions`` a row needs one of them instead of a label.
        purpose: what it is needed for, as the sentence goes on.
        label: what the rows lack, where they need a label.
        hint: why, or what would do; left out with ``dimensions``.
    """
    if task == "dimensions":
        return ManifestError(f"{where}: no row has {' or '.join(DIMENSIONS)}{purpose}")
    return ManifestError(f"{where}: no row has {label}{purpose}{hint}")


def check_labels(where: object, clips: Sequence[Clip], space: LabelSpace) -> None:
    """See that some label of the rows is one of the model's.

    Args:
        where: the manifest, for the message.
        clips: of it, or of a part.
        space: of the model.

    Raises:
        ManifestError: none is.
    """
    if any(space.target(clip) is not None for clip in clips):
        return
    why = "; ".join(space.notes(clips)[:3]) or f"none has one (label_from: {space.label_from})"
    label = f"a label of {space.name} ({', '.join(space.labels)})"
    raise nothing_known(where, space.task, ", which the model gives", label=label, hint=f": {why}")


def check_modalities(config: Config, clips: Sequence[Clip], modalities: Iterable[Modality], where: str) -> None:
    """See that each modality is named by some row that is trained on.

    Args:
        config: says which encoders read them.
        clips: of train.
        modalities: that are trained.
        where: the manifest or fold, for the message.

    Raises:
        ManifestError: no row names an input for one of them.
    """
    for m in modalities:
        kind = input_kind(config, m)
        if all(isinstance(kind.source(clip, m), Absent) for clip in clips):
            raise ManifestError(
                f"{where}: no clip to train on has {kind.row_keys(m)}, which encoders.{m} reads; add it to the "
                f"manifest, or take encoders.{m} out of the config and {m} out of stages"
            )


def check_context(config: Config, clips: Sequence[Clip], where: str) -> None:
    """See that earlier turns are there which the config wants to be read.

    Args:
        config: of a run or benchmark.
        clips: all rows of the manifest that the words are learnt from.
        where: the manifest, for the message.

    Raises:
        ConfigError: no row has any.
    """
    if "text" not in config.modalities or "text" in config.taken_over:
        return
    width = config.encoders["text"].options.get("context", 0)
    missing = without_context(clips, width if isinstance(width, int) else 0)
    if missing is not None and not any(contexts(clips, width).values()):
        raise ConfigError(
            f"encoders.text.context: cannot take effect: {where}: {missing}; fill in group, or set context to 0"
        )
