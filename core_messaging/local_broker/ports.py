"""Ports on loopback for broker processes."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from core_messaging.errors import PortInUse

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """*count* different ports nobody listens on right now.

    Nothing keeps another process from taking one before its broker does; whoever starts the broker sees
    that as a failed start and tries again.
    """
    with ExitStack() as stack:
        # All are held at once, so that none is given twice.
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def require_free(port: int) -> None:
    """Raises PortInUse where somebody listens on *port* already."""
    with socket.socket() as attempt:
        # As servers do it: a port whose last user has just closed its connections is free.
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HOST, port))
        except OSError as error:
            raise PortInUse(port) from error
