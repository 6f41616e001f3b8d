"""The service of docs/serving.md runs as it stands, with the port replaced."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import multiemo
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "serving.md").read_text("utf-8")


def test_the_service_answers_as_the_model_does(
    tiny_run: Path, small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/demo").symlink_to(tiny_run)
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "docs"}
    exec(block.replace("8000", "0"), names)
    server = names["server"]
    names["Service"].log_message = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    films = sorted(small_corpus.parent.rglob("*.mp4"))[:2]

    def ask(body: bytes) -> tuple[int, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{server.server_port}", body, {"X-Words": "so happy"})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    try:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(ask, [film.read_bytes() for film in films] * 4))
        model = multiemo.load(tiny_run)
        alone = [model.predict(film, text="so happy") for film in films]
        for expected, (status, answer) in zip(alone * 4, answers, strict=True):
            assert status == 200
            assert answer["present"] == expected["present"]
            (segment,), (own,) = answer["segments"], expected["segments"]
            assert segment["label"] == own["label"]
            # a thread may use another number of cores, which changes the last digits
            assert segment["probs"] == pytest.approx(own["probs"], abs=1e-4)
        status, answer = ask(b"no film")
        assert status == 422
        assert "is not a media file but text" in answer["error"]
        assert ask(b"")[0] == 413
    finally:
        server.shutdown()
        server.server_close()
