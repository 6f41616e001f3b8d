"""What a fresh process imports: nothing that the command, or the model it loads, does not use."""

from __future__ import annotations

import json
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.io import wavfile

import multiemo
import multiemo.encoders
from multiemo.config import load_config, parse_config
from multiemo.data.manifest.reading import write_manifest
from multiemo.encoders.common.deferred import Deferred
from multiemo.errors import CheckpointError, ConfigError
from multiemo.inputs import build_input
from multiemo.predict import Answer, Item, Predictor
from multiemo.registry import Registry, encoders
from multiemo.report import save_evaluation
from multiemo.runs import Bundle, evaluate_run, load_bundle, save_bundle, train
from multiemo.runs.parts import assemble, build_encoder
from multiemo.types import Clip
from tests.support.paths import ROOT
from tests.support.sounds import speech

#: What takes long to import, a tenth of a second or more, and what is imported by mistake most easily.
SLOW = frozenset(
    ("torch", "torchaudio", "torchvision", "torchmetrics", "transformers", "timm", "accelerate", "peft", "librosa",
     "silero_vad", "scipy", "sklearn", "sympy", "matplotlib", "jinja2", "cv2", "av", "soxr", "lmdb", "polars", "numpy",
     "tokenizers", "tensorboard", "wandb", "mlflow", "ray", "vaderSentiment")
)  # fmt: skip
#: Of a model that reads words, in a command that could read media too.
READS_TEXT = {"torch", "numpy", "tokenizers", "av", "cv2", "soxr", "lmdb"}
_RUN = (
    "import json, sys\n"
    "from multiemo.cli import main\n"
    "sys.argv = ['multiemo', *sys.argv[1:]]\n"
    "code = 0\n"
    "try:\n    main()\n"
    "except SystemExit as left:\n    code = int(left.code or 0)\n"
    "print(json.dumps([code, sorted({name.partition('.')[0] for name in sys.modules})]))\n"
)

PUBLIC = [name for name in multiemo.__all__ if name != "__version__"]


def imported(code: str, *arguments: object) -> set[str]:
    """Those of ``SLOW`` that a program has imported in a process of its own."""
    code += "\nimport json, sys\nprint(json.dumps([0, sorted({name.partition('.')[0] for name in sys.modules})]))"
    return run_fresh(code, *arguments)[1]


def run_fresh(code: str, *arguments: object) -> tuple[int, set[str], str]:
    """What a program says on its last line, and on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said, names = json.loads(done.stdout.splitlines()[-1])
    return said, SLOW & set(names), done.stderr


# ---------------------------------------------------------------------------------------------------------- the models
@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with the demo's three encoders, untrained."""
    config = parse_config(
        {
            "name": "cold",
            "label_set": "demo5",
            "dimensions": True,
            "data": {"manifest": "m.jsonl"},
            "encoders": {
                "text": {"name": "text_transformer", "dim": 16, "heads": 2, "layers": 1, "vocab_size": 600},
                "speech": {"name": "speech_prosody", "width": 16, "out_dim": 24},
                "face": {"name": "face_timm", "frames": 2, "dim": 32},
            },
            "fusion": {"name": "gated", "dim": 16},
            "stages": ["text", "speech", "face", "fuse"],
        }
    )
    torch.manual_seed(0)
    parts = {m: build_encoder(config, m) for m in config.modalities}
    texts = ["so happy today", "what a sad day", "I am angry", "how plain", "oh no, I fear it"]
    inputs = {m: build_input(m, e.input_spec, texts=lambda: texts) for m, e in parts.items()}
    folder = tmp_path_factory.mktemp("cold") / "model"
    save_bundle(Bundle(assemble(config, parts, fused=True).eval(), config, inputs), folder)
    return folder


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluated run of words alone, its manifest beside it."""
    folder = tmp_path_factory.mktemp("words")
    words = {"negative": "awful", "neutral": "plain", "positive": "lovely"}
    rows = [
        Clip(id=f"c{i}", corpus="toy", speaker=f"s{i % 8}", text=f"a {word} day", label_set="polarity3", label=label)
        for i, (label, word) in enumerate(list(words.items()) * 16)
    ]
    write_manifest(rows, folder / "m.jsonl")
    config = folder / "c.yaml"
    config.write_text(
        f"name: toy\nlabel_set: polarity3\ndevice: cpu\ndata: {{manifest: '{folder / 'm.jsonl'}'}}\n"
        "encoders: {text: {name: text_transformer, layers: 0, vocab_size: 600}}\nstages: [text]\n"
        "training: {epochs: 1}\n",
        "utf-8",
    )
    train(load_config(config), folder / "run")
    save_evaluation(folder / "run", evaluate_run(folder / "run"))
    shutil.copytree(folder / "run", folder / "twin")
    return folder


# -------------------------------------------------------------------------------------------------------- the commands
#: Command, exit code, and what of ``SLOW`` it may import.
COMMANDS = {
    "--help": (0, set()),
    "--version": (0, set()),
    **{f"{name} --help": (0, set()) for name in ("demo", "train", "evaluate", "benchmark", "predict", "live", "mood")},
    "prepare table {here}/table.csv text=words label=label label_set=polarity3 --out {new}": (0, {"numpy", "polars"}),
    "merge {here}/m.jsonl {here}/other.jsonl --out {new}": (0, {"numpy", "polars"}),
    "validate {here}/m.jsonl": (0, set()),
    "validate {here}/media.jsonl --media": (0, {"numpy", "av", "cv2"}),
    "cache info --folder {here}/cache": (0, {"lmdb"}),
    "cache prune --folder {here}/cache --max-gb 1": (0, {"lmdb"}),
    "compare {here}/run {here}/twin": (0, {"numpy", "scipy", "jinja2"}),
    "mood {here}/days.csv": (0, {"numpy", "scipy", "polars"}),
    # anonymize
    "anonymize --help": (0, set()),
    "anonymize {here}/notes.txt --out {new}.txt --faces keep": (0, {"numpy", "av", "cv2"}),
    "anonymize {here}/voice.wav --out {new}.wav --faces keep": (0, {"numpy", "av", "cv2", "soxr"}),
    "anonymize {here}/none.wav --out {new}.wav --voice robot": (2, set()),
    # usage errors
    "compare {here}/none {here}/nothing": (1, {"numpy", "scipy", "jinja2"}),
    "mood {here}/run": (2, {"numpy", "scipy", "polars"}),
    "mood {here}/run --run {here}/none": (1, set()),
    "evaluate {here}/none": (1, set()),
    "predict {here}/none --text happy": (1, set()),
    "predict {here}/none film.mp4 --out {new}": (1, set()),
    "predict {here}/run": (2, set()),
    "predict {here}/run film.mp4 --format csv": (2, set()),
    "predict {here}/run --txt happy": (2, set()),
    "live {here}/none": (1, set()),
    "call {here}/none call.wav": (1, set()),
    "texts {here}/none table.csv --column words --out {new}": (1, set()),
    "train {here}/c.yaml epochs=3": (2, set()),
    "train {here}/c.yaml data.manifest=none.jsonl": (1, set()),
    "train {here}/none.yaml": (2, set()),
    "train {here}/c.yaml --epochs 3": (2, set()),
    "benchmark {here}/c.yaml benchmark.fold=3": (2, set()),
    "benchmark {here}/c.yaml data.manifest=none.jsonl": (1, set()),
    "prepare nothing {here} --out {new}": (2, {"numpy", "polars"}),
    "validate {here}/none.jsonl": (1, set()),
    # commands with a model of words
    "predict {here}/run --text happy": (0, READS_TEXT),
    "texts {here}/run {here}/table.csv --column words --out {new}.csv": (0, READS_TEXT | {"polars"}),
}
#: Those of the default tests; each starts a process.
ALWAYS = ("--help", "evaluate {here}/none", "validate {here}/none.jsonl", "predict {here}/run --text happy")


@pytest.mark.parametrize("command", [c if c in ALWAYS else pytest.param(c, marks=pytest.mark.slow) for c in COMMANDS])
def test_a_command_imports_what_it_uses(command: str, evaluated: Path, small_corpus: Path, tmp_path: Path) -> None:
    (evaluated / "table.csv").write_text("words,label\na lovely day,positive\nan awful one,negative\n", "utf-8")
    (evaluated / "days.csv").write_text("date,valence\n2024-05-01,0.5\n2024-05-02,0.4\n", "utf-8")
    write_manifest([Clip(id="x", corpus="other", text="a day")], evaluated / "other.jsonl")
    (evaluated / "notes.txt").write_text("I told Rachel.\n", "utf-8")
    wavfile.write(evaluated / "voice.wav", 16000, speech(1.0, 16000))
    shutil.copy(small_corpus, evaluated / "media.jsonl")
    if not (evaluated / "media").exists():
        (evaluated / "media").symlink_to(small_corpus.parent / "media")
    code, allowed = COMMANDS[command]
    arguments = command.format(here=evaluated, new=tmp_path / "new.jsonl").split()
    left, slow, error = run_fresh(_RUN, *arguments)
    assert left == code, error
    assert slow <= allowed


def test_words_alone_build_and_import_no_other_encoder(model: Path) -> None:
    left, slow, error = run_fresh(_RUN, "predict", model, "--text", "so happy")
    assert (left, error) == (0, "")
    assert slow <= READS_TEXT


def test_a_config_is_resolved_with_its_recipes_before_torch_is_imported() -> None:
    path = ROOT / "configs" / "ravdess_av.yaml"
    code = "import sys\nfrom multiemo import load_config\nassert load_config(sys.argv[1]).recipes['speech']"
    assert imported(code, path) == set()


# -------------------------------------------------------------------------------------------------------- the encoders
#: What importing an encoder may take.
NEEDS = {
    "features": {"torch", "numpy"},
    "text_transformer": {"torch", "numpy"},
    "text_rules": {"torch", "numpy"},
    "speech_prosody": {"torch", "numpy"},
    "speech_rules": {"torch", "numpy"},
    "face_rules": {"torch", "numpy", "cv2"},  # in one module with those of landmarks
    "face_rules_landmarks": {"torch", "numpy", "cv2"},
    "face_timm": SLOW - {"accelerate", "peft", "librosa", "av", "cv2"},
    "text_pretrained": SLOW - {"timm", "peft", "librosa", "av", "cv2"},
    "text_prompted": SLOW - {"timm", "peft", "librosa"},  # it takes its input apart, whose module reads media
    "speech_prompted": SLOW - {"timm", "peft", "av", "cv2"},
    "face_prompted": SLOW - {"timm", "peft", "av", "cv2"},
    "speech_pretrained": SLOW - {"timm", "peft", "av", "cv2"},
}


@pytest.mark.parametrize(
    "name", [n if n == "text_transformer" else pytest.param(n, marks=pytest.mark.slow) for n in encoders.names()]
)
def test_an_encoder_imports_what_it_uses(name: str) -> None:
    code = (
        "import sys, multiemo.encoders\n"
        "from multiemo.registry import encoders\n"
        "known = encoders.names(), encoders.facts(sys.argv[1])\n"
        "assert 'torch' not in sys.modules\n"
        "encoders.get(sys.argv[1], where='test')"
    )
    assert imported(code, name) <= NEEDS[name]


@pytest.mark.slow
def test_what_is_announced_is_what_the_modules_register() -> None:
    package = multiemo.encoders
    modules = [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    code = (
        "import importlib, json, sys\n"
        "from multiemo.registry import encoders\n"
        "for module in sys.argv[1:]:\n    importlib.import_module(module)\n"
        "print(json.dumps([0, {n: encoders.get(n, where='test').__module__ for n in encoders._builders}]))"
    )
    done = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, check=True)
    registered = json.loads(done.stdout)[1]
    assert registered == encoders._modules


SHAPES = Registry("shape")


def test_an_announced_builder_is_imported_when_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = SHAPES
    shapes.announce("circle", "circles_of_a_test", sides=0)
    (tmp_path / "circles_of_a_test.py").write_text(
        f"from {__name__} import SHAPES\n\n"
        "@SHAPES.register('circle', sides=0)\ndef circle(*, radius: int = 1):\n    return radius\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert shapes.names(sides=0) == ["circle"]
    assert shapes.facts("circle") == {"sides": 0}
    with pytest.raises(ConfigError, match=r"unknown shape 'circl'; did you mean 'circle'"):
        shapes.get("circl", where="x")
    with pytest.raises(ConfigError, match="registered twice"):
        shapes.register("circle", sides=0)(impostor)
    assert "circles_of_a_test" not in sys.modules
    assert shapes.build("circle", {"radius": 3}, where="x") == 3
    monkeypatch.delitem(sys.modules, "circles_of_a_test")


def test_facts_other_than_announced_are_refused() -> None:
    shapes = Registry("shape")
    shapes.announce("square", __name__, sides=3)
    with pytest.raises(ConfigError, match="was announced with"):
        shapes.register("square", sides=4)(impostor)


def impostor() -> None:
    """A builder."""


# --------------------------------------------------------------------------------------------------- built when wanted
@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    """Words, a voice, a face crop."""
    folder = tmp_path_factory.mktemp("items")
    wavfile.write(folder / "voice.wav", 16000, speech(1.5, 16000))
    cv2.imwrite(str(folder / "face.png"), np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    return [
        Item("words", text="so happy today"),
        Item("voice", clip=Clip(id="voice", corpus="files", audio="voice.wav"), folder=folder),
        Item("face", clip=Clip(id="face", corpus="files", image="face.png", cropped=True), folder=folder),
    ]


def waiting(predictor: Predictor) -> set[str]:
    """The modalities whose encoder has not been built."""
    return {m for m, part in predictor.model.encoders._modules.items() if isinstance(part, Deferred)}


def test_an_encoder_is_built_by_the_first_item_that_has_its_modality(model: Path, items: list[Item]) -> None:
    predictor, whole = multiemo.load(model, device="cpu"), Predictor(load_bundle(model), device="cpu")
    left = [waiting(predictor)]
    for item in items:
        assert predictor.predict_item(item) == whole.predict_item(item)
        left.append(waiting(predictor))
    assert left == [{"text", "speech", "face"}, {"speech", "face"}, {"face"}, set()]
    assert all(p.requires_grad and not p.is_inference() for p in predictor.model.parameters())
    assert not any(part.training for part in predictor.model.modules())


@pytest.mark.parametrize("look", ["parameters", "modules", "state_dict", "items", "save"])
def test_whoever_looks_into_a_model_sees_the_whole_of_it(look: str, model: Path, tmp_path: Path) -> None:
    whole, bundle = load_bundle(model), load_bundle(model, deferred=True)
    part = bundle.model.double()
    if look == "parameters":
        assert sum(p.numel() for p in part.parameters()) == sum(p.numel() for p in whole.model.parameters())
    elif look == "modules":
        assert [type(m) for m in part.modules()] == [type(m) for m in whole.model.modules()]
    elif look == "items":
        assert [type(e) for _, e in part.encoders.items()] == [type(e) for e in whole.model.encoders.values()]
    elif look == "save":
        save_bundle(bundle, tmp_path / "again")
        assert (tmp_path / "again" / "face" / "backbone.json").is_file()
    for name, value in part.state_dict().items():
        expected = whole.model.state_dict()[name]
        assert torch.equal(value, expected.double() if expected.is_floating_point() else expected)
        assert value.dtype == (torch.float64 if expected.is_floating_point() else expected.dtype)


def test_an_encoder_that_does_not_fit_is_no_fault_of_an_item(model: Path, items: list[Item], tmp_path: Path) -> None:
    broken = shutil.copytree(model, tmp_path / "model")
    values = json.loads((broken / "config.json").read_text("utf-8"))
    values["config"]["encoders"]["speech"]["width"] = 20
    (broken / "config.json").write_text(json.dumps(values), "utf-8")
    with pytest.raises(CheckpointError, match="do not fit its config: size mismatch for"):
        load_bundle(broken)
    predictor = multiemo.load(broken, device="cpu")
    assert isinstance(next(predictor.predict_many(items[:1])), Answer)
    with pytest.raises(CheckpointError, match="do not fit its config: size mismatch for"):
        list(predictor.predict_many(items * 20))


# ------------------------------------------------------------------------------------------------------- public names
@pytest.mark.slow
def test_a_public_name_is_the_same_whatever_was_imported_before() -> None:
    """Asked for twice, before and after every other name, a load, and the import of every module of the package."""
    code = (
        "import importlib, json, pkgutil, sys, types, multiemo\n"
        "packages = ['multiemo', *(f.name for f in pkgutil.walk_packages(multiemo.__path__, 'multiemo.') if f.ispkg)]\n"
        "def names():\n"
        "    found = {}\n"
        "    for package in map(importlib.import_module, packages):\n"
        "        for name in getattr(package, '__all__', ()):\n"
        "            found[f'{package.__name__}:{name}'] = id(getattr(package, name))\n"
        "    return found\n"
        "first = names()\n"
        "again = [names()]\n"
        "multiemo.load\n"
        "again.append(names())\n"
        "for found in pkgutil.walk_packages(multiemo.__path__, 'multiemo.'):\n"
        "    if not found.name.endswith('__main__'):\n"
        "        importlib.import_module(found.name)\n"
        "again.append(names())\n"
        "assert len(first) > 100\n"
        "print(json.dumps([[n for n in first if any(a[n] != first[n] for a in again)], []]))"
    )
    changed, _, error = run_fresh(code)
    assert changed == [], error


@pytest.mark.parametrize(
    "name", ["evaluate", *(pytest.param(n, marks=pytest.mark.slow) for n in PUBLIC if n != "evaluate")]
)
def test_a_public_name_alone_is_no_module(name: str) -> None:
    code = (
        "import sys, types, multiemo\nname = sys.argv[1]\nfirst = getattr(multiemo, name)\n"
        "assert getattr(multiemo, name) is first and not isinstance(first, types.ModuleType)"
    )
    assert "timm" not in imported(code, name)
