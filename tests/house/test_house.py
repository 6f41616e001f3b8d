"""What stands beside the code agrees with it: version, checks, and the files that CONTRIBUTING names."""

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


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "docs/python.md"])
def test_paths_and_links_of_a_page_exist(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`((?:multiemo|tests|docs|benchmarks|\.ci)/[\w./]*)`", text)
    linked = re.findall(r"\]\((?!http)([^)#]+)", text)
    missing = [name for name in named if not (ROOT / name).exists()]
    missing += [name for name in linked if not (ROOT / page).parent.joinpath(name).exists()]
    assert missing == []


@pytest.mark.parametrize("form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[bi]*.yml")), ids=lambda f: f.stem)
def test_an_issue_form_has_what_github_requires(form: Path) -> None:
    values = yaml.safe_load(form.read_text("utf-8"))
    assert {"name", "description", "body"} <= values.keys()
    ids = [part["id"] for part in values["body"]]
    assert len(set(ids)) == len(ids)
