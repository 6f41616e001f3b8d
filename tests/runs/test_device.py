"""Which device and precision reach the model: in training, validation, evaluation, prediction, benchmark and demo."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from multiemo.applications.mood import mood_log
from multiemo.applications.texts import predict_texts
from multiemo.benchmark.cost import memory
from multiemo.benchmark.cost.cost import measure_cost
from multiemo.benchmark.robustness.curves import robustness_curves
from multiemo.benchmark.run import run_benchmark
from multiemo.benchmark.trainings import Cell, automatic_jobs, run_cell, slots_of
from multiemo.bulk.local import places_of
from multiemo.bulk.plan import Job
from multiemo.bulk.shard import Worker
from multiemo.config import Config, load_config
from multiemo.data.manifest.reading import read_manifest
from multiemo.encoders.speech.speech_prosody import SpeechProsody
from multiemo.errors import ConfigError
from multiemo.model import EmotionModel
from multiemo.predict import Item, evaluate, load
from multiemo.runs import device, evaluate_run, load_bundle, train
from multiemo.types import Batch
from tests.support.runs import answered_here, source_of

#: A device that is named otherwise than the CPU, and computes as it does.
ELSEWHERE = torch.device("cpu:0")


@pytest.fixture
def gone(monkeypatch) -> list[tuple[str, str]]:
    """What was moved where, on a machine whose ``auto`` is ELSEWHERE."""
    moved: list[tuple[str, str]] = []
    resolve = device.resolve_device
    monkeypatch.setattr(
        device,
        "resolve_device",
        lambda wish="auto", **where: ELSEWHERE if wish == "auto" else resolve(wish, **where),
    )
    for kind in (EmotionModel, Batch):
        to = kind.to

        def spy(self, place, *rest, to=to, name=kind.__name__, **options):
            moved.append((name, str(place)))
            return to(self, place, *rest, **options)

        monkeypatch.setattr(kind, "to", spy)
    return moved


def evaluates(run: Path, tmp_path: Path) -> None:
    evaluate(run)


def measures_robustness(run: Path, tmp_path: Path) -> None:
    robustness_curves([(load_bundle(run), source_of(run))], corruptions=["missing_any", "babble"])


def measures_cost(run: Path, tmp_path: Path) -> None:
    measure_cost(run, source_of(run), clips=1, repeats=1)


def a_cell_is_tested(run: Path, tmp_path: Path) -> None:
    cell = shutil.copytree(run, tmp_path / "cell")
    config = load_config(cell / "config.yaml").model_copy(update={"device": "auto"})
    (cell / "config.yaml").write_text((cell / "config.yaml").read_text().replace("device: cpu", "device: auto"))
    shutil.rmtree(cell / "state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("multiemo.benchmark.trainings.train", lambda *_, **__: None)
        run_cell(Cell("fold0", 3, config, cell))


def predicts(run: Path, tmp_path: Path) -> None:
    load(run).predict(text="I am so happy")


def predicts_texts(run: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text\nI am so happy\n")
    predict_texts(run, tmp_path / "t.csv", column="text", out=tmp_path / "o.csv")


def logs_a_mood(run: Path, tmp_path: Path) -> None:
    manifest = Path(load_config(run / "config.yaml").data.manifest)
    clip = next(c for c in read_manifest(manifest) if c.video)
    (tmp_path / "days.csv").write_text(f"date,clip\n2024-01-01,{manifest.parent / str(clip.video)}\n")
    mood_log(tmp_path / "days.csv", run=run)


def works_in_bulk(run: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    worker = Worker(Job(run, tmp_path, False, "call"), "auto")
    list(worker.predictor.predict_many([Item("text", text="I am so happy")]))
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "use",
    [
        evaluates,
        pytest.param(measures_robustness, marks=pytest.mark.slow),
        pytest.param(measures_cost, marks=pytest.mark.slow),
        a_cell_is_tested,
        predicts,
        predicts_texts,
        logs_a_mood,
        works_in_bulk,
    ],
    ids=lambda use: use.__name__,
)
def test_every_use_of_a_trained_model_takes_the_device_of_this_machine(use, tiny_run, tmp_path, gone, monkeypatch):
    monkeypatch.setattr(memory, "subprocess", SimpleNamespace(run=answered_here))
    use(tiny_run, tmp_path)
    assert {name for name, _ in gone} == {"EmotionModel", "Batch"}
    assert {place for _, place in gone} == {str(ELSEWHERE)}


def test_the_demo_tests_and_predicts_on_the_device_of_its_config(small_corpus, tmp_path, monkeypatch):
    from multiemo import demo

    asked = {}
    run = SimpleNamespace(folder=tmp_path)
    monkeypatch.setattr(demo, "make_corpus", lambda *_, **__: small_corpus)
    monkeypatch.setattr(demo, "train", lambda config, *_, **__: asked.update(train=config.device) or run)
    monkeypatch.setattr(demo, "evaluate_run", lambda *_, device, **__: asked.update(evaluate=device))

    class Stop(Exception):
        pass

    def load(*_, device):
        asked["load"] = device
        raise Stop

    monkeypatch.setattr(demo, "load", load)
    clips = [c.id for c in read_manifest(small_corpus)]
    (tmp_path / "splits.json").write_text(json.dumps({"fuse": {"parts": {"test": clips}}}))
    with pytest.raises(Stop):
        demo.run_demo(tmp_path, overrides=("device=cpu",))
    assert asked == {"train": "cpu", "evaluate": "cpu", "load": "cpu"}


@pytest.mark.parametrize(
    "command",
    ["evaluate {run}", "predict {run} --text hello", "texts {run} {table} --column text --out {out}",
     "live {run} --replay {film} --no-camera", "call {run} {film}", "mood {film} --run {run}",
     "predict {run} {film} --out {out}"],
)  # fmt: skip
def test_every_command_with_a_model_takes_the_device_it_is_given(command, tiny_run, tmp_path, small_corpus, cli):
    clip = next(c for c in read_manifest(small_corpus) if c.video)
    (tmp_path / "t.csv").write_text("text\nhello\n")
    words = command.format(
        run=tiny_run, film=small_corpus.parent / str(clip.video), table=tmp_path / "t.csv", out=tmp_path / "o.csv"
    )
    code, _, said = cli(*words.split(), "--device", "cuda:99")
    assert code == 2
    assert said.splitlines()[-1].startswith("error: --device: 'cuda:99' is not available: torch finds ")


def test_a_device_without_a_model_is_refused(tmp_path, cli):
    code, _, said = cli("mood", tmp_path / "days.csv", "--device", "cpu")
    assert (code, said) == (2, "error: --device is the device of a model: add --run\n")


# ------------------------------------------------------------------------------------------------------ what is chosen
@pytest.fixture
def with_gpus(monkeypatch) -> Callable[..., None]:
    """A machine with so many GPUs, which have bf16 or imitate it."""

    def pretend(count: int, *, bf16: bool = True) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or bf16
        )

    return pretend


def config_of(**keys) -> Config:
    return Config.model_validate(
        {"name": "x", "label_set": "demo5", "data": {"manifest": "m.jsonl"}, "stages": ["text"],
         "encoders": {"text": {"name": "text_transformer"}}, **keys}
    )  # fmt: skip


def test_what_is_asked_for_and_what_is_there_decide(with_gpus):
    choose = lambda wish="auto", **keys: str(device.compute_of(config_of(**keys), wish))  # noqa: E731
    with_gpus(0)
    assert choose() == "cpu, float32"
    assert choose(device="cuda") == "cpu, float32"  # trained on a GPU, used here
    assert choose(precision="bf16") == "cpu, bf16"
    assert choose(precision="fp16") == "cpu, float32"
    with_gpus(2)
    assert choose() == "cuda, bf16"
    assert choose(device="cpu") == "cuda, bf16"
    assert choose("cpu") == "cpu, float32"
    assert choose("cuda:1", precision="fp16") == "cuda:1, fp16"
    assert choose(precision="no") == "cuda, float32"
    with_gpus(1, bf16=False)
    assert choose() == "cuda, float32"


@pytest.mark.parametrize(
    ("wish", "said"),
    [("cuda", "'cuda' is not available: torch finds 0 CUDA GPUs"), ("gpu", "'gpu' is not a device; choices: auto, cpu"),
     ("meta", "'meta' is not a device"), ("cuda:x", "'cuda:x' is not a device")],
)  # fmt: skip
def test_a_device_that_is_not_here_is_refused(wish, said, tiny_run, with_gpus):
    with_gpus(0)
    with pytest.raises(ConfigError, match=f"--device: {said}"):
        load(tiny_run, device=wish)


@pytest.mark.parametrize(
    ("keys", "said"),
    [("device=cuda", "device: 'cuda' is not available"), ("precision=fp16", "precision: fp16 needs a CUDA GPU"),
     ("compile=true", "compile: needs a C[+][+] compiler, but 'no-such-compiler' was not found")],
)  # fmt: skip
def test_training_where_it_cannot_be_done_is_refused(keys, said, tiny_config, tmp_path, with_gpus, monkeypatch):
    with_gpus(0)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=said):
        train(load_config(tiny_config(tmp_path), [keys]), tmp_path / "run")
    with pytest.raises(ConfigError, match=said):  # before anything is read or decoded
        run_benchmark(load_config(tiny_config(tmp_path), [keys, "data.manifest=nowhere.jsonl"]), tmp_path / "bench")
    assert not (tmp_path / "bench").exists()


def test_a_model_trained_on_a_gpu_is_used_on_a_cpu(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    for path in (run / "model" / "config.json", run / "config.yaml"):
        text = path.read_text("utf-8")
        path.write_text(text.replace('"device": "cpu"', '"device": "cuda"').replace("device: cpu", "device: cuda"))
    assert load_bundle(run).config.device == "cuda"
    assert evaluate_run(run).subsets == evaluate_run(tiny_run).subsets
    assert load(run).predict(text="I am so happy") == load(tiny_run).predict(text="I am so happy")


def test_workers_are_dealt_to_the_gpus_they_may_use(with_gpus, monkeypatch, tmp_path):
    with_gpus(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert places_of("auto") == places_of("cuda") == ["cuda:0", "cuda:1"]
    assert (places_of("cuda:1"), places_of("cpu")) == (["cuda:1"], ["cpu"])
    assert automatic_jobs(config_of()) == 2
    assert [slot.gpu for slot in slots_of(config_of(), 3)] == ["5", "7", "5"]
    assert [slot.gpu for slot in slots_of(config_of(device="cpu"), 1)] == [None]
    with_gpus(0)
    assert places_of("auto") == ["cpu"]


# ---------------------------------------------------------------------------------------------------------- precision
@pytest.fixture
def linear(monkeypatch) -> set[tuple[bool, torch.dtype]]:
    """Of every linear layer that is called: whether it is trained, and the type of what comes out."""
    types: set[tuple[bool, torch.dtype]] = set()
    forward = torch.nn.Linear.forward

    def spy(self, x):
        out = forward(self, x)
        types.add((self.training, out.dtype))
        return out

    monkeypatch.setattr(torch.nn.Linear, "forward", spy)
    return types


@pytest.fixture(scope="module")
def half_run(tiny_config, tmp_path_factory) -> Path:
    """A run in bf16 with a budget of its fused stage alone."""
    folder = tmp_path_factory.mktemp("half")
    path = tiny_config(
        folder, modalities=("text", "speech"), precision="bf16", per_stage="{fuse: {budget: {speech: 5}}}"
    )
    train(load_config(path), folder / "run")
    return folder / "run"


@pytest.mark.parametrize("objective", ["labels", "contrastive"])
def test_validation_computes_as_training_does(objective, tiny_config, tmp_path, linear):
    path = tiny_config(tmp_path, modalities=("text", "speech"), stages="[fuse]", precision="bf16")
    train(load_config(path, [f"training.objective={objective}", "training.epochs=1"]), tmp_path / "run")
    assert linear == {(True, torch.bfloat16), (False, torch.bfloat16)}


def test_evaluation_prediction_and_robustness_compute_as_training_did(half_run, linear):
    report = evaluate_run(half_run)
    (curve,) = robustness_curves([(load_bundle(half_run), source_of(half_run))], corruptions=["missing_any"])
    predictor = load(half_run)
    measure = {"uar": curve.points[0].uar, "ece": curve.points[0].ece}
    texts = {c.id: c.text for c in read_manifest(Path(load_config(half_run / "config.yaml").data.manifest))}
    for record in [r for r in report.predictions if "T" in r["probs"]]:
        said = predictor.predict(text=texts[record["id"]])["segments"][0]["probs"]
        assert list(said.values()) == pytest.approx(record["probs"]["T"], abs=0.02)  # other batches, other rounding
    assert linear == {(False, torch.bfloat16)}
    assert measure == {k: pytest.approx(report.subsets["TS"][k], abs=1e-9) for k in measure}


# ------------------------------------------------------------------------------------------------------------- budget
@pytest.fixture
def heard(monkeypatch) -> list[tuple[bool, int, int]]:
    """Of every batch of speech: whether it is trained on, its clips and its rows, padding included."""
    batches: list[tuple[bool, int, int]] = []
    forward = SpeechProsody.forward

    def spy(self, x, mask):
        batches.append((self.training, *x.shape[:2]))
        return forward(self, x, mask)

    monkeypatch.setattr(SpeechProsody, "forward", spy)
    return batches


@pytest.mark.slow
@pytest.mark.parametrize("freeze", ["[]", "[speech]"])
def test_what_is_not_trained_on_keeps_to_the_budget_too(freeze, tiny_config, tmp_path, heard):
    """Five seconds of speech, padding included, with a row every 10 ms: 500 rows a batch, however many clips."""
    run = tmp_path / "run"
    keys = ["training.epochs=1", "training.budget.speech=5", f"training.freeze={freeze}", "stages=[fuse]"]
    keys.append(f"data.cache={tmp_path / 'cache'}")
    train(load_config(tiny_config(tmp_path, modalities=("text", "speech")), keys), run)
    evaluate_run(run)
    robustness_curves([(load_bundle(run), source_of(run))], corruptions=["missing_any"])
    assert {training for training, *_ in heard} == ({False} if freeze == "[speech]" else {True, False})
    assert all(clips * rows <= 500 or clips == 1 for _, clips, rows in heard)
    assert max(clips for _, clips, _ in heard) > 1


def test_the_stages_own_budget_goes_with_the_model(half_run):
    assert load_bundle(half_run).config.training.budget == {"speech": 5}
    assert load_bundle(half_run / "branches" / "speech").config.training.budget == {}
