"""Ports on loopback for broker processes."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from core_messaging.errors import PortInUse

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return *count* different ports on which no process listens at the moment.

    Another process may take one of them before the broker does. Then the broker fails to start, and the caller tries again
    with other ports.
    """
    with ExitStack() as stack:
        # All ports are bound at the same time, so none is returned twice.
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def require_free(port: int) -> None:
    """Raise PortInUse if a process listens on *port*."""
    with socket.socket() as attempt:
        # As servers do: with this option, a port is free as soon as its last user has closed its connections.
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HOST, port))
        except OSError as error:
            raise PortInUse(port) from error
