"""A real mail server on loopback that takes most mails and counts them."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from types import TracebackType
from typing import Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from core_messaging.local_broker.ports import HOST, free_ports
from demo.tasks import FATE_OF_DOMAIN, Fate

_MESSAGE_ID = re.compile(rb"^Message-ID: <([^@>]+)@", re.MULTILINE | re.IGNORECASE)


class Postbox:
    """Listens while the ``with`` block lasts.

    ``received``: recipient -> mail ids in the order of arrival. ``tries``: how often each address was tried.
    """

    def __init__(self) -> None:
        self.received: defaultdict[str, list[str]] = defaultdict(list)
        self.tries: Counter[str] = Counter()
        self.count = 0
        self.has_room = False  # whether the full mailboxes were emptied
        self.first = self.last = 0.0  # seconds, time.monotonic()
        (self.port,) = free_ports(1)  # aiosmtpd cannot choose a free port
        self._controller = Controller(self, hostname=HOST, port=self.port)

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.tries[address] += 1
        match FATE_OF_DOMAIN.get(address.partition("@")[2]):
            case Fate.SENT_LATER if self.tries[address] == 1:
                return "451 4.7.1 come back later"
            case Fate.GIVEN_UP if not self.has_room:
                return "452 4.2.2 mailbox full"
            case Fate.REJECTED:
                return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        found = _MESSAGE_ID.search(envelope.original_content or b"")
        self.received[envelope.rcpt_tos[0]].append(found[1].decode() if found else "")
        self.count += 1
        self.last = time.monotonic()
        self.first = self.first or self.last
        return "250 2.0.0 OK"
