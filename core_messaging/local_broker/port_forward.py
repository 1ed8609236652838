"""Forwards a chosen port to a broker that chooses its own port. Bytes go through unchanged.

Clients use the chosen port for their first request only. The broker's answer names its own port, and clients use that one
from then on.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from types import TracebackType
from typing import Self

from core_messaging.errors import PortInUse
from core_messaging.local_broker.ports import HOST

_CHUNK = 65_536


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False  # else a client that stays connected makes the end wait

    def __init__(self, port: int, target: tuple[str, int]) -> None:
        self.target = target
        super().__init__((HOST, port), _Connection)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing about a broken connection: the client notices it."""


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Copy bytes in both directions until both sides have closed."""
        assert isinstance(self.server, _Server)  # noqa: S101 - there is no other server
        with socket.create_connection(self.server.target) as broker:
            answers = threading.Thread(target=_copy, args=(broker, self.request), daemon=True)
            answers.start()
            _copy(self.request, broker)
            answers.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy bytes from *source* to *sink* until *source* is closed."""
    try:
        while data := source.recv(_CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        # One side is gone. The other connection is closed too, or its thread waits for ever.
        for each in (source, sink):
            _shut_down(each)


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it was closed already


class PortForward:
    """Forwards ``127.0.0.1:port`` to *target* (``host:port``) while the ``with`` block lasts.

    Raises PortInUse on entering.
    """

    def __init__(self, port: int, target: str) -> None:
        host, _, number = target.rpartition(":")
        self._port, self._target = port, (host, int(number))
        self.address = f"{HOST}:{port}"

    def __enter__(self) -> Self:
        try:
            self._server = _Server(self._port, self._target)
        except OSError as error:
            raise PortInUse(self._port) from error
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
