"""Which member of a consumer group may be declared dead: the rule that decides it, and the note that it reads.

A member writes its id into a file that it keeps locked for as long as it lives (``kafka.member_places``). Whoever gets the
lock later knows that the member is dead. Then the note decides whether it speaks of the same group, and of this machine.
"""

from __future__ import annotations

import msgspec

VERSION = 1
LARGEST = 4096  # bytes of a note that are read


class Origin(msgspec.Struct, frozen=True):
    """Where a note is valid.

    - ``cluster``, ``group``: the id of the Kafka cluster, and the consumer group
    - ``boot``, ``host``: the id of this run of the machine, and the name of the host. A file system that several machines
      share, or that a restart has kept, has notes with other ones. The lock of such a note says nothing here.
    - ``file``: the device and inode of the file. A copy of the file has other ones, and nobody locks the copy while the
      member lives.
    """

    cluster: str
    group: str
    boot: str
    host: str
    file: str

    @property
    def is_known(self) -> bool:
        """Whether each of the facts is known."""
        return all((self.cluster, self.group, self.boot, self.host, self.file))


class MemberNote(msgspec.Struct, frozen=True):
    """Who holds a place: the id of a member, as the group coordinator has given it."""

    version: int
    origin: Origin
    member_id: str


def encode_note(origin: Origin, member_id: str) -> bytes:
    """Return the note of the member *member_id*. No bytes: such a note would not be read."""
    data = msgspec.json.encode(MemberNote(VERSION, origin, member_id))
    return data if len(data) <= LARGEST else b""


def dead_member(note: bytes, here: Origin) -> str | None:
    """Return the id of the member that is dead. None: *note* declares nobody dead.

    *note*: what is in a file that nobody had locked, and that is locked by the caller now. *here*: the origin of a note that
    the caller would write into the same file.
    """
    if len(note) > LARGEST or not here.is_known:
        return None
    try:
        found = msgspec.json.decode(note, type=MemberNote)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found.member_id or None if (found.version, found.origin) == (VERSION, here) else None
