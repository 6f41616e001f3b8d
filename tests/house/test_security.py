"""Rules of the code that keep hostile files from running anything, and pages from obeying what is in them."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from multiemo.benchmark import report as benchmark_report
from multiemo.benchmark.comparison_page import write_comparison
from multiemo.benchmark.cross_corpus import CrossCorpusResult, _page
from multiemo.benchmark.document import BenchmarkResult, ComparisonResult
from multiemo.errors import CheckpointError, ManifestError
from multiemo.evaluation import Report
from multiemo.report import save_evaluation
from multiemo.report.page import write_html
from multiemo.runs import evaluate_run, load_bundle
from multiemo.runs.folder.required_files import model_folder
from tests.support.injection import INJECTED, inert, injected
from tests.support.paths import ROOT

PACKAGE = ROOT / "multiemo"
MODULES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}
#: The one module that may use ``pickle``: it resolves no global but its own stand-ins.
UNPICKLER = "data/features/pickles.py"
#: Modules that may start programs: this Python, without a shell.
STARTERS = {"benchmark/cost/memory.py"}
#: Modules that may mark a text as HTML: what they mark is constant, or escaped by ElementTree.
MARKERS = {"report/page.py", "benchmark/report.py", "predict/timeline/page.py", "predict/explanations/page/drawing.py"}


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """(module, dotted name, call) of every call in the package."""
    for module, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield module, ast.unparse(node.func), node


def keywords(call: ast.Call) -> dict[str, str]:
    return {k.arg: ast.unparse(k.value) for k in call.keywords if k.arg}


def imports(*names: str) -> set[str]:
    """The modules that import one of some packages."""
    found = set()
    for module, tree in MODULES.items():
        for node in ast.walk(tree):
            given = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            given += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] in names for name in given):
                found.add(module)
    return found


def test_nothing_is_unpickled_but_by_the_reader_of_features() -> None:
    assert imports("pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal") == {UNPICKLER}
    wrong = [
        f"{module}: {name}"
        for module, name, call in calls()
        if name in ("torch.load", "torch.hub.load", "pd.read_pickle", "pl.DataFrame.deserialize")
        or (name == "np.load" and keywords(call).get("allow_pickle") != "False")
    ]
    assert wrong == []


def test_code_of_a_model_is_never_run_and_only_safetensors_are_read() -> None:
    loaders = [(m, n, c) for m, n, c in calls() if re.fullmatch(r"Auto\w+\.from_(pretrained|config)", n)]
    assert len(loaders) > 8
    wrong = [f"{m}:{c.lineno} {n}" for m, n, c in loaders if keywords(c).get("trust_remote_code") != "False"]
    wrong += [
        f"{module}:{call.lineno} {name} may read pickled weights"
        for module, name, call in loaders
        if name in ("AutoModel.from_pretrained", "AutoModelForCausalLM.from_pretrained")
        and keywords(call).get("use_safetensors") != "True"
    ]
    assert wrong == []


def test_no_shell_no_evaluation_of_text_and_one_yaml_loader() -> None:
    assert imports("subprocess") == STARTERS
    forbidden = {
        "eval",
        "exec",
        "compile",
        "os.system",
        "os.popen",
        "tempfile.mktemp",
        "yaml.unsafe_load",
        "yaml.full_load",
    }
    wrong = [
        f"{module}:{call.lineno} {name}"
        for module, name, call in calls()
        if name in forbidden
        or name.startswith(("os.exec", "os.spawn"))
        or keywords(call).get("shell", "False") != "False"
    ]
    assert wrong == []
    assert {module for module, name, _ in calls() if name == "yaml.load"} == {"config/strict_yaml.py"}


def test_templates_run_no_script_and_escape_every_value() -> None:
    templates = sorted(PACKAGE.rglob("*.html"))
    assert len(templates) > 6
    for path in templates:
        text = path.read_text("utf-8")
        if path.parent.name == "serve":  # the only page that is not a file; its policy lets this script run alone
            text = text.replace('<script nonce="{{ nonce }}">', "")
            assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function\(", text)
        assert not re.search(r"<script|javascript:|\son\w+\s*=", text, re.IGNORECASE), path
        assert set(re.findall(r"[^{}|]*\|\s*safe", text)) <= {' replace(" (", "<br>(" | safe'}, path
        assert "autoescape" not in text, path
    assert {module for module, name, _ in calls() if name in ("Markup", "markupsafe.Markup")} <= MARKERS
    assert [m for m, n, c in calls() if n == "jinja2.Environment" and keywords(c).get("autoescape") != "True"] == []


@pytest.fixture(scope="module")
def results() -> Path:
    return ROOT / "benchmarks" / "results"


def test_markup_in_labels_and_names_is_inert_in_the_report_of_a_benchmark(results: Path, tmp_path: Path) -> None:
    values = json.loads((results / "2026-11-27-ravdess-benchmark.json").read_text("utf-8"))
    values = injected(values, {*values["label_set"], values["name"], *values["notes"], values["command"]})
    (tmp_path / "config.yaml").write_text(f"name: {INJECTED}\n")
    inert(benchmark_report.write_report(tmp_path, BenchmarkResult.from_json(values)))


def test_markup_in_the_names_of_systems_is_inert_in_a_comparison(results: Path, tmp_path: Path) -> None:
    values = json.loads((results / "2026-11-27-comparison.json").read_text("utf-8"))
    values = injected(values, {*values["label_set"], *values["systems"], *values.get("notes", ())})
    page = write_comparison(tmp_path, ComparisonResult.from_json(values))
    assert inert(page).count("&lt;script&gt;") >= len(values["systems"])


def test_markup_in_a_config_is_inert_in_a_matrix(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"name: {INJECTED}\n")
    made = CrossCorpusResult(
        name=INJECTED,
        task="single",
        label_set=[INJECTED],
        figure="uar",
        corpora=[],
        group_by={INJECTED: INJECTED},
        seeds=[1],
        cells=[],
        worst={},
        command=INJECTED,
    )
    assert inert(_page(made, tmp_path)).count("&lt;script&gt;") >= 4


def test_markup_in_labels_and_names_is_inert_in_the_report_of_a_run(tiny_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    save_evaluation(run, evaluate_run(run))
    values = json.loads((run / "evaluation.json").read_text("utf-8"))
    report = Report.from_json(injected(values, set(values["label_set"])))
    with (run / "config.yaml").open("a") as file:
        file.write(f"# {INJECTED}\n")
    text = inert(write_html(run, report, title=INJECTED))
    assert text.count("&lt;script&gt;") >= 2 + len(values["label_set"])


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "text/../../secret"])
def test_a_model_folder_names_no_file_outside_it(tiny_run: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(model_folder(tiny_run), tmp_path / "model")
    values = json.loads((folder / "config.json").read_text("utf-8"))
    values["assets"][name] = "0" * 64
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=r"config.json: names the file .* outside the model folder"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "path", ["../a.wav", "a/../../b.wav", "/etc/passwd", "C:\\x.wav", "~/a.wav", "file:///etc/x", "a\0b"]
)
@pytest.mark.parametrize("key", ["audio", "features"])
def test_a_manifest_names_no_file_outside_its_folder(tmp_path: Path, path: str, key: str) -> None:
    from multiemo.data.manifest.reading import read_manifest

    value = path if key == "audio" else {"face": {"path": path}}
    (tmp_path / "m.jsonl").write_text(json.dumps({"id": "a", "corpus": "x", key: value}))
    with pytest.raises(ManifestError, match=r"m\.jsonl, row 1"):
        read_manifest(tmp_path / "m.jsonl")
