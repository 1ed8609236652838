"""The places of the members of consumer groups on this machine: numbered files, each locked by the member that has it.

A member takes the lowest free place of its group and notes its member id there. The lock ends with the process, however
that ends. So a place that is free and has a note was that of a member that is dead.

The lock is a POSIX lock (``lockf``): a child that a handler forks does not inherit it. Two things follow. It does not
conflict inside one process, and it is dropped as soon as this process closes any descriptor of the file. So one registry
knows all places of this process, and never opens the file of a place that it has.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from core_messaging.kafka.private_folder import open_private_folder
from core_messaging.rules.dead_member import LARGEST, Origin, dead_member, encode_note

MOST = 1_000  # places of one group on one machine
_REFRESH = 3600.0  # seconds between two changes of the time of a file, which tell a cleaner that it is in use
_STALE = 86_400.0  # seconds after which the note of a dead member is of no use: no session is as long
_TRIES = 20  # to lock a file that others remove at the same time
_PREFIX = "member-"  # of all files of places
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux; no note is valid elsewhere

logger = logging.getLogger("core_messaging.kafka")


class Group(NamedTuple):
    """A consumer group of a cluster: ``cluster`` is the id of the cluster."""

    cluster: str
    name: str

    @property
    def prefix(self) -> str:
        """How the files of this group begin. The host is in it: a shared folder has places for each machine."""
        text = f"{self.cluster}\0{self.name}\0{socket.gethostname()}"
        return f"{_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:32]}-"


class Place:
    """One place of a group, locked until ``release``. Its methods raise nothing: without a note, the session time-out decides."""

    def __init__(self, registry: MemberPlaces, name: str, number: int, file: int, group: Group) -> None:
        self._registry = registry
        self._name = name
        self._file: int | None = file
        self._process = os.getpid()
        self._refreshed = time.monotonic()
        found = os.fstat(file)
        self.number = number
        self.origin = Origin(
            group.cluster, group.name, boot_id(), socket.gethostname(), f"{found.st_dev}:{found.st_ino}"
        )

    def dead_member(self) -> str | None:
        """The id of the member that had this place and is dead; None: there is none, or nobody can tell."""
        try:
            return dead_member(os.pread(self._mine(), LARGEST + 1, 0), self.origin)
        except OSError as error:
            logger.debug("the note of place %d cannot be read: %s", self.number, error)
            return None

    def note(self, member_id: str) -> None:
        """Write down who has this place now."""
        self._write(encode_note(self.origin, member_id))

    def refresh(self) -> None:
        """Let no cleaner of old files remove the file."""
        if time.monotonic() - self._refreshed >= _REFRESH:
            self._refreshed = time.monotonic()
            try:
                os.utime(self._mine())
            except OSError as error:
                logger.debug("the file of place %d was not refreshed: %s", self.number, error)

    def clear(self) -> None:
        """The member has left its group: nobody has to say so for it."""
        self._write(b"")

    def _write(self, data: bytes) -> None:
        try:
            file = self._mine()
            os.ftruncate(file, 0)  # first: half of an old note and half of a new one must not be one
            os.pwrite(file, data, 0)
        except OSError as error:
            logger.debug(
                "place %d has no note (%s); if this process dies, its partitions wait for kafka_session_timeout",
                self.number,
                error,
            )

    def _mine(self) -> int:
        """The descriptor. Raises OSError where it is released, or where this is a forked child, which does not have the lock."""
        if self._file is None or self._process != os.getpid():
            raise OSError("this process does not have the place")
        return self._file

    def release(self) -> None:
        """Give the place free, with its note if it has one. Safe to repeat."""
        file, self._file = self._file, None
        if file is not None and self._process == os.getpid():
            self._registry.give_free(self._name, file)


class MemberPlaces:
    """All places of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # workers may run on several event loops
        self._ours: set[str] = set()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """A forked child has none of the locks."""
        self._lock, self._ours = threading.Lock(), set()

    def take(self, group: Group) -> Place | None:
        """Take the lowest free place. None where the folder or its files cannot be used: then it is as if nobody were here."""
        if not boot_id():
            logger.debug("this system does not tell when it has started; nobody is declared dead on it")
            return None
        try:
            with self._lock, _folder() as folder:
                for number in range(1, MOST + 1):
                    if (place := self._place(folder, group, number, os.O_CREAT)) is not None:
                        return place
        except OSError as error:
            logger.debug("no place for a member of group %s is noted on this machine: %s", group.name, error)
        return None

    def abandoned(self, group: Group) -> list[Place]:
        """Take all places that nobody has and that have a note. Release each of them."""
        try:
            with self._lock, _folder() as folder:
                free = [self._free_place(folder, group, number) for number in _numbers(folder, group.prefix)]
                self._remove_stale(folder)
        except OSError as error:
            logger.debug("dead members of group %s are not looked for on this machine: %s", group.name, error)
            return []
        return [place for place in free if place is not None]

    def _remove_stale(self, folder: int) -> None:
        """Remove the files of members that died long ago, in groups that nobody has joined here since."""
        try:
            for name in _stale(folder):
                if name not in self._ours and (file := _locked(folder, name, 0)) is not None:
                    with os.fdopen(file):
                        os.unlink(name, dir_fd=folder)
        except OSError as error:
            logger.debug("files of members that died long ago stay: %s", error)

    def _free_place(self, folder: int, group: Group, number: int) -> Place | None:
        try:
            return self._place(folder, group, number)
        except OSError as error:
            logger.debug("place %d of group %s cannot be looked at: %s", number, group.name, error)
            return None

    def _place(self, folder: int, group: Group, number: int, flags: int = 0) -> Place | None:
        """Lock the place; None if somebody has it. Raises OSError where its file cannot be used."""
        name = f"{group.prefix}{number}"
        file = None if name in self._ours else _locked(folder, name, flags)
        if file is None:
            return None
        self._ours.add(name)
        return Place(self, name, number, file, group)

    def give_free(self, name: str, file: int) -> None:
        """For ``Place.release``: remove the file *name* if it has no note, and unlock it."""
        with self._lock:
            try:
                if os.fstat(file).st_size == 0:
                    with _folder() as folder:
                        os.unlink(name, dir_fd=folder)
            except OSError as error:
                logger.debug("the file of a place stays: %s", error)
            finally:
                os.close(file)
                self._ours.discard(name)


PLACES = MemberPlaces()


@cache
def boot_id() -> str:
    """The id of this run of the machine; empty where the system does not tell it."""
    try:
        return _BOOT_ID.read_text().strip()
    except (OSError, ValueError):
        return ""


@contextmanager
def _folder() -> Iterator[int]:
    folder = open_private_folder()
    try:
        yield folder
    finally:
        os.close(folder)


def _stale(folder: int) -> list[str]:
    """The files of places that nobody has changed for long. That of a living member is refreshed."""
    before = time.time() - _STALE
    with os.scandir(folder) as entries:
        return [
            entry.name for entry in entries if entry.name.startswith(_PREFIX) and _is_older(entry, before)
        ]


def _is_older(entry: os.DirEntry[str], before: float) -> bool:
    try:
        return entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < before
    except FileNotFoundError:
        return False  # its member has just left


def _numbers(folder: int, prefix: str) -> list[int]:
    """The places whose file is not empty."""
    found = []
    for name in os.listdir(folder):
        number = name.removeprefix(prefix)
        if name.startswith(prefix) and number.isdecimal():
            try:
                if os.stat(name, dir_fd=folder, follow_symlinks=False).st_size:
                    found.append(int(number))
            except FileNotFoundError:
                continue  # its member has just left
    return sorted(found)


def _locked(folder: int, name: str, flags: int) -> int | None:
    """Lock the file *name*; None if another process has the lock, or if the file is gone. Raises OSError."""
    for _ in range(_TRIES):
        try:
            file = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600, dir_fd=folder)
        except FileNotFoundError:
            return None
        if not _lock(file):
            return None
        if os.fstat(file).st_nlink:
            return file
        os.close(file)  # whoever had it has removed it
    return None


def _lock(file: int) -> bool:
    """Lock *file*, which is closed where that does not succeed."""
    try:
        _check_file(os.fstat(file))
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.close(file)
        return False
    except OSError:
        os.close(file)
        raise
    return True


def _check_file(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
        raise OSError("the file of a place is no file of this user")
