"""Features in place of media, under pseudonyms: what can be shared where the recordings cannot.

The features of a clip are what the branches of a model make of it. No picture, sound or word can be read from them,
but they are not anonymous: who has another recording of a person may recognise them. ``multiemo privacy-report``
measures how often.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from multiemo.data.manifest.reading import write_manifest
from multiemo.data.splits.grouping import GROUP_BY
from multiemo.errors import ManifestError
from multiemo.privacy.embeddings import branch_embeddings
from multiemo.progress import Progress
from multiemo.runs.batches import prepare_part
from multiemo.runs.device import compute_of
from multiemo.runs.model_folder import load_bundle
from multiemo.training.checkpoint import save_tensors
from multiemo.types import Clip, FeatureRef, Modality

#: Attribute of a shared clip: whether the model that made its features was trained or selected on it, on its speaker or
#: on its group.
SEEN = "seen_by_model"


@dataclass(frozen=True, slots=True)
class SharedFeatures:
    """What was written by :func:`share_features`.

    Args:
        clips: the rows.
        features: file of the features.
        widths: {modality: number of features of a clip}.
        left_out: clips without any modality that the model reads.
        seen: clips that the model was trained or selected on, or whose speaker or group it was.
    """

    clips: list[Clip]
    features: Path
    widths: dict[Modality, int]
    left_out: int
    seen: int


def share_features(
    clips: Sequence[Clip],
    folder: Path,
    run: Path,
    out: Path,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> SharedFeatures:
    """Write a manifest that has features of clips and their labels, and nothing else of them.

    Rows are in random order. Ids, speakers and groups are replaced by numbers, and the pairs are kept nowhere. The
    corpus, its language, labels and split remain; words, media, times and attributes do not.

    Args:
        clips: rows of the manifest with media.
        folder: its folder.
        run: run folder or model folder, whose branches make the features.
        out: manifest to write; the features lie beside it, in ``<stem>.features.safetensors``.
        device: see :func:`multiemo.runs.device.compute_of`.
        progress: receives the number of finished clips.

    Raises:
        ManifestError: no clip has a modality that the model reads.
        MultiemoError: the model or a medium cannot be read.
    """
    bundle = load_bundle(run)
    data = bundle.config.data.model_copy(update={"cache": None})  # the user's cache, not that of the run's machine
    config = bundle.config.model_copy(update={"data": data})
    part = prepare_part(config, folder, clips, bundle.inputs, dialogue=clips, progress=progress)
    compute = compute_of(config, device)
    found = {m: branch_embeddings(bundle, part, m, compute) for m in bundle.model.modalities}
    shown = [clip for clip in clips if any(clip.id in rows for rows in found.values())]
    if not shown:
        raise ManifestError(f"{out}: not written: no clip has {' or '.join(found)} as {run} reads them")
    drawn = secrets.SystemRandom()
    drawn.shuffle(shown)
    people = _numbered("person", (c.speaker for c in shown), drawn)
    groups = _numbered("group", (c.group for c in shown), drawn)
    file = out.with_name(f"{out.stem}.features.safetensors")
    rows, tensors = [], {}
    for number, clip in enumerate(shown, start=1):
        name = f"clip-{number:06d}"
        features: dict[str, FeatureRef] = {}
        for m, embedded in found.items():
            if clip.id in embedded:
                key = f"{m}/{name}"
                tensors[key] = torch.from_numpy(embedded[clip.id]).float()[None]
                features[m] = FeatureRef(file.name, key)
        known = any(bundle.seen.among([clip], kind) for kind in GROUP_BY)
        rows.append(
            Clip(  # field by field, so that a field that is added later is not shared by mistake
                id=name,
                corpus=clip.corpus,
                speaker=None if clip.speaker is None else people[clip.speaker],
                group=None if clip.group is None else groups[clip.group],
                language=clip.language,
                features=features,
                label_set=clip.label_set,
                label=clip.label,
                labels=clip.labels,
                votes=clip.votes,
                modality_labels=clip.modality_labels,
                valence=clip.valence,
                arousal=clip.arousal,
                dominance=clip.dominance,
                split=clip.split,
                attributes={SEEN: "yes" if known else "no"},
            )
        )
    save_tensors(file, tensors, {}, plain=True)
    write_manifest(rows, out)
    widths = {m: len(next(iter(embedded.values()))) for m, embedded in found.items() if embedded}
    return SharedFeatures(rows, file, widths, len(clips) - len(shown), sum(c.attributes[SEEN] == "yes" for c in rows))


def _numbered(kind: str, names: Iterable[str | None], drawn: secrets.SystemRandom) -> dict[str, str]:
    """A pseudonym for each name, in random order."""
    known = sorted({name for name in names if name is not None})
    drawn.shuffle(known)
    width = len(str(len(known)))
    return {name: f"{kind}-{number:0{width}d}" for number, name in enumerate(known, start=1)}
