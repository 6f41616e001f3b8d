"""A privacy report as one self-contained HTML page, as JSON, and as lines for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from multiemo.files import write_atomically
from multiemo.pages import page_template
from multiemo.privacy.plots import TradePoint, draw_trade_off
from multiemo.report.privacy import attack_rows, emotion_rows, membership_rows, share, strongest, word_rows
from multiemo.report.tables import COLUMNS, caveat
from multiemo.runs.folder.privacy_report import NAME, PrivacyReport

PAGE = "privacy.html"


def write_report(report: PrivacyReport, folder: Path) -> Path:
    """Write ``privacy.json`` and ``privacy.html``.

    Args:
        report: the report.
        folder: folder to write; it is created if missing.

    Returns:
        The path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / NAME, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    panels = trade_points(report)
    figures = sorted({COLUMNS_BY_FIGURE[e.figure] for p in report.protections for e in p.emotion})
    page = page_template(Path(__file__).with_name("privacy.html")).render(
        r=report,
        caveat=caveat(report.corpus_kind),
        plot=draw_trade_off(panels, f"emotion recognition, {' or '.join(figures)}") if panels else None,
        panels=len(panels),
        attacks=attack_rows(report),
        emotion=emotion_rows(report),
        words=word_rows(report),
        membership=membership_rows(report),
    )
    write_atomically(folder / PAGE, page)
    return folder / PAGE


#: {main figure of a task: its heading}.
COLUMNS_BY_FIGURE = {name: head for columns in COLUMNS.values() for name, head in columns.items()}


def trade_points(report: PrivacyReport) -> dict[str, list[TradePoint]]:
    """{modality: points of the trade-off curve}: the strongest attacker against the best emotion recognition.

    Modalities without a protection that was both attacked and evaluated are left out.
    """
    panels: dict[str, list[TradePoint]] = {}
    for m in dict.fromkeys(p.modality for p in report.protections if p.modality):
        points = []
        for p in report.protections:
            if p.modality not in (None, m):
                continue
            attack = strongest(p, m)
            kept = [e for e in p.emotion if e.subset == m[0].upper()]
            if attack is not None and kept:
                best = max(kept, key=lambda e: e.value)
                points.append(TradePoint(p.name, attack.eer.value, attack.eer.interval, best.value, best.interval))
        if len(points) > 1:
            panels[m] = points
    return panels


def report_lines(report: PrivacyReport) -> Iterator[str]:
    """The report in short, line by line for a terminal."""
    for p in report.protections:
        parts = []
        for m in dict.fromkeys(a.modality for a in p.attacks):
            attack = strongest(p, m)
            if attack is not None:
                who = f"{attack.attacker}, {attack.knowledge}"
                parts.append(f"{m} EER {share(attack.eer)} ({who}), named {share(attack.accuracy)}")
        parts += [f"{e.subset} {COLUMNS_BY_FIGURE[e.figure]} {e.value:.3f} ({e.model})" for e in p.emotion]
        parts += [] if p.words is None else [f"WER {share(p.words.wer)}"]
        yield f"{p.name}: {'; '.join(parts)}"
    for found in report.membership:
        yield (
            f"membership, {found.modality} branch, {found.level}, {found.target}: AUC {share(found.auc)}, "
            f"true positives at 1% false positives {share(found.tpr)}"
        )
    for note in report.notes:
        yield f"note: {note}"
