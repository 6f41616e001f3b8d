"""The service answers as the model does, refuses what it should, and keeps nothing."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import multiemo
from multiemo.errors import DefectError, MediaError
from multiemo.predict.prediction import Prediction
from multiemo.serve import create_app
from tests.support.documents import check_record

LOCAL = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def model(tiny_run: Path) -> Any:
    return multiemo.load(tiny_run)


@pytest.fixture
def client(model: Any) -> TestClient:
    return TestClient(create_app(model, notice="<notice>"), LOCAL)


@pytest.fixture
def film(small_corpus: Path) -> Path:
    return min(small_corpus.parent.rglob("*.mp4"))


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of temporary files, in which nothing may be left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert not list(tmp_path.iterdir())


class Stand:
    """A model that does what it is told, in place of one that reads media."""

    def __init__(self, act: Any) -> None:
        self.act = act

    def describe(self) -> dict[str, Any]:
        return {"name": "stand", "modalities": ["text"], "labels": ["a"]}

    def predict_item(self, item: Any) -> Any:
        return self.act(item)


def told(act: Any, **options: Any) -> TestClient:
    return TestClient(create_app(Stand(act), **options), LOCAL)  # type: ignore[arg-type]


def raising(error: Exception) -> Any:
    def act(_: Any) -> Any:
        raise error

    return act


def test_a_film_is_predicted_as_by_the_model(client: TestClient, model: Any, film: Path, uploads: Path) -> None:
    with film.open("rb") as file:
        answer = client.post("/predict", files={"file": (r"C:\clips\mine.mp4", file)}, data={"text": "so happy"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    check_record(Prediction.from_json(found))
    (entry,) = found["inputs"]
    expected = json.loads(json.dumps(model.predict(film, text="so happy")))
    assert entry.pop("input") == "mine.mp4"
    expected.pop("input")
    assert entry == expected
    assert found["model"] == json.loads(json.dumps(model.describe()))


#: What a browser sends if no file was chosen.
NO_FILE = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n'
    b'\r\n--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nso happy\r\n--b--\r\n'
)


@pytest.mark.parametrize(
    "request_",
    [
        {"content": NO_FILE, "headers": {"content-type": "multipart/form-data; boundary=b"}},
        {"files": {"text": (None, "so happy")}},
        {"json": {"text": "so happy"}},
    ],
)
def test_a_text_alone_is_predicted(client: TestClient, model: Any, request_: dict[str, Any]) -> None:
    answer = client.post("/predict", **request_)
    assert answer.status_code == 200, answer.text
    (entry,) = answer.json()["inputs"]
    assert entry["present"] == ["text"]
    assert entry["segments"] == json.loads(json.dumps(model.predict(text="so happy")))["segments"]


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"content": b"x"}, 415, "send multipart/form-data with"),
        ({"json": {"text": 1}}, 400, "and nothing else"),
        ({"json": {"text": "a", "file": "/etc/passwd"}}, 400, "and nothing else"),
        ({"json": ["text"]}, 400, "and nothing else"),
        ({"content": b'{"text"', "headers": {"content-type": "application/json"}}, 400, "the body is not JSON"),
        ({"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}, 400, "the body is not JSON"),
        ({"json": {"text": "a" * 1_000_001}}, 413, "the text is longer than 1000000 characters"),
        ({"data": {"txt": "a"}, "files": {"file": b"x"}}, 400, "unknown parts of the form: txt"),
        ({"data": {"text": ""}, "files": {"file": ("", b"")}}, 400, "nothing to predict"),
        ({"files": {"text": ("a.txt", b"x")}}, 400, "as a file and"),
        ({"files": {"a": b""}, "data": {"file": "/etc/passwd"}}, 400, "unknown parts of the form: a"),
        ({"files": {"file": (None, "/etc/passwd")}}, 400, "as a file and"),
        ({"files": [("file", b"x"), ("file", b"y")]}, 400, "Too many files"),
        ({"files": {"file": ("a.mp4", b"no film")}}, 422, "a.mp4: is not a media file but text"),
        ({"files": {"file": ("../../a.mp4", b"")}}, 422, "a.mp4: is empty"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
    ],
)  # fmt: skip
def test_bad_requests_are_refused_with_a_reason(
    client: TestClient, request_: dict[str, Any], status: int, message: str, uploads: Path
) -> None:
    answer = client.post("/predict", **request_)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert message in answer.json()["error"]
    assert str(uploads) not in answer.text, "the caller learns nothing about this machine"
    assert "../" not in answer.text


def test_a_request_that_is_too_large_is_refused(model: Any, film: Path, uploads: Path) -> None:
    client = TestClient(create_app(model, most_mb=0.01), LOCAL)
    large = b"x" * 2_000_000
    stated = client.post("/predict", files={"file": ("a.mp4", large)})
    chunked = client.post(
        "/predict", content=(large[:5000] for _ in range(9)), headers={"content-type": "application/json"}
    )
    for answer in (stated, chunked):
        assert (answer.status_code, answer.json()) == (413, {"error": "the request is larger than 0.01 MB"})
    bad = client.post("/predict", content=b"", headers={"content-length": "-1"})
    assert bad.status_code == 413


@pytest.mark.parametrize(
    ("headers", "local_only", "status"),
    [
        ({"host": "localhost:8000"}, True, 200),
        ({"host": "[::1]:8000"}, True, 200),
        ({"host": "model.example"}, True, 403),  # a name that another site points here
        ({"host": "model.example"}, False, 200),
        ({"host": "model.example", "origin": "https://model.example"}, False, 200),
        ({"host": "localhost:8000", "origin": "http://evil.example"}, True, 403),
        ({"host": "localhost:8000", "origin": "http://localhost:9999"}, True, 403),
        ({"host": "localhost:8000", "origin": "null"}, True, 403),
        ({"host": "[::1"}, True, 403),
    ],
)
def test_only_callers_of_this_machine_and_this_page_are_answered(
    model: Any, headers: dict[str, str], local_only: bool, status: int
) -> None:
    client = TestClient(create_app(model, local_only=local_only), LOCAL)
    assert client.post("/predict", json={"text": "so happy"}, headers=headers).status_code == status
    assert client.get("/model", headers=headers).status_code == status


def test_defects_and_bad_media_have_different_codes() -> None:
    sent = {"json": {"text": "a"}}
    answer = told(raising(MediaError("a: is broken"))).post("/predict", **sent)
    assert (answer.status_code, answer.json()) == (422, {"error": "a: is broken"})
    assert told(raising(DefectError("a: ?"))).post("/predict", **sent).status_code == 500


def test_at_most_so_many_are_predicted_and_wait() -> None:
    running, most = 0, 0
    lock, go = threading.Lock(), threading.Event()

    def act(_: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        go.wait(20)
        with lock:
            running -= 1
        raise MediaError("done")

    with told(act, at_once=2) as client, ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(client.post, "/predict", json={"text": "a"}) for _ in range(24)]
        early = list(islice(as_completed(asked, timeout=30), 6))  # all others run or wait
        go.set()
        codes = [a.result().status_code for a in asked]
    refused = early[0].result()
    assert refused.json() == {"error": "too many requests are waiting; try again later"}
    assert refused.headers["retry-after"] == "5"
    assert most == 2
    assert sorted(codes) == [422] * 18 + [503] * 6


def test_the_page_runs_its_own_script_only_and_escapes(client: TestClient, model: Any) -> None:
    first, second = client.get("/"), client.get("/")
    policy = first.headers["content-security-policy"]
    nonce = policy.split("'nonce-")[1].split("'")[0]
    assert first.text.count(f'nonce="{nonce}"') == 2
    assert nonce not in second.text
    assert "default-src 'none'" in policy
    assert "&lt;notice&gt;" in first.text
    assert "innerHTML" not in first.text
    assert first.headers["cache-control"] == "no-store"
    assert model.describe().labels[0] in first.text
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/docs").status_code == 404
