"""Valence and arousal without any label: trained, evaluated, predicted and benchmarked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

import multiemo
from multiemo import metrics
from multiemo.benchmark.baselines.classic import fit_predict, read_inputs
from multiemo.benchmark.predictions import pool, read_records
from multiemo.benchmark.results import family, guesses, modality_pairs, summarise
from multiemo.config import load_config, parse_config
from multiemo.data.manifest.reading import read_manifest
from multiemo.errors import ConfigError, ManifestError
from multiemo.evaluation import ClipPrediction, Report
from multiemo.predict.formats import FORMATS, write_timeline
from multiemo.report import format_table, save_evaluation
from multiemo.runs import evaluate_run, load_bundle, train
from tests.support.documents import check_record
from tests.support.jsonl import read_lines, write_lines

WORDS = {"good": 0.7, "fine": 0.3, "so": 0.0, "bad": -0.4, "awful": -0.8}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people who say how they feel, features of their voices, and no label; one in five clips lacks arousal."""
    folder = tmp_path_factory.mktemp("dimensions")
    rng = np.random.default_rng(3)
    arrays, rows = {}, []
    for i in range(160):
        said = rng.choice(list(WORDS), 3)
        valence, arousal = float(np.mean([WORDS[w] for w in said])), float(rng.uniform(-0.9, 0.9))
        arrays[f"c{i}"] = np.array([[arousal, valence, 1.0]] * 4) + rng.normal(0, 0.1, (4, 3))
        row = {"id": f"c{i}", "corpus": "x", "speaker": f"s{i % 8}", "text": f"that is {' '.join(said)}",
               "valence": round(valence, 4)}  # fmt: skip
        row |= {} if i % 5 == 4 else {"arousal": round(arousal, 4)}
        row |= {} if i % 7 == 6 else {"features": {"speech": {"path": "voices.npz", "key": f"c{i}"}}}
        rows.append(row)
    np.savez(folder / "voices.npz", **arrays)
    return write_lines(folder / "m.jsonl", rows)


@pytest.fixture(scope="module")
def written(manifest: Path) -> Callable[..., Path]:
    def write(folder: Path, **keys: str) -> Path:
        lines = {
            "name": "felt",
            "task": "dimensions",
            "device": "cpu",
            "data": f"{{manifest: '{manifest}', split: {{val: 0.25, test: 0.25}}}}",
            "encoders": "{text: {name: text_transformer, dim: 32, layers: 1, heads: 2, vocab_size: 600}, "
            "speech: {name: features, hidden: 32}}",
            "fusion": "{name: gated, dim: 32}",
            "stages": "[text, speech, fuse]",
            "training": "{epochs: 8, batch_size: 16, lr: 3.0e-3}",
            **keys,
        }
        path = folder / "felt.yaml"
        path.write_text("".join(f"{k}: {v}\n" for k, v in lines.items() if v), "utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def run(written, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train(load_config(written(folder)), folder / "run")
    save_evaluation(folder / "run", evaluate_run(folder / "run"))
    return folder / "run"


# -------------------------------------------------------------------------------------------------------------- config
def test_the_config_needs_no_label_set_and_selects_by_concordance(written, tmp_path):
    config = load_config(written(tmp_path))
    assert (config.label_set, config.training.monitor) == ("", "ccc")
    assert config.columns == ("valence", "arousal", "dominance")
    assert parse_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"label_set": "ravdess8"}, "label_set: 'ravdess8' is not read with task: dimensions"),
        ({"dimensions": "true"}, "dimensions: task: dimensions learns nothing but dimensions"),
        ({"training": "{monitor: uar}"}, r"training\.monitor: 'uar' needs labels"),
        ({"training": "{class_weights: 0.5}"}, r"training\.class_weights: cannot take effect: .*no labels"),
        ({"max_error": "0.2"}, "max_error: cannot take effect"),
        ({"task": ""}, "label_set: this key is required; only task: dimensions does without it"),
        ({"task": "single", "label_set": "polarity3", "training": "{monitor: ccc}"}, "'ccc' needs task: dimensions"),
    ],
)
def test_what_belongs_to_labels_is_refused(written, tmp_path, keys, says):
    with pytest.raises(ConfigError, match=says):
        load_config(written(tmp_path, **keys))


def test_a_manifest_without_labels_says_what_would_learn_from_it(written, tmp_path):
    config = load_config(written(tmp_path, task="single", label_set="polarity3"))
    with pytest.raises(ManifestError, match=r"no row has a label .* rows have valence, arousal: .* task: dimensions"):
        train(config, tmp_path / "run")


# ------------------------------------------------------------------------------------------------------------ training
def test_it_learns_what_words_and_voices_tell(run):
    values = json.loads((run / "evaluation.json").read_text())
    by_subset = values["per_class"]
    assert by_subset["T"]["valence"]["ccc"] > 0.6, "words tell valence"
    assert by_subset["S"]["arousal"]["ccc"] > 0.6, "voices tell arousal"
    assert abs(by_subset["T"]["arousal"]["ccc"]) < 0.4, "words do not"
    assert values["subsets"]["TS"]["ccc"] > values["subsets"]["T"]["ccc"]


# ---------------------------------------------------------------------------------------------------------- evaluation
def test_the_evaluation_has_concordance_for_every_subset_and_no_label(run, conforms):
    conforms(run / "evaluation.json", Report)
    conforms(run / "predictions.jsonl", ClipPrediction)
    values = json.loads((run / "evaluation.json").read_text(), parse_constant=pytest.fail)
    assert (values["label_set"], values["task"], values["prior"]) == ([], "dimensions", {})
    assert set(values["subsets"]) == {"T", "S", "TS"}
    for figures in values["subsets"].values():
        for name in ("ccc", "pearson", "mae", "rmse"):
            low, high = figures[f"{name}_ci"]
            assert low < figures[name] < high, name
        assert not {"uar", "ece"} & set(figures)
    assert values["majority"]["ccc"] == 0, "the mean of train agrees with nobody"
    assert set(values["dimensions"]) == {"valence", "arousal"}, "no clip has dominance"
    assert values["dimensions"]["arousal"]["n"] < values["dimensions"]["valence"]["n"] == values["n"]
    assert {"figure", "p_holm", "mdd"} <= set(values["comparisons"]["TS-T"])


def test_the_figures_are_those_of_the_written_predictions(run):
    records = read_records(run / "predictions.jsonl")
    figures = json.loads((run / "evaluation.json").read_text())["subsets"]["TS"]
    found = []
    for c in range(2):
        pairs = [(r["target"][c], r["values"]["TS"][c]) for r in records if r["target"][c] is not None]
        truth, said = np.array(pairs).T
        covariance = ((truth - truth.mean()) * (said - said.mean())).mean()
        ccc = 2 * covariance / (truth.var() + said.var() + (truth.mean() - said.mean()) ** 2)
        found.append((ccc, np.corrcoef(truth, said)[0, 1], np.sqrt(((truth - said) ** 2).mean())))
    expected = np.mean(found, axis=0)
    assert [figures[k] for k in ("ccc", "pearson", "rmse")] == pytest.approx(expected.tolist(), abs=1e-4)
    assert all(r["values"]["TS"][2] is None for r in records), "dominance was never learnt"


def test_the_table_and_the_page_speak_of_dimensions(run):
    table = format_table(evaluate_run(run))
    assert "| subset | modalities    | n  | CCC " in table
    assert "mean of train" in table
    assert "ECE" not in table
    page = (run / "report.html").read_text("utf-8")
    assert "Dimension by dimension" in page
    assert "dimensions: valence, arousal" in page
    assert "labels:" not in page


# ---------------------------------------------------------------------------------------------------------- prediction
def test_a_prediction_says_dimensions_and_no_label(run, tmp_path):
    model = multiemo.load(run)
    entry = model.predict(text="that is awful bad awful")
    check_record(entry)
    (segment,) = entry["segments"]
    assert not {"label", "best", "probs", "modality_label", "contribution", "dominance"} & set(segment)
    assert segment["valence"] < -0.2
    assert set(segment["by_modality"]) == {"text"}
    for name, shares in segment["contribution_by_dimension"].items():
        mean = float(model.bundle.prior[["valence", "arousal"].index(name)])
        assert sum(shares.values()) == pytest.approx(segment[name] - mean, abs=2e-4)
    assert model.predict(text="that is good good good")["segments"][0]["valence"] > 0.2
    check_record(model.describe())
    assert model.describe()["labels"] == []
    assert model.describe()["dimensions"] == ["valence", "arousal"]
    for suffix in FORMATS:
        write_timeline(entry, tmp_path / f"said{suffix}")
    assert f"valence {segment['valence']:+.2f}" in (tmp_path / "said.srt").read_text()
    head, row = (tmp_path / "said.csv").read_text().splitlines()
    assert dict(zip(head.split(","), row.split(","), strict=False))["text_valence"] == str(
        segment["by_modality"]["text"]["valence"]
    )


def test_the_command_line_predicts_and_tables_of_texts_get_dimensions(cli, run, tmp_path):
    code, out, err = cli("predict", run, "--text", "that is good good fine")
    assert code == 0, err
    assert "valence +" in out
    (tmp_path / "posts.csv").write_text("id,text\n1,that is good fine\n2,that is awful\n")
    code, _, err = cli("texts", run, tmp_path / "posts.csv", "--column", "text", "--out", tmp_path / "felt.csv")
    assert code == 0, err
    assert (tmp_path / "felt.csv").read_text().splitlines()[0] == "id,text,valence,arousal"


def test_runs_are_compared_also_where_a_dimension_is_not_known(cli, run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    code, out, err = cli("compare", run, other)
    assert code == 0, err
    assert "CCC" in out


def test_a_manifest_that_knows_no_dimension_is_one_line(cli, run, manifest, tmp_path):
    rows = read_lines(manifest)
    bare = manifest.with_name("bare.jsonl")
    bare.write_text("".join(json.dumps({k: r[k] for k in ("id", "corpus", "speaker", "text")}) + "\n" for r in rows))
    code, _, err = cli("evaluate", run, "--manifest", bare)
    assert code == 1
    assert err.splitlines()[-1] == f"error: {bare}: no row has valence or arousal or dominance to evaluate against"


# ----------------------------------------------------------------------------------------------------------- benchmark
def test_classic_regressors_stand_beside_the_model(run, written, manifest, tmp_path):
    config, clips = load_config(written(tmp_path)), read_manifest(manifest)
    inputs = read_inputs(config, manifest.parent, clips, load_bundle(run).inputs)
    model = read_records(run / "predictions.jsonl")
    test = [r["id"] for r in model]
    learnt = [c.id for c in clips if c.id not in set(test)]
    said = fit_predict(inputs, learnt, test)
    assert set(said) == {"classic", "prior"}
    x = inputs.values["speech"]
    rows = [inputs.rows[i] for i in learnt if inputs.presence["speech"][inputs.rows[i]]]
    one = next(r for r in said["classic"] if "S" in r["values"])
    scaler = StandardScaler().fit(x[rows][:, np.ptp(x[rows], axis=0) > 0])
    fitted = Ridge(alpha=10.0).fit(scaler.transform(x[rows][:, np.ptp(x[rows], axis=0) > 0]), inputs.target[rows, 0])
    asked = scaler.transform(x[[inputs.rows[one["id"]]]][:, np.ptp(x[rows], axis=0) > 0])
    assert one["values"]["S"][0] == pytest.approx(np.clip(fitted.predict(asked)[0], -1, 1), abs=1e-4)
    ours, classic = pool("multiemo", [model]), pool("classic", [said["classic"]])
    assert summarise(classic, "dimensions")["S"]["ccc"] > 0.4
    tests = family([*modality_pairs(ours), (ours, "TS", classic, "TS")], "dimensions")
    assert {t["figure"] for t in tests} == {"ccc"}
    folds = {"one": (test, metrics.means_of(inputs.target))}
    assert guesses(ours, "dimensions", folds)[0]["rmse"] > summarise(ours, "dimensions")["TS"]["rmse"]


@pytest.mark.slow
def test_a_whole_benchmark_of_dimensions(cli, written, tmp_path):
    out = tmp_path / "bench"
    code, said, err = cli(
        "benchmark", written(tmp_path), "--folds", "2", "--seeds", "1", "data.split={val: 0.25}", "--out", out
    )
    assert code == 0, err
    assert "mean of train" in said
    result = json.loads((out / "benchmark.json").read_text(), parse_constant=pytest.fail)
    assert result["systems"]["multiemo"]["TS"]["ccc"] > 0.4
    assert set(result["systems"]["classic"]) == {"T", "S", "TS"}
    assert all("ccc" in point for curve in result["robustness"] for point in curve["points"])
    assert r"\textbf" in (out / "table.tex").read_text()
