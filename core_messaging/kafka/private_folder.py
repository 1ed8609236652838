"""The folder of this user for files that are locked: which member of a group runs on this machine."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path

_OTHERS = 0o077  # permissions of the group and of all others


def private_folder() -> Path:
    """The path of the folder; ``open_private_folder`` makes it."""
    return Path(tempfile.gettempdir()) / f"core-messaging-{os.getuid()}"


def open_private_folder() -> int:
    """Return a descriptor of the folder, which belongs to this user and is open to nobody else.

    Raises OSError where it cannot be made, or where it is somebody else's, a symbolic link, or open to others.
    """
    path = private_folder()
    path.mkdir(mode=0o700, exist_ok=True)
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise OSError(errno.EPERM, "it is no folder of this user") from error
        raise
    found = os.fstat(folder)
    if found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & _OTHERS:
        return folder
    os.close(folder)
    if found.st_uid != os.getuid():
        raise OSError(errno.EPERM, "it is no folder of this user")
    raise OSError(errno.EPERM, "it is open to other users; chmod 700 closes it")
