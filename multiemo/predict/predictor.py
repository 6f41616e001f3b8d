"""A trained model that reads media: what it says of one thing, and of many."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from multiemo.calibration import UNCERTAIN
from multiemo.data.collate import Collate
from multiemo.errors import CheckpointError, MediaError, MultiemoError
from multiemo.evaluation import probabilities_of
from multiemo.inputs.base import context_width
from multiemo.model import contributions
from multiemo.predict.answers import Answer, Pending, foreseen
from multiemo.predict.dimensions import dimension_estimates
from multiemo.predict.estimates import NO_DIMENSIONS, Dimensions, SegmentEstimate
from multiemo.predict.prediction import (
    FacePrediction,
    InputPrediction,
    ModelDescription,
    SegmentFaces,
    SegmentPrediction,
)
from multiemo.predict.reader import WINDOW, Options, Reader, Segments
from multiemo.predict.segmentation.stream import Segment
from multiemo.predict.smoothing import Smoothing
from multiemo.predict.sources import Item, of_file
from multiemo.predict.streaming import Stream
from multiemo.predict.tracing import Tracing
from multiemo.preprocess.faces.selection import SpanFaces
from multiemo.runs.device import compute_of, predict
from multiemo.runs.model_folder import Bundle, load_bundle
from multiemo.types import DIMENSIONS, SUBSETS, Modality, Output, Sample, subset_key

if TYPE_CHECKING:
    from multiemo.evaluation import Report

_BATCH = 16


class Predictor:
    """A trained model that reads media files.

    Args:
        bundle: from :func:`multiemo.runs.load_bundle` or a run.
        device: as in :func:`multiemo.runs.device.compute_of`; the precision is that in which the model was trained.
        options: how files are cut into segments and where words come from.
    """

    def __init__(self, bundle: Bundle, *, device: str = "auto", options: Options | None = None) -> None:
        self.bundle = bundle
        self.compute = compute_of(bundle.config, device)
        self.options = options or Options()
        self.reader = Reader(bundle.inputs, self.options)
        self.model = bundle.model.to(self.compute.device).eval()
        self.labels = bundle.labels
        self.calibration = bundle.calibration
        self._subsets = [k for k, members in SUBSETS.items() if set(members) <= set(self.model.modalities)]
        self._collate = Collate(self.model.modalities, len(self.labels))

    def predict(
        self, source: str | Path | None = None, *, text: str | None = None, cropped: bool = False
    ) -> InputPrediction:
        """One file, one text, or a file and its transcript.

        Args:
            source: video, audio or image.
            text: what is said in it.
            cropped: an image is a face crop, taken whole.

        Returns:
            One of the ``inputs`` of the prediction JSON; it prints and serialises as that. In a segment ``best`` is the
            label that is decided for (the most probable one, unless training weighed labels: see
            :func:`multiemo.calibration.decide`), and ``label`` is the same, or ``uncertain`` where the model's
            threshold does not let it be given. A model without labels (``task: dimensions``) says valence, arousal and
            dominance in their place.

        Raises:
            MediaError: the file cannot be read, or there is neither a file nor a text.

        Example::

            model = multiemo.load("runs/demo")
            model.predict("clip.mp4", text="I can't believe it!").segments[0].label
        """
        if source is None and text is None:
            raise MediaError("nothing to predict: give a file, a text, or both")
        return self.predict_item(Item("text", text=text) if source is None else of_file(source, text, cropped=cropped))

    def predict_item(self, item: Item) -> InputPrediction:
        """As :meth:`predict`, also for a manifest row."""
        answer = next(self.predict_many([item]))
        if isinstance(answer, MultiemoError):
            raise answer
        return answer.entry

    def predict_many(self, items: Iterable[Item]) -> Iterator[Answer | MultiemoError]:
        """Many items, an answer or an error each, in order; segments of several items go through the model together.

        An item is taken from ``items`` when the one before it has been read; few segments are held at a time. Whatever
        one item does is its own error, a :class:`~multiemo.errors.DefectError` where nobody foresaw it.
        """
        waiting: deque[Pending] = deque()
        batch: list[tuple[Pending, Segment]] = []
        for item in items:
            pending = Pending(item, tracing=Tracing() if self.options.traces else None)
            waiting.append(pending)
            for segment in self._read(pending):
                pending.add(segment)
                if segment.inputs and pending.error is None:
                    batch.append((pending, segment))
                if len(batch) == _BATCH:
                    self._tell(batch)
                    batch = []
            if pending.error is not None:
                batch = [entry for entry in batch if entry[0] is not pending]
                pending.open = 0
            while waiting and not waiting[0].open:
                yield waiting.popleft().answer(self.model.modalities, self.smoothing())
        if batch:
            self._tell(batch)
        for pending in waiting:
            yield pending.answer(self.model.modalities, self.smoothing())

    def _read(self, pending: Pending) -> Iterator[Segment]:
        """The segments of an item, as far as it can be read; why it cannot goes into ``error``."""
        try:
            reading = self.reader.open(pending.item)
            pending.words, pending.notes = reading.words, reading.notes
            yield from reading.segments
        except CheckpointError:
            raise  # an encoder that was waiting cannot be built: not the item's fault
        except Exception as error:
            pending.error = foreseen(error, pending.item.name)

    def stream(self, **options: Any) -> Stream:
        """A stream of sound, pictures and words; see :class:`multiemo.predict.Stream`."""
        return Stream(self, **options)

    def smoothing(self) -> Smoothing:
        """For one file or stream."""
        return Smoothing(self.labels, self.bundle.prior.tolist(), self.model.task, calibration=self.calibration)

    @property
    def context(self) -> int:
        """How many earlier utterances of a dialogue the text encoder reads."""
        return context_width(self.bundle.inputs)

    def describe(self) -> ModelDescription:
        """Which model this is: the ``model`` of the prediction JSON."""
        facts, learnt = self.bundle.facts, self.model.learnt_dimensions
        return ModelDescription(
            name=self.bundle.config.name,
            label_set=self.bundle.config.label_set or None,
            labels=[] if self.model.task == "dimensions" else list(self.labels),
            dimensions=[DIMENSIONS[c] for c in learnt] or None,
            modalities=list(self.model.modalities),
            trained_on=facts.get("corpus_kind", "real"),
            validation=facts.get("validation", {}),
            calibration=self.calibration,
        )

    def _tell(self, batch: Sequence[tuple[Pending, Segment]]) -> None:
        """Tell each item what the model says of its segments; where that fails, each alone shows whose fault it is."""
        try:
            self._classify(batch)
        except CheckpointError:
            raise
        except Exception:
            for pending, segment in batch:
                if pending.error is None:
                    try:
                        self._classify([(pending, segment)])
                    except Exception as error:
                        pending.error, pending.open = foreseen(error, pending.item.name), 0

    def _classify(self, batch: Sequence[tuple[Pending, Segment]]) -> None:
        """Tell each item what the model says of its segments."""
        said = self.classify([segment for _, segment in batch])
        for (pending, _), (entry, embeddings) in zip(batch, said, strict=True):
            pending.add_result(entry, embeddings)

    def run(self, samples: Sequence[Sample], subsets: Sequence[str] = ()) -> Output:
        """What the model makes of some samples, and of each subset, on its device."""
        return predict(self.model, self.compute, self._collate(samples), subsets)

    @torch.inference_mode()
    def classify(self, segments: Sequence[Segment]) -> list[tuple[SegmentPrediction, dict[Modality, torch.Tensor]]]:
        """What the model says of each segment that has inputs, and the embedding of each of its modalities."""
        unknown = torch.full((len(DIMENSIONS),), float("nan"))
        samples = [Sample("", "", "", s.inputs, s.absent, None, unknown) for s in segments]
        output = self.run(samples, self._subsets)
        estimates = (
            dimension_estimates(self.model, output, segments)
            if self.model.task == "dimensions"
            else self._labelled(output, segments)
        )
        faces = output.branch_logits.get("face")
        embeddings = {m: v.float().cpu() for m, v in output.embeddings.items()}
        said = []
        for i, (segment, estimate) in enumerate(zip(segments, estimates, strict=True)):
            seen = None
            if segment.faces is not None and faces is not None:
                seen = self._faces(segment.faces, faces[i : i + 1])
            here = {m: embeddings[m][i] for m in self.model.modalities if m in segment.inputs}
            said.append((estimate.placed(segment, self.model.modalities, seen), here))
        return said

    def _labelled(self, output: Output, segments: Sequence[Segment]) -> list[SegmentEstimate]:
        """What a model with labels says of each segment."""
        model, calibration = self.model, self.calibration
        shown = [subset_key(list(s.inputs)) for s in segments]
        fused = calibration.scaled(shown, probabilities_of(output.logits, model.task).numpy(), model.task)
        chosen = calibration.decide(shown, fused, model.task)
        branches = {m: self._branch(m, v) for m, v in output.branch_logits.items()}
        # read only for segments that have all of the subset
        subsets = {
            k: calibration.scaled([k] * len(segments), probabilities_of(v, model.task).numpy(), model.task)
            for k, v in output.by_subset.items()
        }
        dimensions = None if output.dimensions is None else output.dimensions.tolist()
        found = []
        for i, segment in enumerate(segments):
            here = [m for m in model.modalities if m in segment.inputs]
            best = int(fused[i].argmax() if model.task == "multi" else chosen[i])
            by_subset = {k: v[i] for k, v in subsets.items()}
            by_subset[shown[i]] = fused[i]
            given = calibration.answers(shown[i], float(fused[i, best]))
            shares = contributions(by_subset, self.bundle.prior, here, best)
            estimate = SegmentEstimate(
                label=self.labels[best] if given else UNCERTAIN,
                best=self.labels[best],
                probs=self._named(fused[i]),
                by_modality={m: self._named(branches[m][0][i]) for m in here},
                modality_label={m: self.labels[branches[m][1][i]] for m in here},
                contribution={m: round(v, 6) for m, v in shares.items()},
                labels=self._given(chosen[i]) if model.task == "multi" else None,
                dimensions=NO_DIMENSIONS if dimensions is None else Dimensions.of(dimensions[i]),
            )
            found.append(estimate)
        return found

    def _faces(self, seen: SpanFaces, own: torch.Tensor) -> SegmentFaces:
        """Whose face was read and why, and what each says where there are several.

        Args:
            seen: faces of the segment.
            own: ``[1, C]`` logits of the one that was read.
        """
        people: list[FacePrediction] = []
        others = [person for person in seen.people if person.id != seen.person]
        if others:
            unknown = torch.full((len(DIMENSIONS),), float("nan"))
            samples = [Sample("", "", "", {"face": p.crops}, {}, None, unknown) for p in others]
            logits = torch.cat([own, self.run(samples).branch_logits["face"]])
            said = self._faces_say([seen.person, *(p.id for p in others)], logits)
            people = [said[person.id] for person in seen.people]
        return SegmentFaces(person=seen.person, chosen=seen.why, quality=round(seen.quality, 3), people=people)

    def _faces_say(self, people: Sequence[int], logits: torch.Tensor) -> dict[int, FacePrediction]:
        """What the face of each person says: label and probabilities, or dimensions.

        Args:
            people: B numbers of people.
            logits: ``[B, C]`` of the face branch.
        """
        if self.model.task == "dimensions":
            values = self.model.probabilities(logits).tolist()
            said = {person: Dimensions.of(row) for person, row in zip(people, values, strict=True)}
            return {
                p: FacePrediction(person=p, valence=d.valence, arousal=d.arousal, dominance=d.dominance)
                for p, d in said.items()
            }
        probs, columns = self._branch("face", logits)
        return {
            person: FacePrediction(person=person, label=self.labels[column], probs=self._named(row))
            for person, row, column in zip(people, probs, columns, strict=True)
        }

    def _branch(self, m: Modality, logits: torch.Tensor) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Calibrated probabilities ``[B, C]`` of a branch's own head, and the columns of its labels."""
        task = self.model.task
        probs = self.calibration.scaled_branch(m, probabilities_of(logits, task).numpy(), task)
        return probs, probs.argmax(axis=1) if task == "multi" else self.calibration.decide(
            [m] * len(probs), probs, task
        )

    def _given(self, chosen: NDArray[np.int64]) -> list[str]:
        """The labels of ``[C]`` flags."""
        return [label for label, given in zip(self.labels, chosen, strict=True) if given]

    def _named(self, probabilities: NDArray[np.float64]) -> dict[str, float]:
        return {label: round(float(p), 6) for label, p in zip(self.labels, probabilities, strict=True)}


def load(
    path: str | Path,
    *,
    device: str = "auto",
    segments: Segments = "auto",
    window: float = WINDOW,
    hop: float | None = None,
    asr: str | None = None,
    traces: bool = False,
    track: int | None = None,
) -> Predictor:
    """Load a run folder, a branch folder or a model folder for prediction.

    Args:
        path: the folder.
        device: ``auto`` (a CUDA GPU when there is one), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        segments: how a file is cut: ``whole``; ``speech``, turns of speech and the pauses between them; ``windows``;
            ``auto``: whole up to one and a half windows, else speech where there is sound, else windows.
        window: seconds of a window or of the longest pause; a turn of speech has at most one and a half.
        hop: seconds from one window to the next; ``window`` by default.
        asr: name or folder of a Whisper model that writes down what has no transcript.
        traces: keep what a picture of the timeline needs.
        track: which audio track of a file is read, from 1; by default one on which somebody speaks.

    Raises:
        CheckpointError: not a finished model.
        ConfigError: an option that cannot be; no such device here; an ``asr`` that is not a speech recogniser.
    """
    transcriber = None
    if asr is not None:
        from multiemo.predict.asr import Transcriber

        transcriber = Transcriber(asr, device=device)
    options = Options(segments=segments, window=window, hop=hop, transcriber=transcriber, traces=traces, track=track)
    return Predictor(load_bundle(path, deferred=True), device=device, options=options)


def stream(run: str | Path | Predictor, **options: Any) -> Stream:
    """Open a stream of sound, pictures and words; see :class:`multiemo.predict.Stream`.

    Args:
        run: a run or model folder, or a model that is loaded.
        options: of the stream.
    """
    return (run if isinstance(run, Predictor) else load(run)).stream(**options)


def evaluate(
    model: str | Path, manifest: str | Path | None = None, *, split: str | None = None, device: str = "auto"
) -> Report:
    """Measure a run on its own test part, or a model on a whole manifest; see ``build.evaluate_run``."""
    from multiemo.runs.evaluation import evaluate_run

    return evaluate_run(model, manifest=manifest, split=split, device=device)
