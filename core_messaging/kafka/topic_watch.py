"""Watches the cluster and the topics of one consumer, for what makes its offsets worthless."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from core_messaging.errors import BrokerError
from core_messaging.kafka.cluster_identity import Cluster
from core_messaging.kafka.rebootstrap import cluster_replaced, noted_cluster
from core_messaging.rules.topic_changes import TopicChanges

logger = logging.getLogger("core_messaging.kafka")


class TopicWatch:
    """Looks at the metadata of the client, and logs topics that grow. *gone* is called with a topic that was deleted."""

    def __init__(self, gone: Callable[[str], object]) -> None:
        self._gone = gone
        self._changes = TopicChanges()
        self._home: Cluster | None = None  # the cluster of the first look

    def look(self, topics: Iterable[str], cluster: Any) -> BrokerError | None:
        """Compare with the last look. Return why the offsets of this consumer mean nothing any more; None: they do."""
        found, self._home = noted_cluster(cluster), self._home or noted_cluster(cluster)
        if found.is_another_than(self._home):
            return cluster_replaced(self._home, found)
        replaced = None
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
        for change in self._changes.look(counts):
            if change.replaced:
                self._gone(change.topic)
                replaced = BrokerError(change.text)
            else:
                logger.info("%s", change.text, extra={"action": "topic changed"})
        return replaced
