"""A manifest row -> what the inputs of a model read of it: the one way, for training and for prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from multiemo.data.cache.tensors import TensorCache
from multiemo.data.manifest.reading import media_path
from multiemo.errors import ManifestError, MediaError
from multiemo.inputs.base import Input
from multiemo.inputs.material import ClipMaterial, ManifestRow, PreparedInput, Request, material_of
from multiemo.media.reading import Media, read_media
from multiemo.types import Absent, Modality


@dataclass(slots=True)
class GatheredRow:
    """What a row holds, before any input has become a tensor.

    Args:
        materials: {modality: what its input takes its part of}.
        absent: {modality: why the row does not have it}.
        damaged: {modality: what is wrong with its file}.
        problems: what went wrong without stopping the reading, one line each.
        end: where the longest of its files ends, seconds.
    """

    materials: dict[Modality, ClipMaterial] = field(default_factory=dict)
    absent: dict[Modality, Absent] = field(default_factory=dict)
    damaged: dict[Modality, MediaError | ManifestError] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    end: float = 0.0


@dataclass(slots=True)
class RowInputs:
    """What a model reads of a row.

    Args:
        ready: {modality: its input, or why there is none}; damaged ones are left out.
        damaged: {modality: what is wrong with it}.
        problems: what went wrong without stopping the reading, one line each.
        end: where the longest of its files that were decoded ends, seconds.
    """

    ready: dict[Modality, PreparedInput | Absent]
    damaged: dict[Modality, MediaError | ManifestError]
    problems: list[str]
    end: float


def read_row(
    row: ManifestRow,
    inputs: Mapping[Modality, Input],
    *,
    cache: TensorCache | None = None,
    track: int | None = None,
) -> RowInputs:
    """Everything that a model reads of a row; each file is decoded once, for the inputs that the cache does not have.

    Args:
        row: of a manifest.
        inputs: {modality: input} that are wanted.
        cache: of inputs that were decoded; ``None`` makes them each time.
        track: with sound, from 1, of files with several; ``None``: the one on which somebody speaks.

    Raises:
        MultiemoError: anything but a file that cannot be read, which is ``damaged``.
    """
    ready: dict[Modality, PreparedInput | Absent] = {}
    damaged: dict[Modality, MediaError | ManifestError] = {}
    keys: dict[Modality, bytes] = {}
    if cache is not None:
        for m, entry in inputs.items():
            if not entry.decodes or isinstance(entry.source(row.clip, m), Absent):
                continue
            try:
                keys[m] = entry.key(row, cache)
            except (MediaError, ManifestError) as error:
                damaged[m] = error
                continue
            known = cache.get(keys[m])
            if known is not None:
                ready[m] = PreparedInput(known) if isinstance(known, Tensor) else known
    wanted = {m: entry for m, entry in inputs.items() if m not in ready and m not in damaged}
    gathered = gather_row(row, wanted, track=track)
    ready |= gathered.absent
    damaged |= gathered.damaged
    for m, material in gathered.materials.items():
        try:
            ready[m] = made = inputs[m].read(material)
        except (MediaError, ManifestError) as error:
            damaged[m] = error
            continue
        if cache is not None and m in keys:
            cache.put(keys[m], made if isinstance(made, Absent) else made.tensor)
    return RowInputs(
        {m: ready[m] for m in inputs if m in ready},
        {m: damaged[m] for m in inputs if m in damaged},
        gathered.problems,
        gathered.end,
    )


def gather_row(row: ManifestRow, inputs: Mapping[Modality, Input], *, track: int | None = None) -> GatheredRow:
    """Decode what the inputs of a row are made from, each file once.

    Args:
        row: of a manifest.
        inputs: {modality: input} that are wanted.
        track: as in :func:`read_row`.
    """
    found = GatheredRow()
    files: dict[Path, list[_Shared]] = {}
    for m, entry in inputs.items():
        source = entry.source(row.clip, m)
        if isinstance(source, Absent):
            found.absent[m] = source
        elif entry.request is None:
            found.materials[m] = ClipMaterial(row.clip.text, row.earlier, row=row)
        else:
            _join(files.setdefault(media_path(source, row.folder), []), m, entry.request)
    for path, shares in files.items():
        for shared in shares:
            _decode(row, path, shared, track, found)
    return found


@dataclass(slots=True)
class _Shared:
    """One decoding of a file, and for whom it is."""

    request: Request
    members: dict[Modality, Request]


def _join(shares: list[_Shared], m: Modality, request: Request) -> None:
    for shared in shares:
        joined = shared.request.joined(request)
        if joined is not None:
            shared.request = joined
            shared.members[m] = request
            return
    shares.append(_Shared(request, {m: request}))


def _decode(row: ManifestRow, path: Path, shared: _Shared, track: int | None, found: GatheredRow) -> None:
    """Decode a file for all who share it; who does not get what it asked for asks again alone, to learn why."""
    try:
        media = _read(row, path, shared.request, track)
    except (MediaError, ManifestError) as error:
        found.damaged.update(dict.fromkeys(shared.members, error))
        return
    found.problems += media.problems
    found.end = max(found.end, media.offset + media.duration)
    for m, request in shared.members.items():
        own = media
        if len(shared.members) > 1 and not request.served_by(media):
            try:
                own = _read(row, path, request, track)
            except (MediaError, ManifestError) as error:
                found.damaged[m] = error
                continue
        found.materials[m] = material_of(own, text=row.clip.text, row=row, cropped=row.clip.cropped)


def _read(row: ManifestRow, path: Path, request: Request, track: int | None) -> Media:
    return read_media(
        path,
        start=row.clip.start,
        end=row.clip.end,
        rate=request.sample_rate,
        fps=request.fps,
        max_frames=request.max_frames,
        track=track,
    )
