"""Fixtures that several tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers of pytest share the cores

import pytest

TINY = {
    "text": "{name: text_transformer, dim: 32, layers: 1, heads: 2, vocab_size: 600}",
    "speech": "{name: speech_prosody, width: 16, out_dim: 32}",
    "face": "{name: face_timm, backbone: mobilenetv3_small_050, size: 32, frames: 3, dim: 32}",
}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real corpora, or a skip."""
    folder = Path(os.environ.get("MULTIEMO_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real corpora are not at {folder}; set MULTIEMO_DATA to their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither read nor fill the user's cache."""
    os.environ["MULTIEMO_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of a small synthetic corpus: 6 speakers, 48 clips, real media files."""
    from multiemo.data.demo import make_corpus

    return make_corpus(tmp_path_factory.mktemp("corpus"), speakers=6, clips_per_speaker=8, seed=5)


@pytest.fixture(scope="session")
def tiny_config(small_corpus: Path) -> Callable[..., str]:
    """Writes a config of tiny encoders over the small corpus; keyword arguments are YAML lines."""

    def write(folder: Path, *, modalities: tuple[str, ...] = ("text", "speech", "face"), **lines: str) -> str:
        fused = [*modalities, "fuse"] if len(modalities) > 1 else list(modalities)
        keys = {
            "name": "tiny",
            "label_set": "demo5",
            "seed": "3",
            "device": "cpu",
            "data": f"{{manifest: '{small_corpus}', workers: 1, split: {{val: 0.3, test: 0.34, seed: 1}}}}",
            "encoders": "{" + ", ".join(f"{m}: {TINY[m]}" for m in modalities) + "}",
            **({"fusion": "{name: gated, dim: 16}"} if len(modalities) > 1 else {}),
            "stages": "[" + ", ".join(fused) + "]",
            "training": "{epochs: 2, batch_size: 8, lr: 1.0e-3}",
            **lines,
        }
        path = folder / "tiny.yaml"
        path.write_text("".join(f"{k}: {v}\n" for k, v in keys.items()), "utf-8")
        return str(path)

    return write


@pytest.fixture(scope="session")
def tiny_run(tiny_config: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over the small corpus, all three modalities."""
    from multiemo.build import train
    from multiemo.config import load_config

    folder = tmp_path_factory.mktemp("run")
    train(load_config(tiny_config(folder, dimensions="true")), folder / "run")
    return folder / "run"


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line in this process: its exit code, standard output and standard error.

    The JSON that it writes is held against its schema.
    """
    from multiemo.cli import main
    from tests.support.documents import check_documents

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["multiemo", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        said = capsys.readouterr()
        if code in (0, 1):
            check_documents([*map(str, arguments)], said.out)
        return code, said.out, said.err

    return call
