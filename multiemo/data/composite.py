"""Composite clips: the text of one corpus, the voice of another and the face of a third, paired by label.

Such clips show whether a fusion works as a mechanism. They show nothing about people: no real person said these words
in this voice with this face. All clips made here have the corpus ``composite``.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from multiemo.data.manifest.reading import read_manifest, write_manifest
from multiemo.data.manifest.rows import PARTS
from multiemo.data.prepare import clip_paths, join, reach, with_paths
from multiemo.data.splits.grouping import GroupBy, group_of
from multiemo.data.splits.split import Split
from multiemo.errors import ManifestError, SplitError
from multiemo.labels import label_set as labels_of
from multiemo.labels import map_label
from multiemo.types import MODALITIES, Clip, Modality

CORPUS = "composite"
#: Fields of a clip that belong to each modality, besides its features.
_CARRIED: dict[Modality, tuple[str, ...]] = {
    "text": ("text", "language"),
    "speech": ("audio",),
    "face": ("video", "image", "cropped"),
}


def compose(
    sources: Mapping[Modality, Sequence[Clip]],
    *,
    label_set: str,
    per_label: Mapping[str, int],
    seed: int = 0,
    labels: Sequence[str] | None = None,
    group_by: Mapping[Modality, GroupBy] | None = None,
) -> list[Clip]:
    """Compose clips whose modalities come from different clips of the same label and part.

    For each part and label, every source is drawn from in shuffled rounds, so that no clip is used twice before all
    were used once. The speaker of a composite clip is ``corpus:speaker`` of the voice (of the face or the text if there
    is no voice): the bootstrap clusters by speaker, and the voice identifies a person best. The groups of all sources
    must stay within one part, which is checked here.

    Args:
        sources: {modality: clips}, each with ``split``, and ``label`` in ``label_set``; unlabelled clips are ignored.
            Paths must be relative to the folder of the resulting manifest.
        label_set: label set of all sources and of the result.
        per_label: {train, val, test: number of composite clips per label}; at least 1 for every part.
        seed: the same arguments give the same clips.
        labels: labels to compose; the default is the whole label set.
        group_by: {modality: unit that must not be in two parts}; the default is speakers if the clips name them, else
            groups (dialogues), else clips.

    Returns:
        Clips with ids ``composite-train-00000`` ..., corpus ``composite``, ordered by part, then by label.

    Raises:
        SplitError: a clip has no part, or a group of a source is in two parts.
        ManifestError: there are fewer than two sources, a source has another label set or lacks a label in a part, or
            two sources both need a time span.
    """
    to_compose = _check_request(sources, label_set, per_label, labels)
    pools = {
        modality: _pool(modality, sources[modality], label_set, (group_by or {}).get(modality))
        for modality in MODALITIES
        if modality in sources
    }
    generator = random.Random(seed)
    composed: list[Clip] = []
    for part in PARTS:
        of_part: list[Clip] = []
        for label in to_compose:
            draws = {}
            for modality, pool in pools.items():
                if not pool[part, label]:
                    raise ManifestError(
                        f"composite: {modality} has no {label!r} clip in {part}; leave the label out of `labels`, "
                        "or use another split of that corpus"
                    )
                draws[modality] = _shuffled_forever(pool[part, label], generator)
            for _ in range(per_label[part]):
                chosen = {modality: next(draw) for modality, draw in draws.items()}
                of_part.append(_join_clips(f"{CORPUS}-{part}-{len(of_part):05d}", chosen, label_set, label, part))
        composed.extend(of_part)
    return composed


def compose_manifests(
    sources: Mapping[Modality, tuple[Path, Split]],
    out: Path,
    *,
    label_set: str,
    per_label: Mapping[str, int],
    seed: int = 0,
    labels: Sequence[str] | None = None,
) -> Path:
    """Compose clips from manifests on disk and write a manifest, with links to media outside its folder.

    Labels are mapped to ``label_set`` (:func:`multiemo.labels.map_label`). Clips without label in that set, in no part
    or without the modality are ignored. A source outside the folder of ``out`` is linked as
    ``<out's stem>.<modality>.media``. The groups of each split (its ``group_by``) stay within one part.

    Args:
        sources: {modality: (manifest, its split)}.
        out: ``.jsonl`` or ``.parquet``; its folder is created.
        label_set, per_label, seed, labels: as in :func:`compose`.

    Returns:
        ``out``.

    Raises:
        SplitError, ManifestError: as in :func:`compose`, or a manifest cannot be read, linked or written.
        ConfigError: the label set is unknown.
    """
    labels_of(label_set, where="composite: label_set")
    out.parent.mkdir(parents=True, exist_ok=True)
    clips: dict[Modality, list[Clip]] = {}
    for modality, (manifest, split) in sources.items():
        part_of = split.part_of()
        usable = [
            replace(mapped, split=part_of[clip.id])
            for clip in read_manifest(manifest)
            if clip.id in part_of and _carries(clip, modality) and (mapped := _mapped(clip, label_set)) is not None
        ]
        if any(clip_paths(clip) for clip in usable):
            prefix = reach(manifest.parent, out.parent, link=f"{out.stem}.{modality}.media")
            usable = [with_paths(clip, partial(join, prefix)) for clip in usable]
        clips[modality] = usable
    composed = compose(
        clips,
        label_set=label_set,
        per_label=per_label,
        seed=seed,
        labels=labels,
        group_by={modality: split.group_by for modality, (_, split) in sources.items()},
    )
    write_manifest(composed, out)
    return out


def _check_request(
    sources: Mapping[Modality, Sequence[Clip]],
    label_set: str,
    per_label: Mapping[str, int],
    labels: Sequence[str] | None,
) -> tuple[str, ...]:
    """Check the arguments of :func:`compose` and return the labels to compose, in the order of the label set."""
    unknown = [m for m in sources if m not in MODALITIES]
    if unknown or len(sources) < 2:
        raise ManifestError(f"composite: sources are {sorted(sources)}; give two or three of {', '.join(MODALITIES)}")
    if set(per_label) != set(PARTS) or any(n < 1 for n in per_label.values()):
        raise ManifestError(f"composite: per_label is {dict(per_label)}; give a count of 1 or more for each of {PARTS}")
    known = labels_of(label_set, where="composite: label_set")
    unknown_labels = [label for label in labels or () if label not in known]
    if unknown_labels:
        raise ManifestError(f"composite: label {unknown_labels[0]!r} is not in {label_set}: {', '.join(known)}")
    return known if labels is None else tuple(label for label in known if label in labels)


def _pool(
    modality: Modality, clips: Sequence[Clip], label_set: str, group_by: GroupBy | None
) -> dict[tuple[str, str], list[Clip]]:
    """Return {(part, label): clips} of one source, after checking labels, parts and leaks."""
    unit = group_by or _default_group_by(clips)
    pool: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    part_of: dict[str, str] = {}
    for clip in clips:
        if clip.label is None:
            continue
        if clip.label_set != label_set:
            raise ManifestError(
                f"composite: {modality} clip {clip.id!r} has label set {clip.label_set}, not {label_set}"
            )
        if clip.split not in PARTS:
            raise SplitError(f"composite: {modality} clip {clip.id!r} is in no part; split that corpus first")
        if not _carries(clip, modality):
            raise ManifestError(f"composite: clip {clip.id!r} of the {modality} source has no {modality}; leave it out")
        group = group_of(clip, unit)
        if part_of.setdefault(group, clip.split) != clip.split:
            raise SplitError(
                f"composite: {unit} {group!r} of the {modality} source is in {part_of[group]} and {clip.split}; "
                f"split that corpus by {unit}"
            )
        pool[clip.split, clip.label].append(clip)
    return pool


def _default_group_by(clips: Sequence[Clip]) -> GroupBy:
    if any(clip.speaker is not None for clip in clips):
        return "speaker"
    return "group" if any(clip.group is not None for clip in clips) else "clip"


def _shuffled_forever(clips: Sequence[Clip], generator: random.Random) -> Iterator[Clip]:
    """Yield all clips in shuffled order, in endless rounds."""
    while True:
        yield from generator.sample(list(clips), len(clips))


def _join_clips(name: str, chosen: Mapping[Modality, Clip], label_set: str, label: str, part: str) -> Clip:
    """Combine one clip per modality into a composite clip."""
    spans = {m: (c.start, c.end) for m, c in chosen.items() if m != "text" and (c.start, c.end) != (None, None)}
    timed = {m for m, c in chosen.items() if m != "text" and (c.audio or c.video)}
    if spans and len(timed) > 1:
        clip = chosen[next(iter(spans))]
        raise ManifestError(
            f"composite: clip {clip.id!r} is a span of a longer file, and a clip cannot have two spans; cut that file "
            "into clips"
        )
    start, end = next(iter(spans.values()), (None, None))
    values: dict[str, Any] = {
        field: getattr(clip, field) for modality, clip in chosen.items() for field in _CARRIED[modality]
    }
    voice = chosen.get("speech")
    if voice is not None and voice.audio is None:
        values["audio"] = voice.video  # the audio track of a video
    bearer = voice or chosen.get("face") or chosen["text"]
    return Clip(
        id=name,
        corpus=CORPUS,
        speaker=f"{bearer.corpus}:{bearer.speaker or bearer.group or bearer.id}",
        features={m: clip.features[m] for m, clip in chosen.items() if m in clip.features},
        start=start,
        end=end,
        label_set=label_set,
        label=label,
        modality_labels=dict.fromkeys(chosen, label),
        split=part,
        **values,
    )


def _carries(clip: Clip, modality: Modality) -> bool:
    if modality in clip.features:
        return True
    if modality == "text":
        return clip.text is not None
    return any((clip.audio, clip.video) if modality == "speech" else (clip.video, clip.image))


def _mapped(clip: Clip, label_set: str) -> Clip | None:
    """Return the clip with its label mapped to ``label_set``, or ``None`` without exactly one label there."""
    names = clip.labels or ((clip.label,) if clip.label is not None else ())
    mapped = {map_label(name, clip.label_set, label_set) for name in names}
    if len(mapped) != 1 or None in mapped:
        return None
    return replace(clip, label=mapped.pop(), labels=None, label_set=label_set, modality_labels={})
