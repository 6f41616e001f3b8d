"""The model card: what the hub reads, and that it claims nothing that was not measured."""

from __future__ import annotations

import json
import os
import re
import shutil

import yaml

from multiemo.evaluation import Report
from multiemo.report import model_card, save_evaluation, write_card, write_cards
from multiemo.report.intended_use import licences
from multiemo.runs import evaluate_run
from multiemo.runs.folder.evaluation_log import Reading, add_read
from multiemo.runs.folder.recorded_paths import record_paths


def front_matter(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def test_a_card_without_a_test_or_another_corpus_says_so(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    for name in ("evaluation.json", "evaluations.jsonl"):
        (run / name).unlink(missing_ok=True)
    card = write_card(run).read_text("utf-8")
    assert "**Not tested on another corpus.**" in card
    assert "the test part was not read" in card
    assert "synthetic media" in card
    assert front_matter(card)["library_name"] == "multiemo"
    assert "model-index" not in front_matter(card), "a validation figure is not a result"


def test_a_card_quotes_the_test_and_the_worst_other_corpus(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "evaluations.jsonl").unlink(missing_ok=True)
    save_evaluation(run, evaluate_run(run))
    report = Report.read(run / "evaluation.json")
    card = (run / "model" / "README.md").read_text("utf-8")
    assert front_matter(card)["model-index"][0]["results"][0]["metrics"][0]["value"] == report.subsets[report.full].uar
    for name, uar, seen in (("good", 0.6, 0), ("bad", 0.3, 0), ("known", 0.1, 4)):
        figures = {"uar": uar, "uar_ci": [uar - 0.1, uar + 0.1]}
        add_read(
            run, Reading.of(figures, by="evaluate", test=0, n=50, manifest=f"{name}.jsonl", corpora=[name], seen=seen)
        )
    card = model_card(run)
    assert "**UAR 0.300 (0.200 .. 0.400) on bad**" in card
    assert card.index("| bad ") < card.index("| good ")
    assert "known" not in card, "people of that manifest were in training"


def test_every_model_folder_of_a_run_gets_a_card_with_the_law_and_the_licences(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    write_cards(run)
    cards = {path.parent.name: path.read_text("utf-8") for path in run.rglob("README.md")}
    assert set(cards) == {"model", "text", "speech", "face"}
    for card in cards.values():
        assert "prohibits AI systems that infer emotions of people\nat work and in education" in card
        assert "except for medical or safety reasons (Article 5(1)(f))" in card
        assert "(Article 50(3))" in card
        assert "not legal advice" in card
        assert "| synthetic-demo | none needed" in card
        assert "rivacy report" not in card
    assert "Not tested. On validation, which selection and calibration use: uar" in cards["face"]


def test_a_card_has_figures_by_group_and_names_nobody(tiny_run, small_corpus, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    rows = [json.loads(line) for line in small_corpus.read_text("utf-8").splitlines()]
    for i, row in enumerate(rows):
        row["attributes"] = {"sex": ("female", "male")[i % 4 == 0]}
    manifest = (
        shutil.copytree(small_corpus.parent, tmp_path / "corpus", copy_function=os.link) / "with-attributes.jsonl"
    )
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    record_paths(run, {"fuse": manifest}, None)
    save_evaluation(run, evaluate_run(run, manifest=manifest, split="test"))
    card = (run / "model" / "README.md").read_text("utf-8")
    groups = {line.split("|")[2].strip() for line in card.splitlines() if line.startswith("| sex ")}
    assert groups == {"female"}, "the other group is too small for a figure"
    assert not any(row["speaker"] in card for row in rows)


def test_licences_of_data_and_of_pretrained_weights(tmp_path):
    model = tmp_path / "tiny"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"")
    (model / "README.md").write_text("---\nlicense: bsd-3-clause\n---\n# A model\n")
    encoders = {
        "text": {"name": "text_pretrained", "model": str(model)},
        "speech": {"name": "speech_prosody"},
        "face": {"name": "face_timm", "backbone": "mobilenetv3_small_050", "pretrained": True},
    }
    lines = "\n".join(licences(["ravdess", "mine"], encoders))
    assert "| ravdess | CC BY-NC-SA 4.0" in lines
    assert "| mine    | not known to multiemo" in lines or "| mine | not known to multiemo" in lines
    assert re.search(r"\| text +\| tiny +\| bsd-3-clause", lines)
    assert re.search(r"\| face +\| mobilenetv3_small_050 +\| apache-2.0", lines)
    assert "speech" not in lines
    (model / "README.md").unlink()
    assert "not stated in the model's folder" in "\n".join(licences([], {"text": encoders["text"]}))
