"""Manifest rows -> Samples, with the preprocessors that the encoders' InputSpecs ask for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from multiemo.data.cache import TensorCache
from multiemo.data.cache_keys import text_key
from multiemo.data.dialogue import context_width, contexts
from multiemo.data.features import read_features
from multiemo.data.manifest import media_path
from multiemo.data.media import read_media
from multiemo.errors import ManifestError, MediaError, MultiemoError
from multiemo.labels import label_set as labels_of
from multiemo.labels import map_label
from multiemo.progress import Progress
from multiemo.types import DIMENSIONS, LABEL_SOURCES, Absent, Clip, Modality, Sample, spec_to_dict


class Preprocessor(Protocol):
    """What ``build`` hands over for one modality; ``spec`` says which arrays it is called with."""

    spec: Any

    def __call__(self, *arrays: Any) -> Any:
        """Arrays of one clip to a tensor (a face track for faces), or :class:`Absent`."""
        ...


@dataclass(frozen=True, slots=True)
class LabelSpace:
    """How rows become targets.

    Args:
        name: label set of the model; empty for ``dimensions``.
        task: ``single``, ``multi``, ``soft`` or ``dimensions``.
        label_from: ``clip``, or the modality whose own label counts.
    """

    name: str
    task: str = "single"
    label_from: str = "clip"

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in order; for ``dimensions`` the names of these."""
        return DIMENSIONS if self.task == "dimensions" else labels_of(self.name)

    def target(self, clip: Clip) -> Tensor | None:
        """``[C]`` float32, or ``None`` when the row has no label that survives the map to this set.

        For ``dimensions`` ``[3]``, NaN where one is unknown, or ``None`` when all are.
        """
        if self.task == "dimensions":
            known = dimensions_of(clip)
            return None if bool(known.isnan().all()) else known
        shares = self._shares(clip)
        target = torch.zeros(len(self.labels))
        for label, share in shares.items():
            mapped = map_label(label, clip.label_set, self.name)
            if mapped is not None:
                target[self.labels.index(mapped)] += share
        if target.sum() <= 0:
            return None
        if self.task == "multi":
            return target.clamp_max(1.0)
        if self.task == "soft":
            return target / target.sum()
        return torch.nn.functional.one_hot(target.argmax(), len(self.labels)).float()

    def other_targets(self, clip: Clip) -> Tensor:
        """``[A, C]`` float32: the target from each other label source, in the order of ``LABEL_SOURCES``, or zeros."""
        if self.task == "dimensions":
            return torch.zeros(len(LABEL_SOURCES) - 1, len(self.labels))
        others = (replace(self, label_from=s).target(clip) for s in LABEL_SOURCES if s != self.label_from)
        return torch.stack([torch.zeros(len(self.labels)) if t is None else t for t in others])

    def notes(self, clips: Iterable[Clip]) -> list[str]:
        """What becomes of the labels of some rows on the way to this set, a sentence each where they change.

        Example:
            >>> calm = Clip(id="a", corpus="x", label_set="ravdess8", label="calm")
            >>> LabelSpace("iemocap4").notes([calm]), LabelSpace("ekman7").notes([calm])
            (['1 clips with label calm have no place in iemocap4 and are left out'], ['labels: calm -> neutral 1'])
        """
        if self.task == "dimensions":
            return []
        became: Counter[str] = Counter()
        gone: Counter[str] = Counter()
        trimmed: Counter[str] = Counter()
        undecided = 0
        for clip in clips:
            shares = [label for label, share in self._shares(clip).items() if share > 0]
            to = {label: map_label(label, clip.label_set, self.name) for label in shares}
            became.update(f"{label} -> {new}" for label, new in to.items() if new not in (None, label))
            lost = [label for label, new in to.items() if new is None]
            (gone if len(lost) == len(shares) else trimmed).update(lost)
            undecided += not shares and self.label_from == "clip" and bool(clip.labels or clip.votes)
        said = [f"labels: {', '.join(f'{pair} {n}' for pair, n in _most(became))}"] if became else []
        said += [
            f"{n} clips with label {label} have no place in {self.name} and are left out" for label, n in _most(gone)
        ]
        for label, n in _most(trimmed):
            said.append(f"{n} clips lose {label}, which {self.name} does not have, and keep their other labels")
        if undecided:
            said.append(f"{undecided} clips have several labels or tied votes, so no single one, and are left out")
        return said

    def _shares(self, clip: Clip) -> dict[str, float]:
        if self.label_from != "clip":
            own = clip.modality_labels.get(self.label_from)
            return {own: 1.0} if own else {}
        if self.task == "soft" and clip.votes:
            return dict(clip.votes)
        if clip.label:
            return {clip.label: 1.0}
        if clip.labels:
            if self.task != "multi" and len(clip.labels) > 1:
                return {}
            return dict.fromkeys(clip.labels, 1.0)
        if clip.votes:
            best = max(clip.votes.values())
            winners = [label for label, count in clip.votes.items() if count == best]
            return {winners[0]: 1.0} if len(winners) == 1 else {}
        return {}


def dimensions_of(clip: Clip) -> Tensor:
    """``[3]`` float32 valence, arousal and dominance; NaN where unknown."""
    known = (getattr(clip, name) for name in DIMENSIONS)
    return torch.tensor([float("nan") if v is None else float(v) for v in known])


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    """Largest first, then by name."""
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


#: Fewer clips than this are decoded in this process; starting others would take longer.
_ENOUGH = 16
#: Prepared samples stay in memory up to this many bytes; a larger part is read from the cache every epoch.
MEMORY_LIMIT = 4 << 30


@dataclass(slots=True)
class PreparedPart:
    """What preprocessing a whole part found.

    Args:
        absent: {modality: {reason: clips}}.
        bad: {clip id: message} of clips left out because nothing of them can be read.
        damaged: {clip id: {modality: message}} of clips kept for the modalities that can be read.
        lengths: {modality: time steps of each clip, 0 where absent}.
        labelled: which clips have a label (for ``dimensions``, any of these).
        frequencies: ``[C]`` share of each label among the labelled clips; for ``dimensions`` the means, NaN where no
            clip knows one.
    """

    absent: dict[Modality, dict[str, int]] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, dict[Modality, str]] = field(default_factory=dict)
    lengths: dict[Modality, list[int]] = field(default_factory=dict)
    labelled: list[bool] = field(default_factory=list)
    frequencies: Tensor = field(default_factory=lambda: torch.zeros(0))

    def left_out(self) -> list[str]:
        """A sentence for each clip, or modality of a clip, that cannot be read."""
        whole = [f"left out {clip}: {message}" for clip, message in self.bad.items()]
        parts = ((clip, m, message) for clip, those in self.damaged.items() for m, message in those.items())
        return whole + [f"left out the {m} of {clip}, and kept the rest of it: {message}" for clip, m, message in parts]


class ClipDataset(Dataset[Sample]):
    """Clips of one manifest as samples.

    Args:
        clips: rows of the part.
        folder: the manifest's folder.
        preprocessors: {modality: preprocessor}.
        space: how labels become targets.
        cache: preprocessed speech and faces are kept there; ``None`` computes them each time.
        dialogue: all rows of the manifest in order, for text encoders that read earlier utterances.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        folder: Path,
        preprocessors: Mapping[Modality, Preprocessor],
        space: LabelSpace,
        *,
        cache: TensorCache | None = None,
        dialogue: Sequence[Clip] = (),
    ) -> None:
        self.clips = list(clips)
        self.folder = folder
        self.preprocessors = dict(preprocessors)
        self.space = space
        self.cache = cache
        self.samples: list[Sample] | None = None
        self._damaged: set[tuple[str, Modality]] = set()
        self._context = contexts(dialogue or clips, context_width(self.preprocessors))

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Sample:
        if self.samples is not None:
            return self.samples[index]
        return self.read(index, tuple(self.preprocessors))

    def read(self, index: int, modalities: Sequence[Modality], *, damaged: dict[Modality, str] | None = None) -> Sample:
        """A clip with those of its modalities, from the cache or its media.

        Args:
            index: row.
            modalities: those that are wanted.
            damaged: takes the messages of those that cannot be read, which are then absent.

        Raises:
            MultiemoError: it cannot be read, and ``damaged`` is not given; names the clip.
        """
        clip = self.clips[index]
        inputs: dict[Modality, Tensor] = {}
        absent: dict[Modality, str] = {}
        for modality in modalities:
            got: Tensor | Absent = Absent("it cannot be read")
            try:
                if (clip.id, modality) not in self._damaged:
                    got = self._read(clip, modality, self.preprocessors[modality])
            except (MediaError, ManifestError) as error:
                message = f"clip {clip.id!r}: {error}"
                if damaged is None:
                    raise type(error)(message) from None
                damaged[modality] = message
            except MultiemoError as error:
                raise type(error)(f"clip {clip.id!r}: {error}") from None
            if isinstance(got, Absent):
                absent[modality] = got.reason
            else:
                inputs[modality] = got
        return Sample(
            id=clip.id,
            corpus=clip.corpus,
            speaker=f"{clip.corpus}:{clip.speaker or clip.group or clip.id}",
            inputs=inputs,
            absent=absent,
            target=self.space.target(clip),
            dimensions=dimensions_of(clip),
            other_targets=self.space.other_targets(clip),
        )

    def input_key(self, index: int, modality: Modality) -> bytes:
        """What the preprocessed input of a clip is called in the cache; the clip must have the modality."""
        clip, preprocessor = self.clips[index], self.preprocessors[modality]
        assert self.cache is not None
        fingerprint = _fingerprint(clip, preprocessor.spec)
        kind = preprocessor.spec.kind
        if kind == "text":
            tokens = self._read(clip, modality, preprocessor)
            assert isinstance(tokens, Tensor)  # a spec does not say what a trained tokenizer has learnt
            return text_key(clip.text or "", self._context.get(clip.id, ()), {**fingerprint, "ids": tokens.tolist()})
        if kind == "features":
            reference = clip.features[modality]
            path, fingerprint = media_path(reference.path, self.folder), {**fingerprint, "key": reference.key}
        else:
            path = media_path(str(_source(clip, kind)), self.folder)
        return self.cache.key(path, clip.start, clip.end, fingerprint)

    def prepare(
        self,
        *,
        workers: int = 0,
        skip_bad: bool = False,
        progress: Progress | None = None,
    ) -> PreparedPart:
        """Preprocess every clip once and hold the samples in memory for the epochs to come.

        Args:
            workers: processes that decode; 0 = this one.
            skip_bad: leave out what of a clip cannot be read (the clip, where nothing is left), and say so in the
                result, instead of stopping.
            progress: told the clips done.

        Raises:
            MediaError: media cannot be read and ``skip_bad`` is off; names the clip.
        """
        found = PreparedPart(lengths={m: [] for m in self.preprocessors})
        samples: list[Sample] = []
        size = 0
        total, count = torch.zeros(2, len(self.space.labels))
        loader = self._over(range(len(self)), workers)
        for done, (clip, (got, damaged, note)) in enumerate(zip(self.clips, loader, strict=True), start=1):
            self._heed(note)
            if progress is not None:
                progress.update(done, len(self.clips))
            if damaged and not skip_bad:
                first = next(iter(damaged.values()))
                raise MediaError(
                    f"{first}; mend or remove the row, or set data.skip_bad=true to leave out what cannot be read"
                )
            if damaged and not got.inputs:
                found.bad[clip.id] = "; ".join(dict.fromkeys(damaged.values()))
                continue
            if damaged:
                found.damaged[clip.id] = damaged
                self._damaged |= {(clip.id, m) for m in damaged}
            if loader.num_workers:
                got = _own(got)
            for m in self.preprocessors:
                found.lengths[m].append(got.inputs[m].shape[0] if m in got.inputs else 0)
            for m, reason in got.absent.items():
                counts = found.absent.setdefault(m, {})
                counts[reason] = counts.get(reason, 0) + 1
            found.labelled.append(got.target is not None)
            if got.target is not None:
                total += got.target.nan_to_num(0.0)
                count += ~got.target.isnan()
            size += sum(x.nbytes for x in got.inputs.values())
            if size <= MEMORY_LIMIT:
                samples.append(got)
            else:
                samples.clear()
        found.frequencies = total / (count if self.space.task == "dimensions" else count.clamp_min(1))
        if self.cache is not None:
            self.cache.close()
        self.clips = [c for c in self.clips if c.id not in found.bad]
        self.samples = samples if len(samples) == len(self.clips) else None
        return found

    def fill_cache(self, rows: Sequence[int], *, workers: int = 0, progress: Progress | None = None) -> None:
        """Preprocess some clips into the cache; what cannot be read is left for :meth:`prepare` to tell.

        Args:
            rows: which.
            workers, progress: as in :meth:`prepare`.
        """
        for done, (_, _, note) in enumerate(self._over(rows, workers), start=1):
            self._heed(note)
            if progress is not None:
                progress.update(done, len(rows))
        if self.cache is not None:
            self.cache.close()

    # ------------------------------------------------------------------------------------------------------------
    def _over(self, rows: Sequence[int], workers: int) -> DataLoader[Any]:
        """Those clips in that order, each with the messages of what of it cannot be read and a note of the cache."""
        workers = workers if len(rows) >= _ENOUGH else 0
        if workers and self.cache is not None:
            self.cache.close()
        return DataLoader(Subset(_Guarded(self), rows), batch_size=None, num_workers=workers)

    def _heed(self, note: str | None) -> None:
        """Keep the first note of a worker's cache with the cache of this process."""
        if note is not None and self.cache is not None:
            self.cache.note = self.cache.note or note

    def _read(self, clip: Clip, modality: Modality, preprocessor: Preprocessor) -> Tensor | Absent:
        kind = preprocessor.spec.kind
        if kind == "text":
            if clip.text is None:
                return Absent("the row has no text")
            return preprocessor(clip.text, self._context.get(clip.id, ()))  # type: ignore[no-any-return]
        if kind == "features":
            reference = clip.features.get(modality)
            if reference is None:
                return Absent(f"the row has no features.{modality}")
            path = media_path(reference.path, self.folder)
            values, _ = read_features(path, reference.key, clip.start, clip.end)
            return preprocessor(values)  # type: ignore[no-any-return]
        source = _source(clip, kind)
        if isinstance(source, Absent):
            return source
        path = media_path(source, self.folder)
        if self.cache is None:
            return _decode(path, clip, preprocessor)
        key = self.cache.key(path, clip.start, clip.end, _fingerprint(clip, preprocessor.spec))
        known = self.cache.get(key)
        if known is None:
            known = _decode(path, clip, preprocessor)
            self.cache.put(key, known)
        return known


class _Guarded(Dataset[Any]):
    """The data set with errors of media and features, and what its cache has to say, as values: a worker process can
    hand them over.
    """

    def __init__(self, inner: ClipDataset) -> None:
        self.inner = inner

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> tuple[Sample, dict[Modality, str], str | None]:
        damaged: dict[Modality, str] = {}
        if self.inner.samples is not None:
            got = self.inner[index]
        else:
            got = self.inner.read(index, tuple(self.inner.preprocessors), damaged=damaged)
        return got, damaged, None if self.inner.cache is None else self.inner.cache.note


def _own(sample: Sample) -> Sample:
    """A copy outside the memory shared with the worker, of which each piece holds an open file."""
    return replace(
        sample,
        inputs={m: x.clone() for m, x in sample.inputs.items()},
        target=None if sample.target is None else sample.target.clone(),
        dimensions=sample.dimensions.clone(),
        other_targets=None if sample.other_targets is None else sample.other_targets.clone(),
    )


def _source(clip: Clip, kind: str) -> str | Absent:
    """The file that holds the voice or the face of a clip."""
    if kind in ("speech", "waveform"):
        return clip.audio or clip.video or Absent("the row has neither audio nor video")
    return clip.video or clip.image or Absent("the row has neither video nor image")


def _fingerprint(clip: Clip, spec: Any) -> dict[str, Any]:
    """What a preprocessed input depends on, beside its file and span: the spec, and whether a face is looked for."""
    values = spec_to_dict(spec)
    return {**values, "cropped": True} if clip.cropped and spec.kind == "face" else values


def _decode(path: Path, clip: Clip, preprocessor: Preprocessor) -> Tensor | Absent:
    spec = preprocessor.spec
    if spec.kind in ("speech", "waveform"):
        media = read_media(path, start=clip.start, end=clip.end, rate=spec.sample_rate)
        if media.audio is None:
            return Absent(media.absent.get("audio", "the file has no audio"))
        return preprocessor(media.audio, media.rate)  # type: ignore[no-any-return]
    media = read_media(path, start=clip.start, end=clip.end, fps=spec.fps, max_frames=spec.frames)
    if media.frames is None:
        return Absent(media.absent.get("video", "the file has no video"))
    track = preprocessor(media.frames, media.times, clip.cropped)
    return track if isinstance(track, Absent) else track.crops  # type: ignore[no-any-return]
