"""The demo: the whole workflow on a synthetic corpus, from media files to evaluation, prediction and report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from multiemo.config import load_config
from multiemo.data.manifest.reading import read_manifest
from multiemo.evaluation import Report
from multiemo.files import write_atomically
from multiemo.predict import Item, load
from multiemo.predict.prediction import InputPrediction, Prediction
from multiemo.progress import Progress
from multiemo.report import save_evaluation
from multiemo.runs import evaluate_run, train
from multiemo.synthetic import make_corpus

#: Number of speakers in the corpus; enough for five in the test part.
SPEAKERS = 20


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The results of the demo.

    Args:
        folder: run folder; its subfolder ``corpus`` contains the media and the manifest.
        report: evaluation on the test speakers.
        example: prediction of one test clip.
        truth: true label of that clip.
    """

    folder: Path
    report: Report
    example: InputPrediction
    truth: str


def run_demo(out: Path, *, overrides: tuple[str, ...] = (), progress: Progress | None = None) -> DemoResult:
    """Generate the synthetic corpus, train, evaluate, predict one clip, and write the report.

    Args:
        out: run folder.
        overrides: ``key.path=value`` each, applied to the embedded config.
        progress: receives stages, steps, epochs and notes.

    Raises:
        MultiemoError: ``out`` already has a run, or a step fails.
    """
    progress = progress or Progress()
    with as_file(files("multiemo").joinpath("demo.yaml")) as recipe:
        template = recipe.read_text("utf-8")
        load_config(recipe, ["data.manifest=to-be-made", *overrides])  # reports a mistake before anything is generated
    progress.stage("make the synthetic corpus")
    manifest = make_corpus(out / "corpus", speakers=SPEAKERS, progress=progress)
    recipe = out / "demo.yaml"
    write_atomically(recipe, template)
    config = load_config(recipe, [f"data.manifest={json.dumps(str(manifest))}", *overrides])
    run = train(config, out, progress=progress)
    report = evaluate_run(run.folder, device=config.device, by="demo", progress=progress)
    test = set(json.loads((out / "splits.json").read_text("utf-8"))["fuse"]["parts"]["test"])
    clip = next(c for c in read_manifest(manifest) if c.id in test and c.video and c.text)
    predictor = load(run.folder, device=config.device)
    path = manifest.parent / str(clip.video)
    example = predictor.predict_item(Item(str(path), path, clip.text))
    prediction = Prediction(inputs=[example], model=predictor.describe())
    write_atomically(out / "prediction.json", f"{prediction}\n")
    save_evaluation(out, report, example=example, title="multiemo demo (synthetic corpus)")
    return DemoResult(out, report, example, str(clip.label))
