"""An explanation as lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from multiemo.predict.explanations.page.sections import SegmentSection
from multiemo.predict.explanations.page.verdict import overall
from multiemo.predict.explanations.page.wording import PageTexts
from multiemo.predict.explanations.records import Explanation
from multiemo.predict.timeline.captions import one_line


def summary_lines(explanation: Explanation, t: PageTexts) -> Iterator[str]:
    """The verdict, and for each explained segment its strongest evidence and what the rules say.

    Args:
        explanation: the explanation.
        t: the texts of a language.
    """
    yield one_line(f"{explanation.prediction.input}: {t.sentences(overall(explanation, t))}")
    for explained in explanation.segments:
        section = SegmentSection(explained, explanation, t)
        if len(explanation.prediction.segments) > 1:
            yield "  " + one_line(f"{section.heading}{t('colon')}{section.verdict}")
        for evidence in section.evidence:
            for view in evidence.views[:1]:
                yield "    " + one_line(f"{evidence.heading}{t('colon')}{t.listed(view.strongest)} [{view.trust}]")
            if evidence.counterfactual:
                yield "      " + one_line(evidence.counterfactual)
        for reading in section.rules:
            yield "    " + one_line(reading.sentence)
        for limit in section.limits:
            yield "    " + one_line(limit)
    yield f"  {t('terminal_more')}"
