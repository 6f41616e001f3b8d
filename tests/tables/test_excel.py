"""Excel workbooks."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from multiemo.errors import ManifestError
from tests.support.tables import made

SHEET = """<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>
<row r="1"><c r="A1" t="inlineStr"><is><t>text</t></is></c><c r="B1" t="inlineStr"><is><t>from</t></is></c></row>
<row r="2"><c r="A2" t="inlineStr"><is><t>hello 你好</t></is></c><c r="B2"><v>1.5</v></c></row>
<row r="3"><c r="A3" t="inlineStr"><is><t>bye</t></is></c></row></sheetData></worksheet>"""
PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/s.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship '
    'Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r='
    '"http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="clips" sheetId="1" '
    'r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" '
    'Target="s.xml"/></Relationships>',
    "xl/s.xml": SHEET,
}


def workbook(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as book:
        for name, content in PARTS.items():
            book.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["t.xlsx", "t.csv"])
def test_an_excel_workbook_whatever_its_name(tmp_path: Path, name: str) -> None:
    pytest.importorskip("openpyxl")
    clips = made(workbook(tmp_path / "t" / name), text="text", start="from").clips
    assert [(clip.text, clip.start) for clip in clips] == [("hello 你好", 1.5), ("bye", None)]


def test_a_workbook_without_its_reader_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(
        ManifestError, match=r"is an Excel workbook, which needs openpyxl: pip install \"multiemo\[excel\]\""
    ):
        made(workbook(tmp_path / "t/t.xlsx"), text="text")
