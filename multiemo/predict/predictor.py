"""A trained model that predicts the emotions in media: one input at a time, or many in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from multiemo.data.collate import Collate
from multiemo.encoders.base import Encoder
from multiemo.encoders.common.speaker_offset import not_normalised_error
from multiemo.errors import CheckpointError, ConfigError, MediaError, MultiemoError
from multiemo.inputs.base import context_width
from multiemo.predict.answers import Answer, Pending, Watch, as_multiemo_error
from multiemo.predict.dimensions import DimensionEstimator
from multiemo.predict.enrolment import Enrolment, enrol
from multiemo.predict.estimates import LabelEstimator
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
from multiemo.predict.sources import Item, expand, file_item
from multiemo.predict.streaming import Stream
from multiemo.predict.tracing import Tracing
from multiemo.preprocess.faces.selection import SpanFaces
from multiemo.runs.device import compute_of, predict
from multiemo.runs.model_folder import Bundle, load_bundle
from multiemo.types import DIMENSIONS, SUBSETS, Modality, Output, Sample

if TYPE_CHECKING:
    from multiemo.evaluation import Report
    from multiemo.predict.explanations.records import Explanation

#: Segments that go through the model together.
_BATCH = 16


class Predictor:
    """A trained model that reads media files.

    Args:
        bundle: from :func:`multiemo.runs.load_bundle` or a run.
        device: as in :func:`multiemo.runs.device.compute_of`. The precision is the one used in training.
        options: how files are cut into segments, and where their words come from.
    """

    def __init__(self, bundle: Bundle, *, device: str = "auto", options: Options | None = None) -> None:
        self.bundle = bundle
        self.compute = compute_of(bundle.config, device)
        self.options = options or Options()
        self.reader = Reader(bundle.inputs, self.options)
        self.model = bundle.model.to(self.compute.device).eval()
        self.labels: Sequence[str] = bundle.labels
        self._enrolled: Enrolment | None = None
        self.calibration = bundle.calibration
        self._subsets = [k for k, members in SUBSETS.items() if set(members) <= set(self.model.modalities)]
        self._collate = Collate(self.model.modalities, len(self.labels))
        self._estimator = (
            DimensionEstimator(self.model)
            if self.model.task == "dimensions"
            else LabelEstimator(self.model, self.labels, bundle.prior, self.calibration)
        )

    def predict(
        self, source: str | Path | None = None, *, text: str | None = None, cropped: bool = False
    ) -> InputPrediction:
        """Predict one file, one text, or a file with its transcript.

        Args:
            source: path of a video, an audio file or an image.
            text: what is said in it.
            cropped: the image is already a face crop, so that no face is searched in it.

        Returns:
            One of the ``inputs`` of the prediction JSON. It prints and serialises as that JSON. ``best`` of a segment
            is the label that the model decides for. This is the most probable label, unless training weighted the
            labels (see :func:`multiemo.calibration.decide`). ``label`` is the same label, or ``uncertain`` where its
            probability is below the model's threshold. A model without labels (``task: dimensions``) returns valence,
            arousal and dominance instead.

        Raises:
            MediaError: the file cannot be read, or neither a file nor a text was given.

        Example::

            model = multiemo.load("runs/demo")
            model.predict("clip.mp4", text="I can't believe it!").segments[0].label
        """
        if source is None and text is None:
            raise MediaError("nothing to predict: give a file, a text, or both")
        item = Item("text", text=text) if source is None else file_item(source, text, cropped=cropped)
        return self.predict_item(item)

    def predict_item(self, item: Item, watch: Watch | None = None) -> InputPrediction:
        """Predict one item, which may also be a manifest row; see :meth:`predict`.

        Args:
            item: the item.
            watch: receives every predicted segment as it is predicted, with the raw form of each input.
        """
        answer = next(self.predict_many([item], watch))
        if isinstance(answer, MultiemoError):
            raise answer
        return answer.entry

    def predict_many(self, items: Iterable[Item], watch: Watch | None = None) -> Iterator[Answer | MultiemoError]:
        """Predict many items; the segments of several items go through the model in one batch.

        ``items`` is consumed lazily: the next item is taken once the one before it has been read. Only a few segments
        are in memory at a time. A failure affects only the item that caused it.

        Args:
            items: the items.
            watch: as in :meth:`predict_item`.

        Yields:
            For each item, in order, its answer or the error. An unexpected exception becomes a
            :class:`~multiemo.errors.DefectError`.
        """
        waiting: deque[Pending] = deque()
        batch: list[tuple[Pending, Segment]] = []
        for item in items:
            pending = Pending(item, tracing=Tracing() if self.options.traces else None, watch=watch)
            waiting.append(pending)
            for segment in self._read(pending):
                pending.add(segment)
                if segment.inputs and pending.error is None:
                    batch.append((pending, segment))
                if len(batch) == _BATCH:
                    self._predict_batch(batch)
                    batch = []
            if pending.error is not None:
                batch = [entry for entry in batch if entry[0] is not pending]
                pending.open = 0
            while waiting and not waiting[0].open:
                yield waiting.popleft().answer(self.model.modalities, self.smoothing())
        if batch:
            self._predict_batch(batch)
        for pending in waiting:
            yield pending.answer(self.model.modalities, self.smoothing())

    def _read(self, pending: Pending) -> Iterator[Segment]:
        """The segments of an item, up to the first error, which is stored in ``pending.error``."""
        try:
            reading = self.reader.open(pending.item, keep_raw=pending.watch is not None)
            pending.words, pending.notes = reading.words, reading.notes
            yield from reading.segments
        except CheckpointError:
            raise  # an encoder whose loading was deferred cannot be built, which is not the fault of this item
        except Exception as error:
            pending.error = as_multiemo_error(error, pending.item.name)

    def stream(self, **options: Any) -> Stream:
        """Open a stream of sound, pictures and words; see :class:`multiemo.predict.Stream`."""
        return Stream(self, **options)

    def smoothing(self) -> Smoothing:
        """A new smoother for one file or stream."""
        return Smoothing(self.labels, self.bundle.prior.tolist(), self.model.task, calibration=self.calibration)

    @property
    def context(self) -> int:
        """The number of earlier utterances of a dialogue that the text encoder reads."""
        return context_width(self.bundle.inputs)

    def describe(self) -> ModelDescription:
        """The description of the model: ``model`` in the prediction JSON."""
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
            enrolled=None if self._enrolled is None else self._enrolled.clips,
        )

    def enrol(self, sources: Iterable[str | Path]) -> dict[Modality, int]:
        """Learn what is usual for one person; all predictions after this are for that person.

        The person's register, loudness, timbre and resting face are subtracted from what the model reads, if its
        encoders were trained with ``speaker_normalization: true``. Labels are not needed. A new enrolment replaces the
        one before it; an empty one forgets it.

        Args:
            sources: files, folders or manifests with recordings of that person alone.

        Returns:
            {modality: number of clips or segments that were read}.

        Raises:
            ConfigError: no encoder of the model normalises speakers.
            MediaError: a recording cannot be read, or shows nothing of the person.

        Example::

            model = multiemo.load("runs/voices")
            model.enrol(["monday.wav", "tuesday.wav"])
            model.predict("wednesday.wav")
        """
        self._enrolled = None
        every = {m: e for m in self.model.modalities if isinstance(e := self.model.encoders[m], Encoder)}
        normalised = {m: encoder for m, encoder in every.items() if encoder.speaker_offset is not None}
        if not normalised:
            raise not_normalised_error("--enrol")
        items = expand(sources)
        if items:
            self._enrolled = enrol(self.reader, normalised, items, self.compute)
        return {} if self._enrolled is None else self._enrolled.clips

    def _predict_batch(self, batch: Sequence[tuple[Pending, Segment]]) -> None:
        """Predict some segments. If that fails, predict each by itself, to find out which item is at fault."""
        try:
            self._add_results(batch)
        except CheckpointError:
            raise
        except Exception:
            for pending, segment in batch:
                if pending.error is None:
                    try:
                        self._add_results([(pending, segment)])
                    except Exception as error:
                        pending.error, pending.open = as_multiemo_error(error, pending.item.name), 0

    def _add_results(self, batch: Sequence[tuple[Pending, Segment]]) -> None:
        """Predict some segments and add each result to its item."""
        results = self.classify([segment for _, segment in batch])
        for (pending, segment), (prediction, embeddings) in zip(batch, results, strict=True):
            pending.add_result(segment, prediction, embeddings)

    def explain(
        self,
        source: str | Path | None = None,
        *,
        text: str | None = None,
        cropped: bool = False,
        start: float | None = None,
        end: float | None = None,
        most: int = 8,
    ) -> Explanation:
        """Explain the prediction for one file, one text, or a file with its transcript.

        Args:
            source, text, cropped: as in :meth:`predict`.
            start, end: explain only segments that overlap this span of a film or sound file, seconds.
            most: largest number of segments to explain; of a longer input the most telling ones are explained (see
                :class:`multiemo.predict.explanations.choice.Chooser`).

        Returns:
            The explanation. Its ``prediction`` is that of :meth:`predict`. ``multiemo.predict.explanations.page``
            turns it into a page.

        Raises:
            ConfigError: ``start``, ``end`` or ``most`` is out of range.
            MediaError: the file cannot be read, or neither a file nor a text was given.

        Example::

            model = multiemo.load("runs/demo")
            why = model.explain("clip.mp4", text="I can't believe it!")
            print(why.segments[0].attribution.contribution)
        """
        if source is None and text is None:
            raise MediaError("nothing to explain: give a file, a text, or both")
        item = Item("text", text=text) if source is None else file_item(source, text, cropped=cropped)
        return self.explain_item(item, start=start, end=end, most=most)

    def explain_item(
        self, item: Item, *, start: float | None = None, end: float | None = None, most: int = 8
    ) -> Explanation:
        """Explain one item, which may also be a manifest row; see :meth:`explain`.

        Args:
            item: the item.
            start, end, most: as in :meth:`explain`.
        """
        from multiemo.predict.explanations.explainer import explain_item

        return explain_item(self, item, start=start, end=end, most=most)

    @torch.inference_mode()
    def coalitions(self, segment: Segment) -> dict[str, NDArray[np.float64]]:
        """{subset key: ``[C]`` calibrated probabilities} of every set of the modalities of a segment.

        Raises:
            TypeError: the model has no labels.
        """
        if not isinstance(self._estimator, LabelEstimator):
            raise TypeError("a model without labels has no probabilities")
        return self._estimator.coalitions(self.run([self.sample(segment)], self._subsets), [segment])[0]

    def sample(self, segment: Segment) -> Sample:
        """The sample of a segment, whose label and dimensions are unknown."""
        return _unlabelled_sample(segment.inputs, segment.absent)

    def run(self, samples: Sequence[Sample], subsets: Sequence[str] = ()) -> Output:
        """Run the model on its device.

        Args:
            samples: B samples, of which it makes one batch.
            subsets: the subsets of modalities (``TS``) for which there should be logits too.
        """
        batch = self._collate(samples)
        if self._enrolled is not None:
            offsets = self._enrolled.offsets
            batch.speaker_offsets = {m: offsets[m].expand(len(batch), -1) for m in offsets if m in batch.inputs}
        return predict(self.model, self.compute, batch, subsets)

    @torch.inference_mode()
    def classify(self, segments: Sequence[Segment]) -> list[tuple[SegmentPrediction, dict[Modality, torch.Tensor]]]:
        """Predict some segments.

        Args:
            segments: each with at least one input.

        Returns:
            For each segment its prediction, and {modality: ``[D]`` float32 embedding} of the modalities present.
        """
        samples = [self.sample(segment) for segment in segments]
        output = self.run(samples, self._subsets)
        estimates = self._estimator.estimates(output, segments)
        face_logits = output.branch_logits.get("face")
        embeddings = {m: v.float().cpu() for m, v in output.embeddings.items()}
        weights = {m: r.tolist() for m, r in output.reliability.items()}
        results = []
        for i, (segment, estimate) in enumerate(zip(segments, estimates, strict=True)):
            faces = None
            if segment.faces is not None and face_logits is not None:
                faces = self._segment_faces(segment.faces, face_logits[i : i + 1])
            present = {m: embeddings[m][i] for m in self.model.modalities if m in segment.inputs}
            reliability = {m: r[i] for m, r in weights.items()}
            results.append((estimate.to_prediction(segment, self.model.modalities, faces, reliability), present))
        return results

    def _segment_faces(self, faces: SpanFaces, logits: torch.Tensor) -> SegmentFaces:
        """Whose face was read and why, and a prediction for each person where there are several.

        Args:
            faces: those found in the segment.
            logits: ``[1, C]`` of the face branch for the face that was read.
        """
        people: list[FacePrediction] = []
        others = [person for person in faces.people if person.id != faces.person]
        if others:
            samples = [_unlabelled_sample({"face": person.crops}, {}) for person in others]
            every = torch.cat([logits, self.run(samples).branch_logits["face"]])
            numbers = [faces.person, *(person.id for person in others)]
            by_person = {face.person: face for face in self._estimator.face_predictions(numbers, every)}
            people = [by_person[person.id] for person in faces.people]
        return SegmentFaces(person=faces.person, chosen=faces.why, quality=round(faces.quality, 3), people=people)


def _unlabelled_sample(inputs: dict[Modality, torch.Tensor], absent: dict[Modality, str]) -> Sample:
    """A sample to predict, whose label and dimensions are unknown."""
    return Sample("", "", "", inputs, absent, None, torch.full((len(DIMENSIONS),), float("nan")))


def load(
    path: str | Path,
    *,
    device: str = "auto",
    segments: Segments = "auto",
    window: float = WINDOW,
    hop: float | None = None,
    asr: str | None = None,
    asr_language: str | None = None,
    traces: bool = False,
    track: int | None = None,
) -> Predictor:
    """Load a run folder, a branch folder or a model folder for prediction.

    Args:
        path: the folder.
        device: ``auto`` (a CUDA GPU if there is one), ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        segments: how a file is cut. ``whole``: one segment. ``speech``: turns of speech and the pauses between them.
            ``windows``: windows of fixed length. ``auto``: ``whole`` up to one and a half windows, else ``speech`` if
            the file has sound, else ``windows``.
        window: length of a window and of the longest pause, seconds. A turn of speech lasts at most one and a half.
        hop: seconds from the start of one window to the next; ``window`` by default.
        asr: name or folder of a Whisper model, which transcribes files that have no transcript.
        asr_language: code of the language that is spoken ("zh"); by default ``asr`` detects it for each segment.
        traces: keep the sound and faces that a picture of the timeline shows.
        track: the audio track to read, from 1; by default one that contains speech.

    Raises:
        CheckpointError: the folder holds no finished model.
        ConfigError: an option has an invalid value, the device does not exist here, ``asr`` is no speech recogniser, or
            it does not support the language.
    """
    transcriber = None
    if asr_language is not None and asr is None:
        raise ConfigError("--asr-language is the language for speech recognition: add --asr MODEL, or leave it out")
    if asr is not None:
        from multiemo.predict.asr import Transcriber

        transcriber = Transcriber(asr, language=asr_language, device=device)
    options = Options(segments=segments, window=window, hop=hop, transcriber=transcriber, traces=traces, track=track)
    return Predictor(load_bundle(path, deferred=True), device=device, options=options)


def stream(run: str | Path | Predictor, **options: Any) -> Stream:
    """Open a stream of sound, pictures and words; see :class:`multiemo.predict.Stream`.

    Args:
        run: a run folder, a model folder, or a loaded model.
        options: arguments of :class:`multiemo.predict.Stream`.
    """
    return (run if isinstance(run, Predictor) else load(run)).stream(**options)


def evaluate(
    model: str | Path, manifest: str | Path | None = None, *, split: str | None = None, device: str = "auto"
) -> Report:
    """Evaluate a run on its own test part, or a model on a whole manifest.

    See :func:`multiemo.runs.evaluation.evaluate_run`.

    Args:
        model: a run folder or a model folder.
        manifest: evaluate on all labelled rows of this manifest. With ``split``: where the run's own manifest is now.
        split: part of the run's own split; ``None`` is ``test``.
        device: as in :func:`load`.
    """
    from multiemo.runs.evaluation import evaluate_run

    return evaluate_run(model, manifest=manifest, split=split, device=device)
