"""Where the mail server is: SMTP_HOST, SMTP_PORT and SMTP_SENDER in the environment or in .env."""

from core_messaging import Settings


class EmailSettings(Settings):
    smtp_host: str = "localhost"
    smtp_port: int = 25
    smtp_sender: str = "noreply@example.com"
