"""Asks a broker over a plain socket how many brokers of its cluster are alive, to find out when it is ready.

It uses no client library: a client retries and logs, and does not give one clear answer at once.
"""

from __future__ import annotations

import socket
import struct

# The Metadata request, version 1: every Apache Kafka (4.x included) and the embedded broker understand it.
_METADATA, _VERSION = 3, 1
_NO_TOPICS = 0
# Valid sizes of an answer in bytes. It has at least a correlation id and the number of brokers, and a cluster on loopback
# never answers with a megabyte.
_SIZES = range(8, 1_000_000)


def alive_brokers(address: str, timeout: float = 1.0) -> int:
    """Ask the broker at *address* (``host:port``) how many brokers of its cluster are alive.

    A broker that has started but is still fenced is not counted.

    Raises OSError where nothing answers within *timeout* seconds, or where the answer is not of the Kafka protocol.
    """
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout) as connection:
        connection.sendall(_metadata_request())
        (size,) = struct.unpack(">i", _exactly(connection, 4))
        if size not in _SIZES:
            raise ConnectionError(f"{address} does not speak Kafka")
        _correlation, brokers = struct.unpack(">ii", _exactly(connection, size)[:8])
    return int(brokers)


def _metadata_request() -> bytes:
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
