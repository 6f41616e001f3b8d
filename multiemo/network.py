"""Keeps this process off the network: ``--offline`` or ``MULTIEMO_OFFLINE=1``, and no telemetry of libraries.

Offline, an audit hook of Python refuses every connection to another machine and every look-up of its name, whichever
library asks for it. Connections inside this machine (loopback addresses, Unix sockets) are allowed, because worker
processes talk through them. Native code that opens sockets by itself is beyond an audit hook; the libraries that have
such code are switched off by their own settings: the hub client, Weights & Biases and MLflow.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from multiemo.errors import NetworkError

#: The environment variable that forbids the network. Child processes inherit it.
VARIABLE = "MULTIEMO_OFFLINE"
_TRUE = {"1", "true", "yes", "on"}
#: Environment variables by which libraries work without the network.
_OFFLINE_SETTINGS = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
#: Environment variables that switch telemetry, update checks and uploads of libraries off. Values that the user has
#: set take precedence.
_QUIET_SETTINGS = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "DISABLE_TELEMETRY": "YES",  # earlier versions of the hub client
    "WANDB_MODE": "offline",
    "WANDB_ERROR_REPORTING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}
#: Audit events of Python's socket module before a packet leaves.
_CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_LOOKUPS = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
_state = {"hooked": False}


def offline() -> bool:
    """Whether the user has forbidden the network, by ``--offline`` or ``MULTIEMO_OFFLINE=1``."""
    return is_set(VARIABLE)


def is_set(variable: str) -> bool:
    """Whether an environment variable is switched on: ``1``, ``true``, ``yes`` or ``on``."""
    return os.environ.get(variable, "").strip().lower() in _TRUE


def stay_offline() -> None:
    """Forbid the network in this process and in the processes that it starts."""
    os.environ[VARIABLE] = "1"
    apply()


def apply() -> None:
    """Switch telemetry off and, if the user has forbidden the network, refuse it from now on.

    Importing multiemo calls this. Libraries read the variables when they are imported, so it comes before them.
    """
    for name, value in _QUIET_SETTINGS.items():
        os.environ.setdefault(name, value)
    if not offline():
        return
    os.environ.update(_OFFLINE_SETTINGS)
    if os.environ.get("WANDB_MODE") not in ("offline", "disabled"):
        os.environ["WANDB_MODE"] = "offline"
    if not _state["hooked"]:
        sys.addaudithook(_refuse)
        _state["hooked"] = True


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook. It cannot be removed, so it asks each time whether the network is still forbidden."""
    if event in _CONNECTS:
        address = arguments[1]
        if not isinstance(address, tuple) or not address or is_local(address[0]):
            return  # a Unix socket, or a socket that is already connected
        asked = f"{address[0]}:{address[1]}"
    elif event in _LOOKUPS:
        if is_local(arguments[0]):
            return
        port = arguments[1] if len(arguments) > 1 else None
        asked = _text(arguments[0]) + (f":{_text(port)}" if port else "")
    else:
        return
    if offline():
        raise NetworkError(
            f"{asked} was asked for over the network, and --offline or {VARIABLE}=1 forbids every such call; give "
            "local files and folders, or allow the network"
        )


def is_local(host: object) -> bool:
    """Whether a host is this machine: no name, ``localhost``, a loopback address or the address of no machine.

    Example:
        >>> [is_local(host) for host in (None, "localhost", "127.0.0.1", "::1", "0.0.0.0", "10.0.0.1", "example.org")]
        [True, True, True, True, True, False, False]
    """
    name = "" if host is None else _text(host)
    if name in ("", "localhost"):
        return True
    from ipaddress import ip_address

    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _text(host: object) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
