"""Connections to one mail server, kept open between mails."""

from __future__ import annotations

from email.message import EmailMessage

from aiosmtplib import SMTP, SMTPRecipientsRefused, SMTPResponseException


class Mailer:
    """As many connections as mails are sent at once; made when needed, used again afterwards."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: list[SMTP] = []

    async def send(self, mail: EmailMessage) -> None:
        """Raises aiosmtplib's errors: what the server answered, or that it is not there."""
        connection = self._take() or await self._connect()
        try:
            await connection.send_message(mail)
        except (SMTPResponseException, SMTPRecipientsRefused):
            self._idle.append(connection)  # it said no; the connection is as good as before
            raise
        except BaseException:
            # Cancelled by a timeout, say: the answer to this mail may still come and must not meet the next one.
            connection.close()
            raise
        self._idle.append(connection)

    def _take(self) -> SMTP | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_connected:  # the server may have closed it meanwhile
                return connection
        return None

    async def _connect(self) -> SMTP:
        connection = SMTP(hostname=self._host, port=self._port)
        await connection.connect()
        return connection

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().quit()
