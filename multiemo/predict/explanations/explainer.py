"""Explains the prediction for one input: predicts it once, and explains the segments that are worth it."""

from __future__ import annotations

import math

from multiemo.errors import CheckpointError, ConfigError
from multiemo.explanation.faithfulness.records import Faithfulness
from multiemo.explanation.faithfulness.stored import read_faithfulness
from multiemo.predict.explanations.choice import MOST, Chooser
from multiemo.predict.explanations.companions import Companions
from multiemo.predict.explanations.model import ExplainableModel
from multiemo.predict.explanations.page.formats import mostly_chinese
from multiemo.predict.explanations.records import Explanation, SegmentExplanation
from multiemo.predict.explanations.segment import SegmentExplainer
from multiemo.predict.explanations.stopwatch import Stopwatch
from multiemo.predict.prediction import InputPrediction, SegmentPrediction, Words
from multiemo.predict.segmentation.stream import Segment
from multiemo.predict.sources import Item


def explain_item(
    predictor: ExplainableModel, item: Item, *, start: float | None = None, end: float | None = None, most: int = MOST
) -> Explanation:
    """Explain the prediction for one item.

    The item is predicted as by ``Predictor.predict_item``; of its segments only those that may be explained keep what
    their inputs were made from, so memory does not grow with the length of a film.

    Args:
        predictor: the model.
        item: the item.
        start, end: explain only segments that overlap this span, seconds.
        most: largest number of segments to explain; see :class:`~multiemo.predict.explanations.choice.Chooser`.

    Raises:
        ConfigError: ``start``, ``end`` or ``most`` is out of range, or no segment lies in the span.
        MediaError: the item cannot be read.
    """
    _check_span(item, start, end, most)
    clock = Stopwatch()
    usual = dict(zip(predictor.labels, predictor.bundle.prior.nan_to_num(0.0).tolist(), strict=True))
    chooser = Chooser(usual, most, start or 0.0, math.inf if end is None else end)
    companions = Companions(predictor.bundle.inputs)

    def watch(segment: Segment, prediction: SegmentPrediction) -> None:
        chooser.add(segment, prediction)
        companions.add(segment)

    with clock("prediction"):
        prediction = predictor.predict_item(item, watch)
    chosen = chooser.chosen()
    if not chosen and prediction.segments:
        raise ConfigError(
            f"{item.name}: no segment between {start or 0:g} and {prediction.duration if end is None else end:g} s; it "
            f"lasts {prediction.duration:g} s"
        )
    faithfulness, notes = _faithfulness(predictor)
    conflict = predictor.calibration.conflict
    notes += [] if conflict is None else conflict.notes()
    final = {(s.start, s.end): s for s in prediction.segments}
    language = _language(item, prediction)
    explainer = SegmentExplainer(predictor, companions, faithfulness, clock)
    explained: list[SegmentExplanation] = []
    for segment, given, why in chosen:
        explained.append(explainer.explain(segment, final.get((given.start, given.end), given), why))
    if chooser.left_out:
        notes.append(
            f"{chooser.left_out} of {chooser.left_out + len(explained)} segments were not explained; --most explains "
            "more of them, --start and --end others"
        )
    if language is None and mostly_chinese("".join(one.text or "" for one in explained)):
        language = "zh"
    return Explanation(
        prediction=prediction,
        segments=explained,
        language=language,
        model=predictor.describe(),
        faithfulness=faithfulness,
        notes=notes,
        seconds=clock.seconds,
    )


def _check_span(item: Item, start: float | None, end: float | None, most: int) -> None:
    """Refuse a span or a number that makes no sense."""
    if most < 1:
        raise ConfigError(f"most: {most}; at least one segment has to be explained")
    if (start is not None or end is not None) and not item.plays:
        raise ConfigError(f"{item.name}: --start and --end apply to films and sound files, which have segments")
    if start is not None and start < 0:
        raise ConfigError(f"start: {start:g} s; it must be at least 0")
    if end is not None and end <= (start or 0.0):
        raise ConfigError(f"end: {end:g} s; it must be after the start ({start or 0:g} s)")


def _faithfulness(predictor: ExplainableModel) -> tuple[Faithfulness | None, list[str]]:
    """The measured faithfulness of the model, and a note if its file cannot be read."""
    if predictor.bundle.folder is None:
        return None, []
    try:
        return read_faithfulness(predictor.bundle.folder), []
    except CheckpointError as error:
        return None, [f"the measured faithfulness was not used: {error}"]


def _language(item: Item, prediction: InputPrediction) -> str | None:
    """The language of the words, if their source states it."""
    if item.clip is not None and item.clip.language:
        return item.clip.language
    return prediction.words.language if isinstance(prediction.words, Words) else None
