"""The topics of one consumer that subscribes by a pattern."""

from __future__ import annotations

import logging
from typing import Any

from core_messaging.options import TopicPattern
from core_messaging.rules.matched_topics import MatchedTopics

logger = logging.getLogger("core_messaging.kafka")


class PatternSubscription:
    """Follows *pattern* over the metadata of the client.

    The client's own subscription by a pattern starts anew with each topic that it finds, and gives up all partitions. This
    one changes the topics of the subscription that is there.
    """

    def __init__(self, pattern: TopicPattern) -> None:
        self._matched = MatchedTopics(pattern)

    @property
    def topics(self) -> set[str]:
        """What matches now."""
        return set(self._matched.names)

    def follow(self, subscriptions: Any, cluster: Any) -> bool:
        """Take in the topics of *cluster*, and log what has changed. Return whether the member has to join again for it."""
        if line := self._matched.look(cluster.topics()):
            logger.info("%s", line, extra={"action": "topics matched"})
        subscription = subscriptions.subscription
        if subscription is None or subscription.topics == self.topics:
            return False
        subscription._topics = frozenset(self.topics)  # noqa: SLF001 - see client_insides
        return True
