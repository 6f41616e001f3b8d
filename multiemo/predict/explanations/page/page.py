"""Writes an explanation as one self-contained HTML page, which loads nothing and needs no script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from multiemo.explanation.faithfulness.records import Difference, Faithfulness
from multiemo.pages import page_template
from multiemo.predict.explanations.page import strip
from multiemo.predict.explanations.page.formats import mostly_chinese, percent, signed
from multiemo.predict.explanations.page.sections import SegmentSection, anchor
from multiemo.predict.explanations.page.verdict import confidence, dimensions, overall
from multiemo.predict.explanations.page.wording import PageTexts
from multiemo.predict.explanations.records import Explanation
from multiemo.predict.prediction import ModelDescription, SegmentPrediction
from multiemo.predict.timeline.captions import clock, plain
from multiemo.version import __version__

#: The command that measures faithfulness.
MEASURE = "multiemo explain RUN --global"
#: Figures of the validation part that the page shows, in order.
_FIGURES = ("uar", "accuracy", "macro_f1", "wf1", "ece")


def page_language(explanation: Explanation) -> str:
    """The language of the page unless another one is requested: Chinese if the words are, else English."""
    texts = "".join(segment.text or "" for segment in explanation.segments)
    return "zh" if (explanation.language or "").startswith("zh") or mostly_chinese(texts) else "en"


def render_page(explanation: Explanation, language: str | None = None) -> str:
    """The page of an explanation.

    Args:
        explanation: the explanation.
        language: ``en`` or ``zh``; by default that of :func:`page_language`.

    Raises:
        ConfigError: there is no such language.
    """
    t = PageTexts(language or page_language(explanation))
    prediction, found = explanation.prediction, explanation.prediction.segments
    spans = {(s.prediction.start, s.prediction.end) for s in explanation.segments}
    template = page_template(
        Path(__file__).with_name("why.html"),
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: plain(value) if isinstance(value, str) and not hasattr(value, "__html__") else value,
    )
    return template.render(
        t=t,
        words_language="zh" if page_language(explanation) == "zh" else explanation.language or "",
        name=prediction.input,
        verdict=overall(explanation, t),
        warning=_warning(explanation.model, t),
        timeline=strip.timeline(found, spans, explanation.model.labels, t) if len(found) > 1 else None,
        rows=[_row(segment, spans, t) for segment in found],
        segments=[SegmentSection(one, explanation, t) for one in explanation.segments],
        unexplained=len(found) - len(spans),
        skipped=[(clock(s.start), clock(s.end), _reasons(s.absent, t)) for s in prediction.skipped],
        notes=[*prediction.notes, *explanation.notes],
        faithfulness=explanation.faithfulness,
        checks=[] if explanation.faithfulness is None else _checks(explanation.faithfulness, t),
        claims=None if explanation.faithfulness is None else _claims(explanation.faithfulness, t),
        model=_model(explanation.model, t),
        command=MEASURE,
        version=__version__,
    )


def _warning(model: ModelDescription, t: PageTexts) -> str | None:
    return t(f"warn_{model.trained_on}") if model.trained_on in ("synthetic", "composite") else None


def _row(segment: SegmentPrediction, spans: set[tuple[float, float]], t: PageTexts) -> dict[str, str]:
    """A row of the table of all segments."""
    label = dimensions(segment, t) if segment.best is None else t.name(segment.best)
    if segment.label != segment.best:
        label = f"{t('uncertain')} ({label})"
    return {
        "target": anchor(segment.start) if (segment.start, segment.end) in spans else "",
        "time": f"{clock(segment.start)}–{clock(segment.end)}",
        "label": label,
        "confidence": "" if segment.best is None else percent(confidence(segment)),
        "words": segment.text or "",
    }


def _reasons(absent: dict[Any, str], t: PageTexts) -> str:
    return "; ".join(f"{t(m)}: {why}" for m, why in absent.items())


def _checks(measured: Faithfulness, t: PageTexts) -> list[tuple[str, ...]]:
    """The rows of the table of faithfulness."""
    rows: list[tuple[str, ...]] = []
    for view in measured.views:
        evidence = f"{t(view.modality)}{t('colon')}{t.unit(view.unit)} ({t.name(view.method)})"
        rows.append(
            (
                evidence,
                t("trust_" + view.trust.replace(" ", "_")),
                _interval(view.deletion),
                _interval(view.deletion_over_magnitude),
                _interval(view.similarity_to_shuffled),
                _interval(view.stability),
                f"{view.clips} ({view.speakers})",
            )
        )
    return rows


def _interval(figure: Difference) -> str:
    low, high = figure.interval
    return f"{signed(figure.mean)} [{signed(low)}, {signed(high)}]"


def _claims(measured: Faithfulness, t: PageTexts) -> str | None:
    claims = measured.claims
    if claims is None:
        return None
    low, high = claims.difference.interval
    return t(
        "claims",
        credited=percent(claims.credited.mean),
        random=percent(claims.random.mean),
        low=signed(low),
        high=signed(high),
    )


def _model(model: ModelDescription, t: PageTexts) -> list[tuple[str, str]]:
    """The rows of the table about the model."""
    figures = [f"{t.name(f)} {model.validation[f]:.2f}" for f in _FIGURES if f in model.validation]
    rows = [(t("model_name"), model.name)]
    if model.labels:
        label_set = f"{model.label_set}{t('colon')}" if model.label_set else ""
        labels = label_set + t.listed(map(t.name, model.labels))
        rows.append((t("model_labels"), t.sentences([labels + t("full_stop"), t("model_labels_only")])))
    if model.dimensions:
        rows.append((t("model_dimensions"), t.listed(map(t.name, model.dimensions))))
    rows.append((t("model_modalities"), t.listed(t(m) for m in model.modalities)))
    known = model.trained_on in ("real", "composite", "synthetic")
    rows.append((t("model_trained"), t(f"trained_{model.trained_on}") if known else model.trained_on))
    if figures:
        rows.append((t("model_validation"), t.listed(figures)))
    rows.append((t("model_languages"), t("languages_unknown")))
    error = model.calibration.max_error
    if model.labels:
        abstains = t("abstains_no") if error is None else t("abstains_yes", error=percent(error))
        rows.append((t("model_abstains"), abstains))
    return rows
