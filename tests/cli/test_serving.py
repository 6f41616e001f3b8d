"""The command serve, as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from multiemo import extras
from tests.support.paths import ROOT

#: The packages of the extra, which an installation may lack.
served = pytest.mark.skipif(find_spec("starlette") is None, reason='pip install "multiemo[serve]"')


@served
@pytest.mark.parametrize(("number", "code", "said"), [(signal.SIGINT, 0, "stopped\n"), (signal.SIGTERM, 143, "")])
def test_it_answers_until_it_is_stopped(tiny_run: Path, number: signal.Signals, code: int, said: str) -> None:
    command = [sys.executable, "-m", "multiemo", "serve", str(tiny_run), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert server.stdout is not None
        ready = server.stdout.readline()
        address = ready.split()[1]
        assert address.startswith("http://127.0.0.1:")
        request = urllib.request.Request(
            f"{address}/predict", b'{"text": "so happy"}', {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)["inputs"][0]["present"] == ["text"]
            assert answer.headers["server"] is None
        server.send_signal(number)
        _, errors = server.communicate(timeout=30)
    finally:
        server.kill()
    assert server.returncode == code
    assert errors.endswith(said)
    assert "Traceback" not in errors


def test_what_it_needs_is_named(
    cli: Callable[..., tuple[int, str, str]], tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, said = cli("serve", tmp_path)
    assert code != 0
    assert str(tmp_path) in said

    def missing(module: str) -> Any:
        raise ModuleNotFoundError(f"No module named {module!r}")

    monkeypatch.setattr(extras, "import_module", missing)
    code, _, said = cli("serve", tiny_run)
    assert (code, said) == (2, 'error: multiemo serve needs starlette: pip install "multiemo[serve]"\n')


@served
def test_other_machines_are_let_in_only_with_a_note(
    cli: Callable[..., tuple[int, str, str]], tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from starlette.testclient import TestClient

    import multiemo.serve

    answered: list[int] = []

    def run(app: Any, reserved: Any) -> None:
        reserved.close()
        client = TestClient(app, "http://model.example")
        answered.append(client.get("/health").status_code)

    monkeypatch.setattr(multiemo.serve, "run_server", run)
    code, _, said = cli("serve", tiny_run, "--host", "0.0.0.0", "--port", "0")
    assert code == 0
    assert "note: whoever can reach this address can use the model, without login or encryption" in said
    code, _, said = cli("serve", tiny_run, "--port", "0")
    assert (code, "note:" in said) == (0, False)
    assert answered == [200, 403]
