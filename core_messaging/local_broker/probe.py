"""One plain Kafka question over a socket: is a broker there, and how many of its cluster are alive?

Used to know when a broker that was just started is ready. No client library: a client would retry, log and
hide what is needed here, which is one clear answer now.
"""

from __future__ import annotations

import socket
import struct

# Metadata, version 1: understood by every Apache Kafka (4.x included) and by the mock cluster.
_METADATA, _VERSION = 3, 1
_NO_TOPICS = 0
# Correlation id and number of brokers at least; a cluster on loopback never answers with a megabyte.
_SIZES = range(8, 1_000_000)


def alive_brokers(address: str, timeout: float = 1.0) -> int:
    """How many brokers the one at *address* (``host:port``) counts as alive in its cluster.

    A broker that has started but may not serve yet (it is fenced) is not counted. Raises OSError where
    nothing answers within *timeout* seconds, or where what answers does not speak Kafka.
    """
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout) as connection:
        connection.sendall(_question())
        (size,) = struct.unpack(">i", _exactly(connection, 4))
        if size not in _SIZES:
            raise ConnectionError(f"{address} does not speak Kafka")
        _correlation, brokers = struct.unpack(">ii", _exactly(connection, size)[:8])
    return int(brokers)


def _question() -> bytes:
    client = b"core-messaging-probe"
    header = struct.pack(">hhih", _METADATA, _VERSION, 1, len(client)) + client
    body = struct.pack(">i", _NO_TOPICS)
    return struct.pack(">i", len(header) + len(body)) + header + body


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise ConnectionError("the broker closed the connection in the middle of an answer")
        data += chunk
    return data
