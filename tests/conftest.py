"""Fixtures that several tests share."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers of pytest share the cores
if shutil.which("nvidia-smi") is None:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # without a GPU, its kernels run on the CPU

import jsonschema
import pytest

from tests.support.paths import ROOT
from tests.support.progress import Counted

if TYPE_CHECKING:
    import numpy as np

    import multiemo

#: Pictures a second, and the seconds of silence after each clip of a film in which several people speak in turn.
FPS, PAUSE = 12, 1.6

TINY = {
    "text": "{name: text_transformer, dim: 32, layers: 1, heads: 2, vocab_size: 600}",
    "speech": "{name: speech_prosody, width: 16, out_dim: 32}",
    "face": "{name: face_timm, backbone: mobilenetv3_small_050, size: 32, frames: 3, dim: 32}",
}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real corpora, or a skip."""
    folder = Path(os.environ.get("MULTIEMO_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real corpora are not at {folder}; set MULTIEMO_DATA to their folder")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither read nor fill the user's cache. The notice about the law has been printed, as on most machines."""
    from multiemo.cli.common import NOTICE_STAMP

    folder = tmp_path_factory.mktemp("cache")
    (folder / NOTICE_STAMP).touch()
    os.environ["MULTIEMO_CACHE"] = str(folder)


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The manifest of a small synthetic corpus: 6 speakers, 48 clips, real media files. No test may write beside it."""
    from multiemo.synthetic import make_corpus

    manifest = make_corpus(tmp_path_factory.mktemp("corpus"), speakers=6, clips_per_speaker=8, seed=5)
    made = set(manifest.parent.rglob("*"))
    yield manifest
    assert set(manifest.parent.rglob("*")) == made, "a test has written into the folder of the corpus that tests share"


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
            "recipes": "{}",
            **lines,
        }
        path = folder / "tiny.yaml"
        path.write_text("".join(f"{k}: {v}\n" for k, v in keys.items()), "utf-8")
        return str(path)

    return write


@pytest.fixture(scope="session")
def tiny_run(tiny_config: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over the small corpus, all three modalities."""
    from multiemo.config import load_config
    from multiemo.runs import train

    folder = tmp_path_factory.mktemp("run")
    train(load_config(tiny_config(folder, dimensions="true")), folder / "run")
    return folder / "run"


@pytest.fixture(scope="session")
def resting_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of feature vectors of people who differ more at rest than between emotions."""
    from tests.support.resting_faces import write_corpus

    return write_corpus(tmp_path_factory.mktemp("resting"))


@pytest.fixture(scope="session")
def resting_run(resting_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over that corpus, whose encoder normalises speakers."""
    from multiemo.runs import train
    from tests.support.resting_faces import config

    folder = tmp_path_factory.mktemp("resting") / "run"
    train(config(resting_corpus), folder)
    return folder


@pytest.fixture(scope="session")
def conforms() -> Callable[[object, type], None]:
    """Holds what was written, a value or the path of a JSON or JSON Lines file, against the schema of its record."""
    from multiemo.records import json_schema_of

    def check(written: object, kind: type) -> None:
        validator = jsonschema.Draft202012Validator(json_schema_of(kind))
        text = written.read_text("utf-8") if isinstance(written, Path) else json.dumps(written, allow_nan=False)
        lines = isinstance(written, Path) and written.suffix == ".jsonl"
        values = [json.loads(part) for part in (text.splitlines() if lines else [text])]
        assert values
        for value in values:
            validator.validate(value)

    return check


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


@pytest.fixture
def counted() -> Counted:
    """To be told how far a call is."""
    return Counted()


@pytest.fixture(scope="session")
def talk(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five clips of the small corpus, one after the other, a pause after each: about twenty seconds."""
    import numpy as np

    from multiemo.data.manifest.reading import read_manifest
    from multiemo.media.reading import read_media
    from tests.support.media_files import VOICE_RATE, film

    clips = [c for c in read_manifest(small_corpus) if c.video]
    pictures: list[np.ndarray] = []
    sounds: list[np.ndarray] = []
    for clip in clips:
        media = read_media(small_corpus.parent / str(clip.video), rate=VOICE_RATE, fps=FPS)
        if media.audio is None or media.frames is None or (pictures and media.frames[0].shape != pictures[0].shape):
            continue
        count = round((media.duration + PAUSE) * FPS)
        shown = np.searchsorted(media.times, np.arange(count) / FPS, side="right") - 1
        pictures += [media.frames[max(i, 0)] for i in shown]
        sounds.append(np.resize(np.pad(media.audio, (0, VOICE_RATE * 10)), round(count / FPS * VOICE_RATE)))
        if len(sounds) == 5:
            break
    assert len(sounds) == 5
    return film(tmp_path_factory.mktemp("talk") / "talk.mp4", pictures, np.concatenate(sounds))


@pytest.fixture(scope="session")
def model(tiny_run: Path) -> multiemo.Predictor:
    """The tiny model."""
    import multiemo

    return multiemo.load(tiny_run)


@pytest.fixture(scope="session")
def pair(model: multiemo.Predictor, small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of two people side by side, without sound."""
    import numpy as np

    from multiemo.data.manifest.reading import read_manifest
    from multiemo.media.reading import read_media
    from tests.support.media_files import film

    for clip in read_manifest(small_corpus):
        path = small_corpus.parent / str(clip.video)
        if clip.video and "face" in model.predict(path)["present"]:
            break
    pictures = read_media(path, fps=FPS).frames
    assert pictures is not None
    both = [np.hstack([picture, picture[:, ::-1]]) for picture in pictures[:FPS]]
    return film(tmp_path_factory.mktemp("pair") / "pair.mp4", both * 3, None)
