"""The log lines of a process: what concerns all of its workers, or none of them."""

from __future__ import annotations

import logging

logger = logging.getLogger("core_messaging.worker")


class ProcessLog:
    """Writes log lines that concern no single worker. Each record has ``action`` as an attribute."""

    def info(self, action: str, text: str, *args: object) -> None:
        """Log what happens in normal operation."""
        logger.info(text, *args, extra={"action": action})

    def warning(self, action: str, text: str, *args: object) -> None:
        """Log what an operator should look at."""
        logger.warning(text, *args, extra={"action": action})

    def error(self, action: str, text: str, *args: object) -> None:
        """Log what an operator has to mend."""
        logger.error(text, *args, extra={"action": action})


process_log = ProcessLog()
