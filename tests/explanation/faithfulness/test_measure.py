"""Faithfulness of a trained model, and its file in the model folder."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from multiemo.calibration import Calibration
from multiemo.data.manifest.reading import read_manifest
from multiemo.errors import CheckpointError
from multiemo.explanation.evidence.base import ClipInput, Evidence, PartView
from multiemo.explanation.evidence.steps import StepEvidence, StepView
from multiemo.explanation.faithfulness import measure
from multiemo.explanation.faithfulness.claims import claim_checks
from multiemo.explanation.faithfulness.measure import draw_clips, explained_label, measure_faithfulness
from multiemo.explanation.faithfulness.records import Faithfulness
from multiemo.explanation.faithfulness.stored import FAITHFULNESS, measure_run, read_faithfulness
from multiemo.explanation.target import ClipTarget
from multiemo.model import EmotionModel
from multiemo.runs import load_bundle
from multiemo.runs.batches import prepare_part
from multiemo.runs.device import Compute
from multiemo.runs.evaluation import evaluate_bundle
from multiemo.runs.folder.source import stored_source
from multiemo.types import Sample
from tests.support.progress import Counted
from tests.support.tiny_text import scratch

CPU = Compute(torch.device("cpu"))


#: The targets and views that were scored, in order.
SCORED: list[tuple[ClipTarget, PartView]] = []


@pytest.fixture(scope="module", autouse=True)
def _steps() -> Iterator[None]:
    """Every input is divided into steps and scored by their size, as real scores take hundreds of passes."""

    def steps(kind: str) -> Evidence:
        return StepEvidence()

    def size(view: PartView, target: ClipTarget) -> tuple[Tensor, str]:
        SCORED.append((target, view))
        return view.magnitude().float(), "size"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "evidence_of", steps)
        patch.setattr(measure, "attribute", size)
        yield


@pytest.fixture(scope="module")
def run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny run, whose model folder the tests may write to, and which nobody has evaluated yet."""
    folder = tmp_path_factory.mktemp("measured") / "run"
    shutil.copytree(tiny_run, folder, ignore=shutil.ignore_patterns("evaluations.jsonl"))
    return folder


@pytest.fixture(scope="module")
def measured(run: Path) -> tuple[Faithfulness, Counted]:
    counted = Counted()
    return measure_run(run, clips=3, progress=counted), counted


def test_every_modality_is_measured_on_validation_clips(
    measured: tuple[Faithfulness, Counted], run: Path, conforms: object
) -> None:
    found, counted = measured
    assert {v.modality for v in found.views} == {"text", "speech", "face"}
    assert (found.part, found.clips, found.corpus) == ("val", 3, "manifest")
    assert all(v.clips + v.left_out <= 3 for v in found.views)
    assert counted.steps[-1] == (3, 3)
    conforms(run / "model" / FAITHFULNESS, Faithfulness)  # type: ignore[operator]
    assert not any(json.loads(line)["split"] == "test" for line in _log(run))


def test_claims_are_checked_on_the_whole_validation_part(measured: tuple[Faithfulness, Counted], run: Path) -> None:
    assert measured[0].claims == claim_checks(run)[0]
    assert measured[0].claims.clips > 3
    assert measured[0].claims.speakers >= 1


def test_a_single_branch_claims_nothing(run: Path) -> None:
    assert measure_run(run / "branches" / "text", clips=1).claims is None


def test_scores_that_do_not_depend_on_the_model_fail(measured: tuple[Faithfulness, Counted]) -> None:
    """Sizes are the same for shuffled weights, and equal their own control."""
    for view in measured[0].views:
        assert view.similarity_to_shuffled.mean == pytest.approx(1.0)
        assert view.deletion_over_magnitude.mean == view.insertion_over_magnitude.mean == 0
        assert view.trust == "failed"
        assert any("learnt" in reason for reason in view.reasons)


def test_scores_are_compared_with_shuffled_weights_and_a_disturbed_input(tiny_run: Path) -> None:
    bundle = load_bundle(tiny_run)
    source, _ = stored_source(tiny_run, bundle, None)
    SCORED.clear()
    measure_faithfulness([(bundle, source)], clips=1)
    for m in {target.modality for target, _ in SCORED}:
        ours, shuffled, disturbed = (target for target, _ in SCORED if target.modality == m)
        assert ours.model is bundle.model
        assert torch.equal(shuffled.x, ours.x)
        weights = [t.model.branch_heads[m].layers[2].weight for t in (ours, shuffled, disturbed)]  # type: ignore[union-attr,index]
        assert not torch.equal(weights[1], weights[0])
        assert torch.equal(weights[2], weights[0])
        assert (disturbed.model is ours.model) is (m != "text")
        assert torch.equal(disturbed.x, ours.x) is (m == "text")
        assert len({t.label for t in (ours, shuffled, disturbed)}) == 1


def _log(run: Path) -> list[str]:
    path = run / "evaluations.jsonl"
    return path.read_text("utf-8").splitlines() if path.is_file() else []


def test_the_file_is_read_with_the_model_and_belongs_to_its_weights(
    measured: tuple[Faithfulness, Counted], run: Path, tiny_run: Path
) -> None:
    stored = read_faithfulness(run)
    assert stored == measured[0]
    assert stored is not None
    assert stored.trust("speech", "time") == stored.views[1].trust
    assert stored.trust("speech", "cue") == "not measured"
    load_bundle(run)  # no digest of the folder covers it
    assert read_faithfulness(tiny_run) is None
    path = run / "model" / FAITHFULNESS
    kept = path.read_text("utf-8")
    path.write_text(json.dumps(replace(stored, weights="0" * 64)), "utf-8")
    assert read_faithfulness(run) is None
    path.write_text(kept[:40], "utf-8")
    with pytest.raises(CheckpointError, match=FAITHFULNESS):
        read_faithfulness(run)
    path.write_text(kept, "utf-8")


@pytest.mark.slow
def test_the_model_is_not_changed_and_the_seed_decides(tiny_run: Path) -> None:
    bundle = load_bundle(tiny_run)
    source, _ = stored_source(tiny_run, bundle, None)
    before = {name: w.clone() for name, w in bundle.model.state_dict().items()}
    first, second = (measure_faithfulness([(bundle, source)], clips=2, seed=1) for _ in range(2))
    assert first == second
    assert all(torch.equal(w, before[name]) for name, w in bundle.model.state_dict().items())


@pytest.mark.slow
def test_models_of_several_folds_share_the_clips(tiny_run: Path) -> None:
    bundle = load_bundle(tiny_run)
    source, _ = stored_source(tiny_run, bundle, None)
    found = measure_faithfulness([(bundle, source), (bundle, source)], clips=3)
    assert found.clips == 3
    assert found.weights is None


def test_the_explained_label_is_the_decided_one(tiny_run: Path) -> None:
    bundle = load_bundle(tiny_run)
    source, _ = stored_source(tiny_run, bundle, None)
    part = prepare_part(bundle.config, source.folder, source.part("val"), bundle.inputs, dialogue=source.clips)
    report = evaluate_bundle(bundle, part, split="val", compute=CPU, intervals=False)
    decided = {p["id"]: p["said"][report.full] for p in report.predictions if report.full in p.get("said", {})}
    assert decided
    for row, clip in enumerate(part.dataset.clips):
        if clip.id in decided:
            assert explained_label(bundle, CPU, part.dataset[row]) == decided[clip.id]


@pytest.mark.parametrize(("task", "expected"), [("multi", 2), ("dimensions", 1)])
def test_the_explained_column_of_other_tasks(task: str, expected: int) -> None:
    """With several labels the most probable one after calibration, even if none is given; else the first learnt one."""
    prior = torch.tensor([float("nan"), 0.2, 0.1]) if task == "dimensions" else torch.full((3,), 0.1)
    model = EmotionModel({"text": scratch()}, 3, task=task, prior=prior).eval()
    sample = Sample("a", "c", "s", {"text": torch.tensor([2, 20, 21, 3])}, {}, None, torch.full((3,), float("nan")))
    calibration = Calibration(biases={"T": [-30.0, -30.0, -20.0]}, label_thresholds={"T": [0.5, 0.5, 0.5]})
    assert explained_label(SimpleNamespace(model=model, calibration=calibration), CPU, sample) == expected


def test_clips_are_drawn_evenly_over_speakers(small_corpus: Path) -> None:
    clips = read_manifest(small_corpus)
    drawn = draw_clips(clips, 12, 0)
    assert set(Counter(c.speaker for c in drawn).values()) == {2}
    assert [c.id for c in drawn] == [c.id for c in draw_clips(clips, 12, 0)]
    assert [c.id for c in drawn] != [c.id for c in draw_clips(clips, 12, 1)]
    assert len(draw_clips(clips, 1000, 0)) == len(clips)


def test_views_without_two_parts_are_counted_and_named(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Whole(StepEvidence):
        """The input as a single part, except for speech."""

        def views(self, clip: ClipInput, target: ClipTarget) -> list[PartView]:
            return [StepView(clip.tensor if clip.modality == "speech" else clip.tensor[:1])]

    monkeypatch.setattr(measure, "evidence_of", lambda kind: Whole())
    bundle = load_bundle(tiny_run)
    source, _ = stored_source(tiny_run, bundle, None)
    found = measure_faithfulness([(bundle, source)], clips=2)
    assert {v.modality for v in found.views} <= {"speech"}
    assert any("none of" in note and "has two parts" in note for note in found.notes)
