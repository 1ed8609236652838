"""Connections to one mail server, kept open between mails."""

from __future__ import annotations

from email.message import EmailMessage

from aiosmtplib import SMTP, SMTPRecipientsRefused, SMTPResponseException


class Mailer:
    """Has one connection for each mail that is sent at the same time. Connections are opened when needed and used again."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: list[SMTP] = []

    async def send(self, mail: EmailMessage) -> None:
        """Send *message*. Raises aiosmtplib's errors: a refusal of the server, or no connection."""
        connection = self._take() or await self._connect()
        try:
            await connection.send_message(mail)
        except (SMTPResponseException, SMTPRecipientsRefused):
            self._idle.append(connection)  # the server refused the mail; the connection still works
            raise
        except BaseException:
            # After a cancellation (a timeout) the answer to this mail may still come. The next mail must not get it.
            connection.close()
            raise
        self._idle.append(connection)

    def _take(self) -> SMTP | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_connected:  # the server may have closed it
                return connection
        return None

    async def _connect(self) -> SMTP:
        connection = SMTP(hostname=self._host, port=self._port)
        await connection.connect()
        return connection

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().quit()
