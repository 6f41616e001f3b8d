"""Composite clips: the words of one corpus, the voice of another, the face of a third, paired by label.

Such clips show whether fusion works as a mechanism. They say nothing about people: no real person said these words in
this voice with this face. Everything made here is called ``composite``.
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
#: Fields of a clip that carry each modality (beside its features).
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
    """Clips whose modalities come from different clips of one label and one part.

    Within a part and a label every source is drawn from in shuffled rounds, so that no clip is used twice before all
    were used once. The speaker of a composite clip is ``corpus:speaker`` of the voice (of the face or the text where
    there is no voice), because the bootstrap clusters by speaker and the voice is what carries identity most; groups
    of the other sources are kept inside one part as well, and that is checked here.

    Args:
        sources: {modality: clips}, each with ``split``, and ``label`` in ``label_set``; unlabelled clips are not used.
            Paths must be right for the manifest that the result goes into.
        label_set: of all sources and of the result.
        per_label: {train, val, test: composite clips of each label}; every part needs at least one.
        seed: the same arguments give the same clips.
        labels: those to compose; default is the whole label set.
        group_by: {modality: what may not stand in two parts}; default speakers where the clips name them, else groups
            (dialogues), else clips.

    Returns:
        Clips with ids ``composite-train-00000`` ..., corpus ``composite``, ordered by part, then label by label.

    Raises:
        SplitError: a clip has no part, or a group of a source stands in two parts.
        ManifestError: fewer than two sources, another label set, a label that a source lacks in a part, or two sources
            that both need a time span.
    """
    wanted = _check_request(sources, label_set, per_label, labels)
    pools = {
        modality: _pool(modality, sources[modality], label_set, (group_by or {}).get(modality))
        for modality in MODALITIES
        if modality in sources
    }
    generator = random.Random(seed)
    composed: list[Clip] = []
    for part in PARTS:
        made: list[Clip] = []
        for label in wanted:
            draws = {}
            for modality, pool in pools.items():
                if not pool[part, label]:
                    raise ManifestError(
                        f"composite: {modality} has no {label!r} clip in {part}; leave the label out of `labels`, "
                        "or split that corpus otherwise"
                    )
                draws[modality] = _rounds(pool[part, label], generator)
            for _ in range(per_label[part]):
                chosen = {modality: next(draw) for modality, draw in draws.items()}
                made.append(_join_clips(f"{CORPUS}-{part}-{len(made):05d}", chosen, label_set, label, part))
        composed.extend(made)
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
    """Compose from manifests on disk and write the composite manifest, with links to media outside its folder.

    Labels are mapped to ``label_set`` (:func:`multiemo.labels.map_label`); clips whose label is lost there, or which
    stand in no part or lack the modality, are not used. A source whose folder is not inside that of ``out`` is linked
    as ``<out's stem>.<modality>.media``. What a split keeps whole (its ``group_by``) is kept inside one part here too.

    Args:
        sources: {modality: (manifest, its split)}.
        out: ``.jsonl`` or ``.parquet``; its folder is made.
        label_set, per_label, seed, labels: as in :func:`compose`.

    Returns:
        ``out``.

    Raises:
        SplitError, ManifestError: as in :func:`compose`, or a manifest cannot be read, linked or written.
        ConfigError: unknown label set.
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
    """The labels to compose, in the order of the label set."""
    unknown = [m for m in sources if m not in MODALITIES]
    if unknown or len(sources) < 2:
        raise ManifestError(f"composite: sources are {sorted(sources)}; give two or three of {', '.join(MODALITIES)}")
    if set(per_label) != set(PARTS) or any(n < 1 for n in per_label.values()):
        raise ManifestError(f"composite: per_label is {dict(per_label)}; give a count of 1 or more for each of {PARTS}")
    known = labels_of(label_set, where="composite: label_set")
    strange = [label for label in labels or () if label not in known]
    if strange:
        raise ManifestError(f"composite: label {strange[0]!r} is not in {label_set}: {', '.join(known)}")
    return known if labels is None else tuple(label for label in known if label in labels)


def _pool(
    modality: Modality, clips: Sequence[Clip], label_set: str, group_by: GroupBy | None
) -> dict[tuple[str, str], list[Clip]]:
    """{(part, label): clips} of one source, checked for labels, parts and leaks."""
    unit = group_by or _unit(clips)
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
            raise SplitError(f"composite: {modality} clip {clip.id!r} stands in no part; split that corpus first")
        if not _carries(clip, modality):
            raise ManifestError(f"composite: clip {clip.id!r} of the {modality} source has no {modality}; drop it")
        group = group_of(clip, unit)
        if part_of.setdefault(group, clip.split) != clip.split:
            raise SplitError(
                f"composite: {unit} {group!r} of the {modality} source stands in {part_of[group]} and {clip.split}; "
                f"split that corpus by {unit}"
            )
        pool[clip.split, clip.label].append(clip)
    return pool


def _unit(clips: Sequence[Clip]) -> GroupBy:
    if any(clip.speaker is not None for clip in clips):
        return "speaker"
    return "group" if any(clip.group is not None for clip in clips) else "clip"


def _rounds(clips: Sequence[Clip], generator: random.Random) -> Iterator[Clip]:
    """Every clip in shuffled order, again and again."""
    while True:
        yield from generator.sample(list(clips), len(clips))


def _join_clips(name: str, chosen: Mapping[Modality, Clip], label_set: str, label: str, part: str) -> Clip:
    """One composite clip out of one clip a modality."""
    spans = {m: (c.start, c.end) for m, c in chosen.items() if m != "text" and (c.start, c.end) != (None, None)}
    timed = {m for m, c in chosen.items() if m != "text" and (c.audio or c.video)}
    if spans and len(timed) > 1:
        clip = chosen[next(iter(spans))]
        raise ManifestError(
            f"composite: clip {clip.id!r} is a span of a longer file, and one clip cannot hold two spans; cut the file"
        )
    start, end = next(iter(spans.values()), (None, None))
    values: dict[str, Any] = {
        field: getattr(clip, field) for modality, clip in chosen.items() for field in _CARRIED[modality]
    }
    voice = chosen.get("speech")
    if voice is not None and voice.audio is None:
        values["audio"] = voice.video  # the sound of a video
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
    """The clip with its label in ``label_set``, or ``None`` where it has none there; several labels must agree."""
    names = clip.labels or ((clip.label,) if clip.label is not None else ())
    mapped = {map_label(name, clip.label_set, label_set) for name in names}
    if len(mapped) != 1 or None in mapped:
        return None
    return replace(clip, label=mapped.pop(), labels=None, label_set=label_set, modality_labels={})
