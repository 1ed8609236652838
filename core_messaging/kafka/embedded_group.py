"""What a member of a consumer group minds at the embedded broker.

Its cluster is librdkafka's mock cluster, known by its id. Two things differ from Apache Kafka:

- A rebalance lasts as long as the members' session time-out, less a second. With the usual 45 s a worker that is started
  again waits that long, so here it is 3 s.
- A second member makes the broker throw out both, again and again, and what they work on is repeated each time. The broker
  cannot tell who is in a group, so a file on this machine does: the broker listens on this machine only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from aiokafka.protocol.metadata import MetadataRequest

from core_messaging.errors import ConfigurationError, SecondMember

SESSION_TIMEOUT, HEARTBEAT_INTERVAL = 3_000, 500  # milliseconds
_MOCK = "mockCluster"


@dataclass(frozen=True, slots=True)
class Cluster:
    """``name`` is the cluster's id, ``address`` is ``host:port`` of its first broker, as the cluster tells it."""

    name: str
    address: str

    @property
    def is_embedded(self) -> bool:
        return self.name.startswith(_MOCK)


async def cluster_of(client: Any) -> Cluster:
    """The cluster that *client*, a consumer of aiokafka that is started, has reached. Raises KafkaError."""
    network = client._client  # noqa: SLF001 - the client keeps the answer of its own question to itself
    answer = await network.send(network.get_random_node(), MetadataRequest([]))
    first = min(answer.brokers)
    return Cluster(getattr(answer, "cluster_id", None) or "", f"{first[1]}:{first[2]}")


def shorten_session(client: Any) -> None:
    """Let rebalances of the embedded broker be short. Before *client* joins its group."""
    coordinator = client._coordinator  # noqa: SLF001 - when the client is made, the cluster is not known yet
    coordinator._session_timeout_ms = min(coordinator._session_timeout_ms, SESSION_TIMEOUT)  # noqa: SLF001 - as above
    coordinator._heartbeat_interval_ms = min(coordinator._heartbeat_interval_ms, HEARTBEAT_INTERVAL)  # noqa: SLF001 - as above


class OnlyMember:
    """Holds the place of the one member of *group*; ``release`` gives it back, and so does the end of this process.

    Raises SecondMember while another member on this machine has it.
    """

    # A lock of POSIX belongs to the whole process. (One of flock would be inherited by every child that a handler forks,
    # and such a child may outlive us.)
    _ours: set[Path] = set()  # noqa: RUF012 - of this process, as the locks are

    def __init__(self, cluster: Cluster, group: str) -> None:
        name = hashlib.sha256(f"{cluster.name} {cluster.address} {group}".encode()).hexdigest()
        self._path = _folder() / name
        if self._path in self._ours:
            raise SecondMember(group, cluster.address)
        self._file = _locked(self._path)
        if self._file is None:
            raise SecondMember(group, cluster.address)
        self._ours.add(self._path)

    def release(self) -> None:
        """Safe to repeat."""
        file, self._file = self._file, None
        if file is not None:
            # Not removed: whoever is about to lock it would lock a file that no one else can find.
            file.close()
            self._ours.discard(self._path)


def _locked(path: Path) -> IO[bytes] | None:
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+b")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _folder() -> Path:
    """A folder of this user alone. Raises ConfigurationError where somebody else has made it."""
    folder = Path(tempfile.gettempdir()) / f"core-messaging-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise _unusable(folder, str(error)) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise _unusable(folder, "it belongs to somebody else")
    return folder


def _unusable(folder: Path, cause: str) -> ConfigurationError:
    return ConfigurationError(
        f"{folder} cannot say who is in a group of the embedded broker ({cause}); set TMPDIR to another folder"
    )
