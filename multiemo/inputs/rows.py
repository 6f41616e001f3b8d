"""Manifest row -> inputs of a model. Training and prediction both read rows through this module."""

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
    """The contents of a row before any input has become a tensor.

    Args:
        materials: {modality: material from which its input is made}.
        absent: {modality: why the row does not have it}.
        damaged: {modality: what is wrong with its file}.
        problems: errors that did not stop decoding, one line each.
        end: end of the longest of its files, seconds.
    """

    materials: dict[Modality, ClipMaterial] = field(default_factory=dict)
    absent: dict[Modality, Absent] = field(default_factory=dict)
    damaged: dict[Modality, MediaError | ManifestError] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    end: float = 0.0


@dataclass(slots=True)
class RowInputs:
    """The inputs that a model reads from a row.

    Args:
        ready: {modality: its input, or why it is absent}, without damaged ones.
        damaged: {modality: what is wrong with it}.
        problems: errors that did not stop decoding, one line each.
        end: end of the longest decoded file, seconds.
        materials: {modality: what its input was made from}, without inputs from the cache.
    """

    ready: dict[Modality, PreparedInput | Absent]
    damaged: dict[Modality, MediaError | ManifestError]
    problems: list[str]
    end: float
    materials: dict[Modality, ClipMaterial] = field(default_factory=dict)


def read_row(
    row: ManifestRow,
    inputs: Mapping[Modality, Input],
    *,
    cache: TensorCache | None = None,
    track: int | None = None,
) -> RowInputs:
    """Read the inputs of a model from a row. Each file is decoded once, for the inputs that the cache lacks.

    Args:
        row: a manifest row.
        inputs: {modality: input} to read.
        cache: stores decoded inputs; ``None`` decodes them each time.
        track: number of the audio track, from 1, in files with several; ``None`` selects the one with speech.

    Raises:
        MultiemoError: any error other than an unreadable file, which is reported in ``damaged``.
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
        gathered.materials,
    )


def gather_row(row: ManifestRow, inputs: Mapping[Modality, Input], *, track: int | None = None) -> GatheredRow:
    """Decode what the inputs of a row are made from, each file once.

    Args:
        row: a manifest row.
        inputs: {modality: input} to read.
        track: as in :func:`read_row`.
    """
    found = GatheredRow()
    files: dict[Path, list[_SharedDecoding]] = {}
    for m, entry in inputs.items():
        source = entry.source(row.clip, m)
        if isinstance(source, Absent):
            found.absent[m] = source
        elif entry.request is None:
            found.materials[m] = ClipMaterial(row.clip.text, row.earlier, row=row)
        else:
            _join(files.setdefault(media_path(source, row.folder), []), m, entry.request)
    for path, decodings in files.items():
        for decoding in decodings:
            _decode(row, path, decoding, track, found)
    return found


@dataclass(slots=True)
class _SharedDecoding:
    """One decoding of a file and the modalities that use it."""

    request: Request
    members: dict[Modality, Request]


def _join(decodings: list[_SharedDecoding], m: Modality, request: Request) -> None:
    for decoding in decodings:
        joined = decoding.request.joined(request)
        if joined is not None:
            decoding.request = joined
            decoding.members[m] = request
            return
    decodings.append(_SharedDecoding(request, {m: request}))


def _decode(row: ManifestRow, path: Path, decoding: _SharedDecoding, track: int | None, found: GatheredRow) -> None:
    """Decode a file for all modalities that share it.

    If a modality does not get what it requested, its request is decoded separately to find the reason.
    """
    try:
        media = _read(row, path, decoding.request, track)
    except (MediaError, ManifestError) as error:
        found.damaged.update(dict.fromkeys(decoding.members, error))
        return
    found.problems += media.problems
    found.end = max(found.end, media.offset + media.duration)
    for m, request in decoding.members.items():
        own = media
        if len(decoding.members) > 1 and not request.served_by(media):
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
