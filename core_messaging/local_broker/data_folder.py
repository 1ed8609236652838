"""The folder where a broker keeps its data between runs: locked, private, and never one that holds other files."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from core_messaging.errors import FolderInUse, FolderUnusable, ForeignFolder

_PRIVATE = 0o700
MARKER = ".made-by-core-kafka-up"
_MARKER_TEXT = "`core kafka up --engine apache` keeps its data here; `--reset` deletes the node-* folders beside this file.\n"


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Lock *folder* for this process inside the block; create it if it does not exist.

    Raises ForeignFolder where it is a file, or holds files and was not created by this function; FolderInUse where another
    process has locked it; FolderUnusable where this user cannot write there.
    """
    marker = folder / MARKER
    with _claimed(folder, marker) as lock:
        # The kernel releases the lock when the process ends, however it ends: there is no stale lock.
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FolderInUse(str(folder)) from error
        yield


def wipe(folder: Path) -> None:
    """Delete the data of brokers in a claimed folder, and no other file beside it.

    Where a folder of data is a symbolic link, only the link is deleted. Raises FolderUnusable.
    """
    try:
        for node in folder.glob("node-*"):
            if node.is_symlink() or not node.is_dir():
                node.unlink()
            else:
                shutil.rmtree(node)
    except OSError as error:
        raise FolderUnusable(str(folder), str(error)) from error


def private(folder: Path) -> None:
    """Create *folder* so that only this user can use it.

    A symbolic link in it could redirect what is written to another place. Raises FolderUnusable for such a link, and where
    the folder cannot be created.
    """
    try:
        folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        links = [folder] if folder.is_symlink() else _links_in(folder)
        if not links:
            folder.chmod(_PRIVATE)
    except OSError as error:
        raise FolderUnusable(str(folder), str(error)) from error
    if links:
        raise FolderUnusable(str(folder), f"{links[0]} is a symbolic link; remove it, or start with --reset")


def _links_in(folder: Path) -> list[Path]:
    return [
        Path(place, name)
        for place, folders, files in os.walk(folder)
        for name in (*folders, *files)
        if Path(place, name).is_symlink()
    ]


def write_private(file: Path, text: str) -> None:
    """Write a file that only this user can read. Raises OSError, also where *file* is a symbolic link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(file, flags, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)


def _claimed(folder: Path, marker: Path) -> IO[str]:
    try:
        _make(folder, marker)
        return os.fdopen(os.open(marker, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "w")
    except OSError as error:
        raise FolderUnusable(str(folder), str(error)) from error


def _make(folder: Path, marker: Path) -> None:
    _refuse_links(folder)
    if marker.is_file():
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ForeignFolder(str(folder))
    folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    write_private(marker, _MARKER_TEXT)


def _refuse_links(folder: Path) -> None:
    """Refuse a symbolic link, also as a parent below the current folder: a repository may hold a link called ``.core``."""
    parents = [] if folder.is_absolute() else [each for each in folder.parents if each != Path()]
    for each in (folder, *parents):
        if each.is_symlink():
            raise FolderUnusable(str(folder), f"{each} is a symbolic link; name the folder that it leads to")
