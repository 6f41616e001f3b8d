"""The network: refused on request, whichever library asks, and not used by the libraries on their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from multiemo.network import is_local

#: A program that asks for a name and an address, and prints the errors.
_ASKS = """
import socket, urllib.request
import multiemo
from multiemo.errors import NetworkError
def attempt(call):
    try:
        call()
    except NetworkError as error:
        print(error)
    except OSError as error:
        print("system:", type(error).__name__)
attempt(lambda: urllib.request.urlopen("http://models.invalid/weights", timeout=2))
attempt(lambda: socket.create_connection(("192.0.2.1", 443), timeout=0.01))
attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 9)))
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), timeout=2).close()
print("this machine answers")
"""


def run(code: str, **variables: str) -> list[str]:
    """The lines that a program prints."""
    environment = {key: value for key, value in os.environ.items() if "OFFLINE" not in key and "WANDB" not in key}
    command, environment = [sys.executable, "-c", code], environment | variables
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def test_every_call_offline_is_an_error_that_names_what_was_asked_for():
    asked = ("models.invalid:80", "192.0.2.1:443", "192.0.2.1:9")
    *refused, last = run(_ASKS, MULTIEMO_OFFLINE="1")
    assert len(refused) == len(asked)
    for name, message in zip(asked, refused, strict=True):
        assert message.startswith(f"{name} was asked for over the network, and --offline or MULTIEMO_OFFLINE=1 forbids")
    assert last == "this machine answers"


def test_without_the_variable_nothing_is_refused():
    assert not any("forbids" in line for line in run(_ASKS, MULTIEMO_OFFLINE="0"))


def test_libraries_neither_report_nor_upload_nor_check_for_updates():
    code = (
        "import multiemo, os, huggingface_hub.constants as hub; "
        "print(hub.HF_HUB_DISABLE_TELEMETRY, hub.HF_HUB_OFFLINE, os.environ['WANDB_MODE'])"
    )
    assert run(code) == ["True False offline"]
    assert run(code, MULTIEMO_OFFLINE="yes", WANDB_MODE="online") == ["True True offline"]
    assert run(code, WANDB_MODE="online") == ["True False online"], "the user asked for it"


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_option_stands_before_and_after_a_command(place, cli, monkeypatch, tmp_path):
    for variable in ("MULTIEMO_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "WANDB_MODE"):
        monkeypatch.setenv(variable, "")
    command = ["validate", tmp_path / "none.jsonl"]
    cli(*(["--offline", *command] if place == "before" else [*command, "--offline"]))
    assert os.environ["MULTIEMO_OFFLINE"] == "1"


def test_an_address_within_the_loopback_block_is_local():
    assert is_local("127.255.0.1")
    assert is_local(b"localhost")
    assert not is_local("127.0.0.1.example.org")
