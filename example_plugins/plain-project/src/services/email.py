from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path
from string import Template

import aiosmtplib

from src.settings import AppSettings

TEMPLATES = Path(__file__).parent.parent / "templates"


class EmailService:
    """Fills in a template and sends the mail."""

    def __init__(self) -> None:
        self.settings = AppSettings()

    async def send(self, to: str, subject: str, template: str, context: Mapping[str, object]) -> None:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "shop@example.com", to, subject
        mail.set_content(Template((TEMPLATES / f"{template}.txt").read_text()).substitute(context))
        await aiosmtplib.send(mail, hostname=self.settings.smtp_host, port=self.settings.smtp_port)
