"""What stands beside the code agrees with it: version, checks, and the files that the pages name."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

import multiemo
from tests.support.paths import ROOT


def test_the_citation_has_the_version_of_the_package() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == multiemo.__version__


def test_pre_commit_runs_every_check_of_the_lint_script() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    checks = subprocess.run([ROOT / ".ci" / "lint", "--list"], capture_output=True, text=True, check=True).stdout
    assert [hook["entry"] for hook in hooks] == [f".ci/lint {name}" for name in checks.split()]


PAGES = ["CONTRIBUTING.md", "SECURITY.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_paths_and_links_of_a_page_exist(page: str) -> None:
    text, folder = prose(ROOT / page), (ROOT / page).parent
    named = re.findall(r"`((?:multiemo|tests|docs|benchmarks|configs|\.ci)/[\w./]*)`", text)
    missing = [name for name in named if not (ROOT / name).exists()]
    for name, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", text):
        target = folder / name if name else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            missing.append(f"{name}#{anchor}")
    assert missing == []


@pytest.mark.parametrize("form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[bi]*.yml")), ids=lambda f: f.stem)
def test_an_issue_form_has_what_github_requires(form: Path) -> None:
    values = yaml.safe_load(form.read_text("utf-8"))
    assert {"name", "description", "body"} <= values.keys()
    ids = [part["id"] for part in values["body"]]
    assert len(set(ids)) == len(ids)
