"""Everything works with the sockets blocked, and nothing so much as tries to use one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Loaded by every Python process of a command: records and refuses whatever would leave this machine.
_BLOCK = """
import os, socket

def _blocked(name, host_of):
    original = getattr(socket.socket, name, None) or getattr(socket, name)
    def call(*arguments, **options):
        host = host_of(arguments)
        if host not in (None, "", "localhost", "127.0.0.1", "::1", b"localhost"):
            with open(os.environ["BLOCKED_CALLS"], "a") as file:
                file.write(f"{name} {host}\\n")
            raise OSError(f"{name} {host}: blocked")
        return original(*arguments, **options)
    return call

def _address(arguments):
    return arguments[-1][0] if isinstance(arguments[-1], tuple) else None

for _name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, _name, _blocked(_name, _address))
for _name in ("getaddrinfo", "gethostbyname"):
    setattr(socket, _name, _blocked(_name, lambda arguments: arguments[0]))
"""


@pytest.fixture
def blocked(tmp_path):
    """Runs a program without a network; returns its exit code and output, and the calls that it attempted."""
    (tmp_path / "sitecustomize.py").write_text(_BLOCK, "utf-8")
    calls = tmp_path / "calls.txt"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "BLOCKED_CALLS": str(calls),
        "MULTIEMO_CACHE": str(tmp_path / "cache"),
        "XDG_CACHE_HOME": str(tmp_path / "home"),
    }

    def run(*arguments: object) -> tuple[int, str, list[str]]:
        done = subprocess.run(
            [sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=600
        )
        return done.returncode, done.stdout + done.stderr, calls.read_text().splitlines() if calls.exists() else []

    return run


def test_the_block_works(blocked):
    code, output, calls = blocked("-c", "import urllib.request; urllib.request.urlopen('http://models.invalid')")
    assert code == 1
    assert "blocked" in output
    assert calls == ["getaddrinfo models.invalid"]


@pytest.mark.slow
def test_every_step_works_without_a_network_and_asks_for_none(blocked, tiny_config, small_corpus, tmp_path):
    config, run = tiny_config(tmp_path), tmp_path / "run"
    film = next(Path(small_corpus).parent.rglob("*.mp4"))
    for command in (
        ["train", config, "--out", run],
        ["evaluate", run],
        ["predict", run, film, "--text", "I am so happy", "--json", tmp_path / "p.json"],
        ["explain", run, film, "--text", "I am so happy", "--out", tmp_path / "why.html"],
        ["explain", run, "--global"],
        ["benchmark", config, "training.epochs=1", "--folds", "2", "--seeds", "1", "--out", tmp_path / "bench"],
        ["demo", *(f"per_stage.{s}.epochs=1" for s in ("text", "speech", "face", "fuse")), "--out", tmp_path / "demo"],
    ):
        code, output, calls = blocked("-m", "multiemo", *command)
        assert code == 0, f"{command}: {output}"
        assert calls == [], command
