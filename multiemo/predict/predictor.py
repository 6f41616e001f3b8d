"""A trained model that reads media: what it says of one thing, and of many."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from multiemo.build import Bundle, evaluate_run, load_bundle
from multiemo.calibration import UNCERTAIN
from multiemo.data.collate import Collate
from multiemo.errors import MediaError, MultiemoError
from multiemo.evaluate import Report
from multiemo.model import contributions
from multiemo.predict.items import Item
from multiemo.predict.reader import Reader, Segment
from multiemo.types import DIMENSIONS, SUBSETS, Modality, Sample, subset_key

#: Seconds of a segment of a long file; a file of up to one and a half of it is one segment.
WINDOW = 4.0
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says of one item.

    Args:
        entry: one entry of ``inputs`` of the prediction JSON.
        embeddings: {modality: ``[S, D]`` float32}, what its encoder makes of each segment that has the modality.
    """

    entry: dict[str, Any]
    embeddings: dict[Modality, torch.Tensor]


@dataclass(slots=True)
class _Pending:
    """An item on its way to an answer; ``open`` counts its segments that wait for the model."""

    item: Item
    open: int = 0
    error: MultiemoError | None = None
    duration: float = 0.0
    reasons: dict[Modality, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    segments: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    embeddings: dict[Modality, list[torch.Tensor]] = field(default_factory=dict)

    def add(self, segment: Segment) -> None:
        """A segment that has been read."""
        self.duration = max(self.duration, segment.end)
        self.notes += [n for n in segment.notes if n not in self.notes]
        for m, reason in segment.absent.items():
            self.reasons.setdefault(m, reason)
        if segment.inputs:
            self.open += 1
        else:
            self.skipped.append({"start": segment.start, "end": segment.end, "absent": dict(segment.absent)})

    def hear(self, said: dict[str, Any], embeddings: Mapping[Modality, torch.Tensor]) -> None:
        """What the model says of the next segment."""
        self.open -= 1
        self.segments.append(said)
        for m, vector in embeddings.items():
            self.embeddings.setdefault(m, []).append(vector)

    def answer(self, modalities: Sequence[Modality]) -> Answer | MultiemoError:
        """Once no segment waits."""
        if self.error is not None:
            return self.error
        entry = {
            "input": self.item.name,
            "duration": round(self.duration, 3),
            "present": [m for m in modalities if m in self.embeddings],
            "absent": {m: self.reasons[m] for m in modalities if m not in self.embeddings and m in self.reasons},
            "segments": self.segments,
            "skipped": self.skipped,
            "notes": self.notes,
        }
        return Answer(entry, {m: torch.stack(vectors) for m, vectors in self.embeddings.items()})


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
        self.reader = Reader(bundle.preprocessors, window)
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
        answer = next(self.predict_many([item]))
        if isinstance(answer, MultiemoError):
            raise answer
        return answer.entry

    def predict_many(self, items: Iterable[Item]) -> Iterator[Answer | MultiemoError]:
        """Many items, an answer or an error each, in order; segments of several items go through the model together.

        An item is taken from ``items`` when the one before it has been read; few segments are held at a time.
        """
        waiting: deque[_Pending] = deque()
        batch: list[tuple[_Pending, Segment]] = []
        for item in items:
            pending = _Pending(item)
            waiting.append(pending)
            try:
                for segment in self.reader.segments(item):
                    pending.add(segment)
                    if segment.inputs:
                        batch.append((pending, segment))
                    if len(batch) == _BATCH:
                        self._classify(batch)
                        batch = []
            except MultiemoError as error:
                batch = [entry for entry in batch if entry[0] is not pending]
                pending.error, pending.open = error, 0
            while waiting and not waiting[0].open:
                yield waiting.popleft().answer(self.model.modalities)
        if batch:
            self._classify(batch)
        for pending in waiting:
            yield pending.answer(self.model.modalities)

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

    @torch.inference_mode()
    def _classify(self, batch: Sequence[tuple[_Pending, Segment]]) -> None:
        """Tell each item what the model says of its segments."""
        segments = [segment for _, segment in batch]
        unknown = torch.full((len(DIMENSIONS),), float("nan"))
        samples = [Sample("", "", "", s.inputs, s.absent, None, unknown) for s in segments]
        output = self.model(self._collate(samples).to(self.device), subsets=self._subsets)
        model, calibration = self.model, self.calibration
        shown = [subset_key(list(s.inputs)) for s in segments]
        fused = self._calibrated(output.logits, [calibration.temperature(k) for k in shown])
        branches = {m: self._calibrated(v, [calibration.branches.get(m, 1.0)]) for m, v in output.branch_logits.items()}
        # read only for segments that have all of the subset
        subsets = {k: self._calibrated(v, [calibration.temperature(k)]) for k, v in output.by_subset.items()}
        embeddings = {m: v.float().cpu() for m, v in output.embeddings.items()}
        for i, (pending, segment) in enumerate(batch):
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
            pending.hear(entry, {m: embeddings[m][i] for m in here})

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


def predict_all(predictor: Predictor, items: Sequence[Item]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The prediction JSON of many things, and (name, message) of those that failed."""
    inputs: list[Mapping[str, Any]] = []
    failures: list[tuple[str, str]] = []
    for item, answer in zip(items, predictor.predict_many(items), strict=True):
        if isinstance(answer, Answer):
            inputs.append(answer.entry)
        else:
            failures.append((item.name, str(answer)))
    result: dict[str, Any] = {"inputs": inputs, "model": predictor.describe()}
    if failures:
        result["failures"] = [{"input": name, "error": message} for name, message in failures]
    return result, failures
