"""The topics that one member of a group in memory reads."""

from __future__ import annotations

import logging

from core_messaging.broker import Subscription
from core_messaging.memory_broker.log import Log
from core_messaging.rules.matched_topics import MatchedTopics

logger = logging.getLogger("core_messaging.memory")


class MemberTopics:
    """Topics by name, or those that match a pattern."""

    def __init__(self, subscription: Subscription, log: Log) -> None:
        self._named = subscription.topics
        self._matched = None if subscription.pattern is None else MatchedTopics(subscription.pattern)
        self._log = log

    @property
    def names(self) -> tuple[str, ...]:
        """What the member reads now."""
        return self._named if self._matched is None else self._matched.names

    def begin(self) -> None:
        """Create the topics that have names, where the broker creates topics at their first use."""
        for topic in self._named:
            self._log.ensure(topic)
        self.look()

    def include_new(self, topic: str) -> bool:
        """Whether the member reads *topic*, which was created just now."""
        self.look()
        return topic in self.names

    def look(self) -> None:
        """Look which topics match the pattern now, and log what has changed."""
        if self._matched is not None and (line := self._matched.look(self._log.names)):
            logger.info("%s", line)
