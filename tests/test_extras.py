"""Packages of the extras: the message names the extra, and a plain installation works without all of them."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from multiemo.errors import ConfigError, ManifestError
from multiemo.extras import EXTRAS, install_command, require
from tests.support.paths import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def named(requirements: list[str]) -> set[str]:
    """The distributions that some requirements name."""
    return {re.split(r"[\[>=<; ]", line)[0].lower() for line in requirements}


@pytest.mark.parametrize("module", EXTRAS)
def test_a_module_of_an_extra_is_brought_by_that_extra_and_no_other(module: str) -> None:
    if module == "pyarrow":  # of ray[data]
        return
    brings = {name.lower() for name in packages_distributions().get(module, [])}
    if not brings:
        pytest.skip(f"{module} is not installed")
    assert brings & named(PROJECT["optional-dependencies"][EXTRAS[module]])
    assert not brings & named(PROJECT["dependencies"])


@pytest.mark.parametrize("module", EXTRAS)
def test_without_a_module_its_extra_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ManifestError) as caught:
        require(module, "m.csd: this", instead=", or leave it out", error=ManifestError)
    command = f'pip install "multiemo[{EXTRAS[module]}]"'
    assert str(caught.value) == f"m.csd: this needs {module}: {command}, or leave it out"


def test_a_library_that_a_module_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(ConfigError, match=r'needs sounddevice \(PortAudio library not found\): pip install "multiemo'):
        require("sounddevice", "live: the microphone")


def test_a_module_that_is_there_is_returned() -> None:
    assert require("json.decoder", "this").JSONDecodeError
    assert install_command("json.decoder") == "pip install json"


def test_the_test_extra_brings_every_extra_that_a_module_is_in() -> None:
    inside = next(line for line in PROJECT["optional-dependencies"]["test"] if line.startswith("multiemo["))
    by_download = {"presidio"}  # useless without language models that pip does not bring
    compiled = {"privacy"}  # needs a C compiler; its attacker is replaced in tests
    assert set(EXTRAS.values()) - by_download - compiled <= set(re.findall(r"\w+", inside))


def test_adapters_without_peft_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import nn

    from multiemo.encoders.common.lora import Lora, add_lora

    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r'encoders.text.lora needs peft: pip install "multiemo\[lora\]"'):
        add_lora(nn.Sequential(nn.Linear(2, 2)), Lora(), "encoders.text")


@pytest.mark.parametrize("module", ["sklearn", "librosa"])
def test_baselines_that_cannot_be_fitted_are_said_before_anything_is_trained(
    module: str, tiny_config, tmp_path: Path, cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    code, _, err = cli("benchmark", tiny_config(tmp_path, modalities=("text",)), "--out", tmp_path / "out")
    assert code == 2
    assert f'benchmark.baselines needs {module}: pip install "multiemo[benchmark]", or set' in err
    assert not (tmp_path / "out" / "cells").exists()


@pytest.mark.slow
@pytest.mark.parametrize("modalities", [("text",), ("text", "speech", "face")], ids=" ".join)
def test_the_demo_train_and_predict_work_without_any_extra(
    modalities: tuple[str, ...], tiny_config, small_corpus: Path, tmp_path: Path
) -> None:
    """In a process in which no module of an extra can be imported."""
    config = tiny_config(tmp_path, modalities=modalities, training="{epochs: 1, batch_size: 8}")
    clip = next((small_corpus.parent / "media").glob("*.mp4"))
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(','), None))\n"
        "from multiemo.cli import app\n"
        "config, run, clip = sys.argv[1:]\n"
        "for line in (f'train {config} --out {run}', f'evaluate {run}', f'predict {run} {clip} --text happy'):\n"
        "    app(line.split(), standalone_mode=False)\n"
        "import multiemo.demo, multiemo.predict.formats.folder, multiemo.predict.formats\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, ",".join(EXTRAS), config, str(tmp_path / "run"), str(clip)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "present: " in done.stdout


@pytest.mark.slow
def test_every_module_can_be_imported_without_any_extra() -> None:
    code = (
        "import importlib, pkgutil, sys\n"
        "sys.modules.update(dict.fromkeys(sys.argv[1].split(','), None))\n"
        "import multiemo\n"
        "for found in pkgutil.walk_packages(multiemo.__path__, 'multiemo.'):\n"
        "    if not found.name.endswith('__main__'):\n"
        "        importlib.import_module(found.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, ",".join(EXTRAS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
