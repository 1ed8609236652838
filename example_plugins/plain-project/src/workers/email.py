import logging

from core.messaging import Worker
from src.services.email import EmailService

logger = logging.getLogger(__name__)


class EmailWorker(Worker):
    input_topic = "emails"
    group_id = "email-sender"
    concurrency = 4
    max_retries = 3
    retry_backoff = "exponential"
    dlq_topic = "emails-dlq"

    def __init__(self):
        self.email_service = EmailService()

    async def process(self, message: dict) -> dict:
        await self.email_service.send(
            to=message["to"],
            subject=message["subject"],
            template=message["template"],
            context=message.get("context", {}),
        )
        return {"sent": True, "to": message["to"]}

    async def on_error(self, message: dict, error: Exception):
        logger.error(f"Email failed: {message['to']} - {error}")

    async def on_success(self, message: dict, result):
        logger.info(f"Email sent: {result['to']}")
