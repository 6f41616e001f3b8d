"""Ports that can and cannot be had."""

from __future__ import annotations

import socket

import pytest

from multiemo.errors import ConfigError, MultiemoError
from multiemo.serve import bind


def test_a_free_port_is_reserved() -> None:
    with bind("127.0.0.1", 0) as reserved:
        port = reserved.getsockname()[1]
        assert port > 0
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        with pytest.raises(MultiemoError, match=rf"^port {port} of localhost is in use; choose another with --port$"):
            bind("localhost", port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=rf"^--host: '{host}' is not an address of this machine"):
        bind(host, 0)


def test_a_port_that_needs_more_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(MultiemoError, match=r"^port 80 needs more rights; choose one above 1023 with --port$"):
        bind("127.0.0.1", 80)
