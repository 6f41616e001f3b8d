"""Media in, an emotion timeline out, through the same preprocessors as training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from multiemo.build import Bundle, evaluate_run, load_bundle
from multiemo.calibration import UNCERTAIN
from multiemo.data.collate import Collate
from multiemo.data.dataset import contexts
from multiemo.data.features import read_features
from multiemo.data.manifest import media_path, read_manifest
from multiemo.data.media import Media, is_image, iter_media, probe, read_media
from multiemo.errors import MediaError, MultiemoError
from multiemo.evaluate import Report
from multiemo.model import contributions
from multiemo.types import DIMENSIONS, SUBSETS, Absent, Clip, Modality, Sample, subset_key

#: Seconds of a segment of a long file; a file of up to one and a half of it is one segment.
WINDOW = 4.0
_BATCH = 16
_MEDIA = {
    ".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts",
    ".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac", ".wma", ".aiff",
    ".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff",
}  # fmt: skip


@dataclass(slots=True)
class _Segment:
    """A span with what was found in it."""

    start: float
    end: float
    inputs: dict[Modality, torch.Tensor] = field(default_factory=dict)
    absent: dict[Modality, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Item:
    """One thing to predict.

    Args:
        name: what it is called in the output.
        path: media file, or ``None`` for text alone.
        text: transcript, or ``None``.
        clip, folder: the manifest row it comes from, and the manifest's folder.
        context: earlier utterances of its dialogue as (same speaker, text), oldest first.
    """

    name: str
    path: Path | None = None
    text: str | None = None
    clip: Clip | None = None
    folder: Path | None = None
    context: Sequence[tuple[bool, str]] = ()


class Predictor:
    """A trained model that reads media files.

    Args:
        bundle: from :func:`multiemo.build.load_bundle` or a run.
        device: torch device, or ``auto``.
        window: seconds of a segment of a long file.
    """

    def __init__(self, bundle: Bundle, *, device: str = "auto", window: float = WINDOW) -> None:
        self.bundle = bundle
        self.device = torch.device("cuda" if device == "auto" and torch.cuda.is_available() else "cpu")
        if device != "auto":
            self.device = torch.device(device)
        self.window = window
        self.model = bundle.model.to(self.device).eval()
        self.labels = bundle.labels
        self.calibration = bundle.calibration
        self._subsets = [k for k, members in SUBSETS.items() if set(members) <= set(self.model.modalities)]
        self._collate = Collate(self.model.modalities, len(self.labels))

    def predict(self, source: str | Path | None = None, *, text: str | None = None) -> dict[str, Any]:
        """One file, one text, or a file and its transcript.

        Args:
            source: video, audio or image.
            text: what is said in it.

        Returns:
            One entry of ``inputs`` of the prediction JSON. In a segment ``best`` is the most probable label, and
            ``label`` is the same, or ``uncertain`` where the model's threshold does not let it be given.

        Raises:
            MediaError: the file cannot be read, or there is neither a file nor a text.

        Example::

            model = multiemo.load("runs/demo")
            model.predict("clip.mp4", text="I can't believe it!")["segments"][0]["label"]
        """
        if source is None and text is None:
            raise MediaError("nothing to predict: give a file, a text, or both")
        path = None if source is None else Path(source)
        return self.predict_item(Item(name="text" if path is None else str(source), path=path, text=text))

    def predict_item(self, item: Item) -> dict[str, Any]:
        """As :meth:`predict`, also for a manifest row."""
        present: set[Modality] = set()
        reasons: dict[Modality, str] = {}
        notes: list[str] = []
        segments: list[dict[str, Any]] = []
        skipped: list[dict[str, Any]] = []
        duration = 0.0
        for group in _batches(self._segments(item), _BATCH):
            usable = [s for s in group if s.inputs]
            for said, segment in zip(self._classify(usable), usable, strict=True):
                segments.append(said)
                present |= set(segment.inputs)
            for segment in group:
                duration = max(duration, segment.end)
                notes += [n for n in segment.notes if n not in notes]
                for m, reason in segment.absent.items():
                    reasons.setdefault(m, reason)
                if not segment.inputs:
                    skipped.append({"start": segment.start, "end": segment.end, "absent": dict(segment.absent)})
        return {
            "input": item.name,
            "duration": round(duration, 3),
            "present": [m for m in self.model.modalities if m in present],
            "absent": {m: reasons[m] for m in self.model.modalities if m not in present and m in reasons},
            "segments": segments,
            "skipped": skipped,
            "notes": notes,
        }

    @property
    def context(self) -> int:
        """How many earlier utterances of a dialogue the text encoder reads."""
        text = self.bundle.preprocessors.get("text")
        return 0 if text is None else int(getattr(text.spec, "context", 0))

    def describe(self) -> dict[str, Any]:
        """The ``model`` entry of the prediction JSON."""
        facts = self.bundle.facts
        return {
            "name": self.bundle.config.name,
            "label_set": self.bundle.config.label_set,
            "labels": list(self.labels),
            "modalities": list(self.model.modalities),
            "trained_on": facts.get("corpus_kind", "real"),
            "validation": facts.get("validation", {}),
            "calibration": self.calibration.to_json(),
        }

    # ------------------------------------------------------------------------------------------------------ reading
    def _segments(self, item: Item) -> Iterator[_Segment]:
        if item.clip is not None and item.folder is not None:
            yield self._row(item.clip, item.folder, item.context)
            return
        if item.path is None:
            yield self._segment(Media(), item.text, "no audio was given", "no video or image was given")
            return
        if is_image(item.path):
            media = self._read(item.path, None, None)
            yield self._segment(media, item.text, "the input is a still image", "")
            return
        info = probe(item.path, "any")
        if info.duration is not None and info.duration <= 1.5 * self.window:
            yield self._segment(self._read(item.path, None, None), item.text)
            return
        for media in iter_media(item.path, window=self.window, **self._wanted()):
            yield self._segment(media, item.text)

    def _wanted(self) -> dict[str, Any]:
        specs = {m: p.spec for m, p in self.bundle.preprocessors.items()}
        speech, face = specs.get("speech"), specs.get("face")
        wanted: dict[str, Any] = {}
        if speech is not None and speech.kind in ("speech", "waveform"):
            wanted["rate"] = speech.sample_rate
        if face is not None and face.kind == "face":
            wanted |= {"fps": face.fps, "max_frames": face.frames}
        if not wanted:
            raise MediaError(f"this model reads {', '.join(specs)} only, not media files; give it a text or a manifest")
        return wanted

    def _read(self, path: Path, start: float | None, end: float | None) -> Media:
        return read_media(path, start=start, end=end, **self._wanted())

    def _segment(
        self,
        media: Media,
        text: str | None,
        no_audio: str = "",
        no_video: str = "",
        context: Sequence[tuple[bool, str]] = (),
    ) -> _Segment:
        segment = _Segment(round(media.offset, 3), round(media.offset + media.duration, 3), notes=list(media.problems))
        for m, preprocessor in self.bundle.preprocessors.items():
            kind = preprocessor.spec.kind
            got: Any
            if kind == "text":
                got = preprocessor(text, context) if text is not None else Absent("no transcript was given")
            elif kind == "features":
                got = Absent(f"the model reads precomputed features.{m}; give a manifest row that has them")
            elif kind in ("speech", "waveform"):
                silent = Absent(media.absent.get("audio") or no_audio or "the file has no audio track")
                got = silent if media.audio is None else preprocessor(media.audio, media.rate)
            else:
                blind = Absent(media.absent.get("video") or no_video or "the file has no video track")
                got = blind if media.frames is None else preprocessor(media.frames, media.times)
            self._file(segment, m, got)
        return segment

    def _row(self, clip: Clip, folder: Path, context: Sequence[tuple[bool, str]]) -> _Segment:
        """A manifest row is one segment, fed as in training."""
        merged = _Segment(clip.start or 0.0, clip.end or clip.start or 0.0)
        for m, preprocessor in self.bundle.preprocessors.items():
            kind = preprocessor.spec.kind
            reference = clip.features.get(m)
            if kind == "features" and reference is not None:
                values, _ = read_features(media_path(reference.path, folder), reference.key, clip.start, clip.end)
                self._file(merged, m, preprocessor(values))
        sources: dict[str, set[Modality]] = {}
        voice, picture = clip.audio or clip.video, clip.video or clip.image
        for m, source in (("speech", voice), ("face", picture)):
            if m in self.bundle.preprocessors and source and m not in merged.inputs:
                sources.setdefault(source, set()).add(m)  # type: ignore[arg-type]
        for source, wanted in sources.items():
            part = self._segment(self._read(media_path(source, folder), clip.start, clip.end), None)
            merged.end = max(merged.end, part.end)
            merged.notes += part.notes
            merged.inputs.update({m: x for m, x in part.inputs.items() if m in wanted})
            merged.absent.update({m: r for m, r in part.absent.items() if m in wanted})
        rest = self._segment(Media(), clip.text, "the row has no audio", "the row has neither video nor image", context)
        merged.inputs = {**rest.inputs, **merged.inputs}
        merged.absent = {m: r for m, r in {**rest.absent, **merged.absent}.items() if m not in merged.inputs}
        return merged

    @staticmethod
    def _file(segment: _Segment, modality: Modality, got: Any) -> None:
        if isinstance(got, Absent):
            segment.absent[modality] = got.reason
        elif isinstance(got, torch.Tensor):
            segment.inputs[modality] = got
        else:
            segment.inputs[modality] = got.crops
            segment.notes += got.notes

    # --------------------------------------------------------------------------------------------------- predicting
    @torch.inference_mode()
    def _classify(self, segments: Sequence[_Segment]) -> list[dict[str, Any]]:
        if not segments:
            return []
        unknown = torch.full((len(DIMENSIONS),), float("nan"))
        samples = [Sample("", "", "", s.inputs, s.absent, None, unknown) for s in segments]
        output = self.model(self._collate(samples).to(self.device), subsets=self._subsets)
        model, calibration = self.model, self.calibration
        shown = [subset_key(list(s.inputs)) for s in segments]
        fused = self._calibrated(output.logits, [calibration.temperature(k) for k in shown])
        branches = {m: self._calibrated(v, [calibration.branches.get(m, 1.0)]) for m, v in output.branch_logits.items()}
        # read only for segments that have all of the subset
        subsets = {k: self._calibrated(v, [calibration.temperature(k)]) for k, v in output.by_subset.items()}
        said = []
        for i, segment in enumerate(segments):
            here = [m for m in model.modalities if m in segment.inputs]
            best = int(fused[i].argmax())
            by_subset = {k: v[i] for k, v in subsets.items()}
            by_subset[shown[i]] = fused[i]
            given = calibration.answers(shown[i], float(fused[i, best]))
            entry: dict[str, Any] = {
                "start": segment.start,
                "end": segment.end,
                "label": self.labels[best] if given else UNCERTAIN,
                "best": self.labels[best],
                "probs": self._named(fused[i]),
                "by_modality": {m: self._named(branches[m][i]) for m in here},
                "contribution": {
                    m: round(v, 6) for m, v in contributions(by_subset, self.bundle.prior, here, best).items()
                },
                "present": here,
                "absent": dict(segment.absent),
            }
            if output.dimensions is not None:
                entry |= {n: round(float(v), 4) for n, v in zip(DIMENSIONS, output.dimensions[i], strict=True)}
            said.append(entry)
        return said

    def _calibrated(self, logits: torch.Tensor, temperatures: Sequence[float]) -> torch.Tensor:
        """``[B, C]`` probabilities on the CPU; one temperature, or one a row."""
        return self.model.probabilities(logits.float().cpu() / torch.tensor(temperatures).unsqueeze(1))

    def _named(self, probabilities: torch.Tensor) -> dict[str, float]:
        return {label: round(float(p), 6) for label, p in zip(self.labels, probabilities, strict=True)}


def load(path: str | Path, *, device: str = "auto", window: float = WINDOW) -> Predictor:
    """Load a run folder, a branch folder or a model folder for prediction.

    Raises:
        CheckpointError: not a finished model.
    """
    return Predictor(load_bundle(path), device=device, window=window)


def evaluate(model: str | Path, manifest: str | Path | None = None, *, split: str = "test") -> Report:
    """Measure a run on its own test part, or a model on a whole manifest; see ``build.evaluate_run``."""
    return evaluate_run(model, manifest=manifest, split=split)


def expand(sources: Iterable[str | Path], *, text: str | None = None, context: int = 0) -> list[Item]:
    """Files, folders and manifests as single things to predict, in a stable order.

    A folder means every media file below it; a ``.jsonl`` or ``.parquet`` file every row of the manifest.

    Args:
        sources: paths.
        text: transcript of all of them (normally of one).
        context: earlier utterances that the model reads (``Predictor.context``), taken from the manifest's rows.

    Raises:
        MediaError: a path does not exist, or a folder holds no media.
        ManifestError: a manifest is not valid.
    """
    items: list[Item] = []
    for source in sources:
        path = Path(source)
        if str(source).partition("://")[1]:
            items.append(Item(str(source), path, text))  # refused with a reason where it is opened
        elif path.is_dir():
            files = sorted(f for f in path.rglob("*") if f.suffix.lower() in _MEDIA and f.is_file())
            if not files:
                raise MediaError(f"{path}: no media file in this folder")
            items += [Item(str(f), f, text) for f in files]
        elif path.suffix.lower() in (".jsonl", ".parquet"):
            rows = read_manifest(path)
            earlier = contexts(rows, context) if context else {}
            items += [Item(c.id, None, c.text, c, path.parent, earlier.get(c.id, ())) for c in rows]
        else:
            items.append(Item(str(source), path, text))
    if not items and text is not None:
        items.append(Item("text", None, text))
    return items


def predict_all(predictor: Predictor, items: Sequence[Item]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The prediction JSON of many things, and (name, message) of those that failed."""
    inputs: list[Mapping[str, Any]] = []
    failures: list[tuple[str, str]] = []
    for item in items:
        try:
            inputs.append(predictor.predict_item(item))
        except MultiemoError as error:
            failures.append((item.name, str(error)))
    result: dict[str, Any] = {"inputs": inputs, "model": predictor.describe()}
    if failures:
        result["failures"] = [{"input": name, "error": message} for name, message in failures]
    return result, failures


def _batches(segments: Iterable[_Segment], size: int) -> Iterator[list[_Segment]]:
    group: list[_Segment] = []
    for segment in segments:
        group.append(segment)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
