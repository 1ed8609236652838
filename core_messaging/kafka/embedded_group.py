"""Adapts a member of a consumer group to the embedded broker.

The embedded broker is librdkafka's mock cluster; its cluster id shows that. Two things differ from Apache Kafka:

- A rebalance lasts as long as the session time-out of the members, less one second. With the usual 45 s, a worker that is
  started again waits that long. So the session time-out is 3 s at this broker.
- Where a group has a second member, the broker removes both from the group, again and again, and messages in progress are
  repeated each time. So a group may have one member only. The broker cannot tell who is in a group. A locked file on this
  machine does: the broker listens on this machine only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path
from typing import IO, Any

from core_messaging.errors import ConfigurationError, SecondMember
from core_messaging.kafka.cluster_identity import Cluster
from core_messaging.kafka.private_folder import open_private_folder, private_folder

SESSION_TIMEOUT, HEARTBEAT_INTERVAL = 3_000, 500  # milliseconds


def shorten_session(client: Any) -> None:
    """Shorten the session time-out of *client*, so that rebalances are short. Call it before *client* joins its group."""
    coordinator = client._coordinator  # noqa: SLF001 - the cluster is not known yet when the client is made
    coordinator._session_timeout_ms = min(coordinator._session_timeout_ms, SESSION_TIMEOUT)  # noqa: SLF001 - as above
    coordinator._heartbeat_interval_ms = min(coordinator._heartbeat_interval_ms, HEARTBEAT_INTERVAL)  # noqa: SLF001 - as above


class OnlyMember:
    """Locks the place of the one member of *group*, until ``release`` or until this process ends.

    Raises SecondMember while another member on this machine has it, ConfigurationError where the folder of the lock files
    cannot be used.
    """

    # A POSIX lock belongs to the whole process, so this set tells which locks it has. (A flock lock would be inherited by
    # each child that a handler forks, and such a child may live longer than this process.)
    _ours: set[Path] = set()  # noqa: RUF012 - the locks of this process

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
        """Release the lock. Safe to repeat."""
        file, self._file = self._file, None
        if file is not None:
            # The file is not removed: another process may have opened it, and would lock a file that no one else finds.
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
    """Return the folder of the lock files, which belongs to this user. Raises ConfigurationError if it cannot be used."""
    folder = private_folder()
    try:
        os.close(open_private_folder())
    except OSError as error:
        raise _unusable(folder, error.strerror or str(error)) from error
    return folder


def _unusable(folder: Path, cause: str) -> ConfigurationError:
    return ConfigurationError(
        f"the worker cannot use {folder}, where it notes who is in a group of the embedded broker ({cause}); "
        "set TMPDIR to another folder"
    )
