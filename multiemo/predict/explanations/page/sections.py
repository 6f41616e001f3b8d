"""What the page shows of one explained segment, ready for the template."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from multiemo.explanation.records import (
    Counterfactual,
    EvidenceMap,
    EvidencePart,
    EvidenceView,
    ModalityEvidence,
    RuleReading,
)
from multiemo.predict.explanations.page import charts
from multiemo.predict.explanations.page.formats import LEVELS, largest, level, number, percent, signed
from multiemo.predict.explanations.page.verdict import (
    amount,
    basis,
    contribution_of,
    dimensions,
    points,
    verdict,
)
from multiemo.predict.explanations.page.wording import PageTexts
from multiemo.predict.explanations.page.words import TextRun, runs_of
from multiemo.predict.explanations.records import Choice, Explanation, SegmentExplanation
from multiemo.predict.timeline.captions import clock
from multiemo.types import SUBSETS, Modality

#: Rows of a chart of bars; the others are in the table.
_MOST_BARS = 8
#: Interactions below half a percentage point are not mentioned.
_MENTIONED = 0.005
#: The largest score of a figure fills it, unless all are smaller than this: log-odds, and values of a dimension. Parts
#: that hardly matter therefore look as if they hardly matter.
_FAINT, _FAINT_DIMENSION = 0.25, 0.05
#: A hyphen that stands for a minus.
_HYPHEN = re.compile(r"(?<!\S)-(?=\d)")


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a chart of bars that start in the middle.

    Args:
        name: what it is about.
        value: its value in words.
        side: ``plus`` or ``minus``.
        width: share of half the chart, 0..100.
        detail: more about it.
    """

    name: str
    value: str
    side: str
    width: float
    detail: str = ""


@dataclass(slots=True)
class ShownView:
    """One way to divide an input, as the page shows it.

    Args:
        unit: what the parts are, in words.
        help: how the scores came about.
        trust: whether it passed its checks, in words.
        passed: whether it did.
        runs: a text in pieces, for words and characters.
        bars: the strongest parts, for everything else.
        table: all parts.
        left: number of parts without a bar.
        notes: remarks, in English.
        strongest: sentences about the strongest parts.
    """

    unit: str
    help: str
    trust: str
    passed: bool
    runs: list[TextRun] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    table: list[tuple[str, str, str]] = field(default_factory=list)
    left: int = 0
    notes: Sequence[str] = ()
    strongest: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ShownEvidence:
    """The evidence inside one modality, as the page shows it.

    Args:
        heading: of the section.
        views: ways to divide the input; the first is shown, the others can be unfolded.
        voice: pitch and level; ``None`` for other modalities.
        crops, spectrograms: pictures with heat, and where they lie in time and frequency.
        map_trust: whether the maps passed their checks, in words.
        counterfactual: sentences.
        hidden: sentences about views that failed their checks.
        limits: what could not be explained, in English.
    """

    heading: str
    views: list[ShownView]
    voice: Markup | None
    crops: list[tuple[Markup, str]]
    spectrograms: list[tuple[Markup, str]]
    map_trust: str
    counterfactual: str
    hidden: list[str]
    limits: Sequence[str]


@dataclass(frozen=True, slots=True)
class ShownRules:
    """What the rules say about one modality.

    Args:
        sentence: whether they agree.
        agrees: likewise; ``None`` if no rule applied.
        rows: rule, part, effect and source of each rule.
        limits: what the rules cannot know, in English.
    """

    sentence: str
    agrees: bool | None
    rows: list[tuple[str, str, str, str]]
    limits: Sequence[str]


class SegmentSection:
    """One explained segment, as the page shows it.

    Args:
        explained: the explained segment.
        explanation: the whole explanation.
        t: the texts of a language.
    """

    def __init__(self, explained: SegmentExplanation, explanation: Explanation, t: PageTexts) -> None:
        self._explained, self._t = explained, t
        prediction = explained.prediction
        self.anchor = anchor(prediction.start)
        whole = prediction.kind == "whole"
        span = t("span", start=clock(prediction.start), end=clock(prediction.end))
        self.heading = t("whole_input") if whole and prediction.end == 0 else span
        self.label = t.name(explained.explained)
        chosen: Choice = explained.chosen
        self.chosen = t(f"chosen_{chosen}")
        self.verdict = t.sentences([*verdict(prediction, explanation.model, t), *basis(explained, t)])
        self.text = prediction.text or explained.text or ""
        several = len(explanation.segments) > 1 or len(explanation.prediction.segments) > 1
        self.absent = {t(m): why for m, why in prediction.absent.items()} if several else {}
        self.notes = prediction.notes or []
        self.limits = explained.limits
        self.dimensions = dimensions(prediction, t) if prediction.best is not None else ""
        self._least = _FAINT_DIMENSION if prediction.best is None else _FAINT

    @property
    def probabilities(self) -> list[tuple[str, str, float]]:
        """Label, percentage and width of each label, the most probable first."""
        probs = self._explained.prediction.probs or {}
        return [
            (self._t.name(label), percent(p), round(100 * p, 1))
            for label, p in sorted(probs.items(), key=lambda pair: -pair[1])
        ]

    @property
    def contributions(self) -> list[Bar]:
        """What each modality contributes, with what its own branch says."""
        t, shares = self._t, contribution_of(self._explained)
        prediction = self._explained.prediction
        alone = prediction.modality_label or {}
        rows = []
        for m, share in shares.items():
            says = prediction.by_modality.get(m, {})
            if m in alone:
                detail = f"{t('alone')}{t('colon')}{t.name(alone[m])} {percent(says.get(alone[m], 0.0))}"
            else:
                detail = t("alone") + t("colon") + t.listed(f"{t.name(n)} {signed(v)}" for n, v in says.items())
            value = points(share, t) if prediction.best is not None else signed(share)
            rows.append(_bar(t(m), share, value, largest(shares.values()), detail))
        return rows

    @property
    def contributions_help(self) -> str:
        """How to read the contributions."""
        attribution, t = self._explained.attribution, self._t
        if attribution is None:
            return t("modalities_dimensions_help") if contribution_of(self._explained) else ""
        return t(
            "modalities_help",
            label=t.name(attribution.label),
            baseline=percent(attribution.baseline),
            probability=percent(attribution.probability),
        )

    @property
    def together(self) -> list[str]:
        """Sentences about interactions of modalities."""
        attribution, t = self._explained.attribution, self._t
        if attribution is None or len(attribution.contribution) < 2:
            return []
        sentences = []
        for pair, value in sorted(attribution.interaction.items(), key=lambda entry: -abs(entry[1])):
            if abs(value) >= _MENTIONED:
                first, _, second = pair.partition("+")
                key = "interaction_more" if value > 0 else "interaction_less"
                names = {"first": t(f"the_{first}"), "second": t(f"the_{second}")}
                sentences.append(_capital(t(key, **names, points=points(value, t))))
        sentences = sentences or [t("interaction_none")]
        same = attribution.additive_label == attribution.label
        last = t("additive_same") if same else t("additive_other", label=t.name(attribution.additive_label))
        return [*sentences, last]

    @property
    def coalitions(self) -> list[tuple[str, str]]:
        """What each set of modalities alone leads to: its name and a percentage."""
        attribution, t = self._explained.attribution, self._t
        if attribution is None or len(attribution.contribution) < 2:
            return []
        rows = []
        for key, p in sorted(attribution.coalitions.items(), key=lambda entry: len(entry[0])):
            members = " + ".join(t(m) for m in SUBSETS.get(key, ()))
            rows.append((members or t("nothing"), percent(p)))
        return rows

    @property
    def coalitions_title(self) -> str:
        """The caption of the table of coalitions."""
        return self._t("coalitions", label=self.label)

    @property
    def conflicts(self) -> list[tuple[bool, str]]:
        """Whether a contradiction is flagged, and a sentence about it."""
        t, rows = self._t, []
        for conflict in self._explained.conflicts:
            names = {"first": t(f"the_{conflict.first}"), "second": t(f"the_{conflict.second}")}
            score = f"{conflict.score:.2f}"
            if conflict.flagged:
                says = {"first_says": t.name(conflict.first_says), "second_says": t.name(conflict.second_says)}
                rate = t("conflict_rate", score=score, rate=percent(conflict.false_alarm_rate))
                rows.append((True, t.sentences([_capital(t("conflict", **names, **says)), rate])))
            else:
                rows.append((False, _capital(t("no_conflict", **names, score=score))))
        return rows

    @property
    def evidence(self) -> list[ShownEvidence]:
        """The evidence inside each modality."""
        return [self._evidence(evidence) for evidence in self._explained.evidence]

    def _evidence(self, evidence: ModalityEvidence) -> ShownEvidence:
        t = self._t
        timed = next((v.parts for v in evidence.views if v.unit == "time"), ())
        track = self._explained.voice if evidence.modality == "speech" else None
        voice = None if track is None else charts.voice(track, timed, t, self._least)
        crops = [one for one in evidence.maps if one.kind == "crop"]
        scale = largest((score for one in crops for row in one.scores for score in row), self._least)
        other = [one for one in evidence.maps if one.kind != "crop"]
        scales = [largest((score for row in one.scores for score in row), self._least) for one in other]
        return ShownEvidence(
            heading=t(f"evidence_{evidence.modality}"),
            views=[self._view(view, evidence) for view in _distinct(evidence.views)],
            voice=voice,
            crops=[(charts.heat(one, scale, t), clock(one.start)) for one in crops],
            spectrograms=[(charts.heat(one, most, t), _extent(one)) for one, most in zip(other, scales, strict=True)],
            map_trust=self._map_trust(evidence.maps[0]) if evidence.maps else "",
            counterfactual=self._counterfactual(evidence),
            hidden=[t("hidden", unit=t.unit(u), reason=why) for u, why in evidence.hidden.items()],
            limits=evidence.limits,
        )

    def _map_trust(self, one: EvidenceMap) -> str:
        """Whether the view whose checks stand for a map passed them, and which view that is."""
        t = self._t
        if one.trust == "passed" and one.checked_as is not None:
            return t("trust_passed_as", unit=t.unit(one.checked_as))
        return t("trust_" + one.trust.replace(" ", "_"))

    def _view(self, view: EvidenceView, evidence: ModalityEvidence) -> ShownView:
        t, most = self._t, largest((part.score for part in view.parts), self._least)
        name = t.unit(view.unit)
        key = "evidence_help" if self._explained.prediction.best is not None else "evidence_help_dimension"
        shown = ShownView(
            unit=name,
            help=t(key, label=self.label, method=t.name(view.method), baseline=view.baseline),
            trust=t("trust_" + view.trust.replace(" ", "_")),
            passed=view.trust == "passed",
            table=[(_named(p, view.unit, t), signed(p.score), _measured(p, t)) for p in view.parts],
            notes=view.notes,
            strongest=self._strongest(view, most),
        )
        text = self._explained.text or ""
        placed = any(part.first is not None for part in view.parts)
        if view.unit in ("word", "character") and text and placed:
            shown.runs = runs_of(text, view.parts, self._least)
            return shown
        ranked = sorted(view.parts, key=lambda part: -abs(part.score))
        drawn = [part for part in ranked if level(part.score, most)][:_MOST_BARS]
        if view.unit in ("time", "frame"):
            drawn.sort(key=lambda part: part.start or 0.0)
        shown.bars = [_bar(_named(p, view.unit, t), p.score, signed(p.score), most, _detail(p, t)) for p in drawn]
        shown.left = len(view.parts) - len(drawn)
        return shown

    def _strongest(self, view: EvidenceView, most: float) -> list[str]:
        """The strongest parts on each side in words, which screen readers read."""
        t, sentences, parts = self._t, list[str](), view.parts
        if all(abs(level(p.score, most)) < LEVELS // 2 for p in parts):
            return [t("none_clear")]
        for key, side in (("strongest_for", 1), ("strongest_against", -1)):
            strong = [p for p in parts if side * level(p.score, most) >= LEVELS // 2]
            strong.sort(key=lambda part: -abs(part.score))
            if strong:
                named = t.listed(f"{_named(p, view.unit, t)} ({signed(p.score)})" for p in strong[:5])
                sentences.append(f"{t(key, label=self.label)}{t('colon')}{named}")
            elif side > 0:
                sentences.append(t("none_for", label=self.label))
        return sentences

    def _counterfactual(self, evidence: ModalityEvidence) -> str:
        found, t = evidence.counterfactual, self._t
        if found is None:
            return t("counterfactual_none", tried=evidence.tried) if evidence.tried else ""
        return t(
            "counterfactual_changed",
            label=t.name(found.label),
            change=_change(found, evidence.modality, t),
            explained=self.label,
            before=percent(found.before),
            after=percent(found.after),
        )

    @property
    def rules(self) -> list[ShownRules]:
        """What the rules say about each modality."""
        return [self._rules(reading) for reading in self._explained.rules]

    def _rules(self, reading: RuleReading) -> ShownRules:
        t, modality = self._t, _capital(self._t(f"the_{reading.modality}"))
        model = t.name(self._explained.explained)
        if reading.label is None:
            sentence = t("rules_silent", modality=modality)
        elif reading.agrees:
            sentence = t("rules_agree", modality=modality, label=t.name(reading.label))
        else:
            sentence = t("rules_disagree", modality=modality, label=t.name(reading.label), model=model)
        rows = [(r.rule, r.part, _effects(r.effect, t), r.source) for r in reading.reasons]
        return ShownRules(sentence, reading.agrees, rows, reading.limits)


def anchor(start: float) -> str:
    """The anchor of a segment that starts at ``start`` seconds."""
    return f"s{round(1000 * start)}"


def _bar(name: str, value: float, written: str, most: float, detail: str = "") -> Bar:
    """A bar; ``most`` is the value that fills half the chart."""
    width = round(100 * abs(value) / most, 1) if most else 0.0
    return Bar(name, written, "plus" if value >= 0 else "minus", width, detail)


def _named(part: EvidencePart, unit: str, t: PageTexts) -> str:
    """A part by name; spans of time and frames by their time."""
    if part.start is None:
        return part.name if unit in ("word", "character") else t.part(part.name)
    if part.end is None or part.end <= part.start:
        return clock(part.start)
    return f"{clock(part.start)}–{clock(part.end)}"


def _measured(part: EvidencePart, t: PageTexts) -> str:
    """The measured value of a part, and how far it is from its reference."""
    pieces = [] if part.value is None else [amount(part.value, part.unit and t.name(part.unit))]
    if part.deviation is not None:
        pieces.append(t("above" if part.deviation >= 0 else "below", deviation=f"{abs(part.deviation):.1f}"))
    return t.listed(pieces)


def _distinct(views: Sequence[EvidenceView]) -> list[EvidenceView]:
    """The views without those whose parts are also the parts of a later one: words, if each is one token."""
    return [one for i, one in enumerate(views) if all(one.parts != later.parts for later in views[i + 1 :])]


def _detail(part: EvidencePart, t: PageTexts) -> str:
    """What is known of a part besides its name: in its own words where they are in the language of the page."""
    if part.detail is None or t.language != "en":
        return _measured(part, t)
    return _HYPHEN.sub("−", part.detail.removeprefix(part.name).lstrip(" :,"))


def _change(found: Counterfactual, modality: Modality, t: PageTexts) -> str:
    """The change of a counterfactual in the language of the page; the words of a text stay as they are."""
    if t.language == "en":
        return found.change
    parts = (found.part, *found.others)
    names = t.listed(t("quoted", name=name if modality == "text" else t.part(name)) for name in parts)
    if found.amount is None:
        return t("change_removed", parts=names)
    key = "change_more" if found.amount > 0 else "change_less"
    return t(key, part=names, amount=amount(abs(found.amount), found.unit and t.name(found.unit)))


def _extent(spectrogram: EvidenceMap) -> str:
    """Span and frequencies of a spectrogram."""
    span = f"{clock(spectrogram.start)}–{clock(spectrogram.end)}"
    if spectrogram.low is None or spectrogram.high is None:
        return span
    return f"{span}, {number(spectrogram.low)}–{number(spectrogram.high)} Hz"


def _effects(effect: Mapping[str, float], t: PageTexts) -> str:
    return t.listed(f"{t.name(emotion)} {signed(value)}" for emotion, value in effect.items())


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
