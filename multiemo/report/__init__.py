"""The report of an evaluation: tables for the terminal and a self-contained HTML page."""

from multiemo.report.card import model_card, write_card, write_cards
from multiemo.report.page import TRUST, WORTH, ReportPlot, by_heading, confusion_width, save_evaluation, write_html
from multiemo.report.tables import (
    COLUMNS,
    caveat,
    comparison_text,
    constant_name,
    format_interval,
    format_number,
    format_table,
    interval_rows,
    markdown,
    table_rows,
)

__all__ = [
    "COLUMNS",
    "TRUST",
    "WORTH",
    "ReportPlot",
    "by_heading",
    "caveat",
    "comparison_text",
    "confusion_width",
    "constant_name",
    "format_interval",
    "format_number",
    "format_table",
    "interval_rows",
    "markdown",
    "model_card",
    "save_evaluation",
    "table_rows",
    "write_card",
    "write_cards",
    "write_html",
]
