"""The worker: it sends one e-mail for each message."""

from __future__ import annotations

import logging
from email.message import EmailMessage

import msgspec
from aiosmtplib import SMTPRecipientRefused, SMTPRecipientsRefused, SMTPResponseException

from core_messaging import Reject, Worker
from email_worker.mailer import Mailer
from email_worker.settings import EmailSettings

logger = logging.getLogger(__name__)

PERMANENT = 500  # SMTP reply codes from 500 up: permanent failure (RFC 5321, section 4.2.1)


class Email(msgspec.Struct):
    """A message of the topic. A value that does not fit goes to the dead-letter queue without an attempt."""

    id: str
    to: str
    subject: str
    body: str


class EmailWorker(Worker):
    """Sends e-mails. A temporary failure of the mail server is retried three times, a permanent one not at all."""

    input_topic = "emails"
    group_id = "email-sender"
    concurrency = 8
    max_retries = 3
    retry_backoff = "exponential"
    initial_delay = 0.25
    timeout = 30.0
    dlq_topic = "emails-dlq"

    def __init__(self) -> None:
        settings = EmailSettings()
        self.sender = settings.smtp_sender
        self.mailer = Mailer(settings.smtp_host, settings.smtp_port)

    async def process(self, message: Email) -> None:
        try:
            await self.mailer.send(self.render(message))
        except (SMTPResponseException, SMTPRecipientsRefused) as error:
            if reply_code(error) >= PERMANENT:
                raise Reject(str(error)) from error
            raise

    def render(self, email: Email) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self.sender, email.to, email.subject
        # The same id for every attempt: a recipient who gets a mail twice sees that it is the same one.
        mail["Message-ID"] = f"<{email.id}@email-worker>"
        mail.set_content(email.body)
        return mail

    async def on_error(self, message: Email, error: Exception) -> None:
        logger.error("e-mail %s to %s was not sent: %s", message.id, message.to, error)

    async def teardown(self) -> None:
        await self.mailer.close()


def reply_code(error: SMTPResponseException | SMTPRecipientsRefused) -> int:
    """Return the answer of the server; the worst one if several recipients were refused."""
    refusals: list[SMTPRecipientRefused] = getattr(error, "recipients", [])
    return max((refusal.code for refusal in refusals), default=getattr(error, "code", 0))
