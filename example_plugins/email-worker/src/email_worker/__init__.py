"""E-mail from a Kafka topic."""

from email_worker.worker import Email, EmailWorker

__all__ = ["Email", "EmailWorker"]
