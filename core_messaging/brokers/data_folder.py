"""The folder a broker keeps its data in between runs: ours to use and to wipe, or not ours at all."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from core_messaging.errors import FolderInUse, FolderUnusable, ForeignFolder

MARKER = ".made-by-core-kafka-up"
_WORDS = "`core kafka up --engine apache` keeps its data here; `--reset` deletes the node-* folders beside this file.\n"


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Have *folder* for this process alone, made if need be.

    Raises ForeignFolder where it is a file, or holds something and we have not made it; FolderInUse where
    another process has it; FolderUnusable where we may not write.
    """
    marker = folder / MARKER
    with _claimed(folder, marker) as lock:
        # The kernel drops the lock with the process, however that ends: there is no stale lock.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FolderInUse(str(folder)) from error
        yield


def wipe(folder: Path) -> None:
    """Delete the brokers' data in a claimed folder, and nothing a person may have put beside it."""
    for node in folder.glob("node-*"):
        shutil.rmtree(node)


def _claimed(folder: Path, marker: Path) -> IO[str]:
    try:
        _make(folder, marker)
        return marker.open("a")
    except OSError as error:
        raise FolderUnusable(str(folder), str(error)) from error


def _make(folder: Path, marker: Path) -> None:
    if marker.is_file():
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ForeignFolder(str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text(_WORDS)
