"""The worker against a real mail server on loopback. No Kafka: a worker is an ordinary object."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from importlib.metadata import entry_points

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from aiosmtplib import SMTPRecipientsRefused
from email_worker import Email, EmailWorker

from core_messaging import Reject


class Postbox:
    """Takes every mail, except those to addresses that begin with a reply code: 451-ann@example.com."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        code, dash, _ = address.partition("-")
        if dash:
            return f"{code} no"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        return "250 OK"


@pytest.fixture
def postbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Postbox]:
    box = Postbox()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    monkeypatch.setenv("SMTP_HOST", "127.0.0.1")
    monkeypatch.setenv("SMTP_PORT", str(port))
    yield box
    controller.stop()


def send(*emails: Email) -> None:
    async def all_of_them() -> None:
        worker = EmailWorker()
        try:
            for email in emails:
                await worker.process(email)
        finally:
            await worker.teardown()

    asyncio.run(all_of_them())


def email(to: str) -> Email:
    return Email(id="1", to=to, subject="Hello", body="Grüße")


def test_a_mail_arrives_with_its_recipient_subject_and_body(postbox: Postbox) -> None:
    send(email("ann@example.com"), email("bob@example.com"))
    first, second = postbox.envelopes
    assert (first.rcpt_tos, second.rcpt_tos) == (["ann@example.com"], ["bob@example.com"])
    assert b"Subject: Hello" in first.content
    assert "Grüße".encode() in first.content


def test_a_server_that_says_later_is_a_failure_that_is_retried(postbox: Postbox) -> None:
    with pytest.raises(SMTPRecipientsRefused):
        send(email("451-ann@example.com"))


def test_a_server_that_says_never_rejects_the_message(postbox: Postbox) -> None:
    with pytest.raises(Reject, match="550"):
        send(email("550-ann@example.com"))


def test_the_package_advertises_the_worker() -> None:
    (entry,) = entry_points(group="core.workers", name="EmailWorker")
    assert entry.load() is EmailWorker
