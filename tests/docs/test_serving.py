"""The service of docs/serving.md runs as it stands, and several threads of a service get the model's own answers."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import multiemo
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "serving.md").read_text("utf-8")


def test_the_service_answers_as_the_model_does(
    tiny_run: Path, small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/demo").symlink_to(tiny_run)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SERVICE_TOKEN", "secret")
    _, block = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "docs"}
    exec(block, names)
    films = sorted(small_corpus.parent.rglob("*.mp4"))[:2]
    with TestClient(names["app"]) as client:
        assert client.post("/predict", json={"text": "so happy"}).status_code == 401
        client.headers["authorization"] = "Bearer secret"

        def ask(film: Path) -> Any:
            with film.open("rb") as file:
                answer = client.post("/predict", files={"file": (film.name, file)}, data={"text": "so happy"})
            assert answer.status_code == 200, answer.text
            return answer.json()["inputs"][0]

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(ask, films * 4))
    model = multiemo.load(tiny_run)
    alone = [model.predict(film, text="so happy") for film in films]
    for expected, answer in zip(alone * 4, answers, strict=True):
        assert answer["present"] == expected["present"]
        (segment,), (own,) = answer["segments"], expected["segments"]
        assert segment["label"] == own["label"]
        # a thread may use another number of cores, which changes the last digits
        assert segment["probs"] == pytest.approx(own["probs"], abs=1e-4)
