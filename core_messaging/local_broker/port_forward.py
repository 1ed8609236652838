"""A second, chosen port for a broker that chooses its own: bytes go through unchanged.

Clients only knock here. The broker's answer names its own port, and that is where they go on.
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
    block_on_close = False  # a client that stays connected must not hold up the end

    def __init__(self, port: int, target: tuple[str, int]) -> None:
        self.target = target
        super().__init__((HOST, port), _Visit)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke is the client's to notice; nothing to print."""


class _Visit(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)  # noqa: S101 - the only server there is
        with socket.create_connection(self.server.target) as inside:
            back = threading.Thread(target=_carry, args=(inside, self.request), daemon=True)
            back.start()
            _carry(self.request, inside)
            back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(_CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        # One side is gone; the other one has to see that too, or its thread would wait for ever.
        for each in (source, sink):
            _hang_up(each)


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it was closed already


class Doorway:
    """Leads from ``127.0.0.1:port`` to *target* (``host:port``) while the ``with`` block lasts.

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
