"""Runs the service."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from multiemo.errors import ConfigError, MultiemoError

if TYPE_CHECKING:
    from starlette.applications import Starlette


def bind(host: str, port: int) -> socket.socket:
    """Reserve a port; callers wait from then on until the service runs.

    Args:
        host: name or address of this machine.
        port: number of the port; 0 takes a free one.

    Raises:
        ConfigError: the address is not one of this machine.
        MultiemoError: the port is in use, or it needs more rights.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigError(f"--host: {host!r} is not an address of this machine ({error.strerror})") from None
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(address)
        made.listen(128)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise MultiemoError(f"port {port} of {host} is in use; choose another with --port") from None
        if error.errno == errno.EACCES:
            raise MultiemoError(f"port {port} needs more rights; choose one above 1023 with --port") from None
        raise ConfigError(f"--host: {host!r} is not an address of this machine ({error.strerror})") from None
    return made


def run_server(app: Starlette, reserved: socket.socket) -> None:
    """Answer requests until Ctrl-C or SIGTERM; requests that have begun are answered first.

    Args:
        app: the service.
        reserved: from :func:`bind`.
    """
    import uvicorn

    # No log of requests: addresses of callers are theirs. No header that names the server.
    settings = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, ws="none")
    uvicorn.Server(settings).run(sockets=[reserved])
