"""What the group decides, on its way from the client's coordinator to the callbacks of the broker interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core_messaging.broker import Assigned, Lost, Revoked
from core_messaging.errors import BrokerError
from core_messaging.kafka.positions import KafkaPositions
from core_messaging.records import TopicPartition

Partitions = frozenset[Any]  # the client's own named tuples


class GroupCallbacks:
    """Calls *assigned*, *revoked* and *lost* for the coordinator of *client*, and *forget* before each of them.

    The coordinator cannot use what they raise, so the next fetch raises it (``check``). ``moving``: the partitions that are
    given up just now, or whose commits are not known yet. Nothing of them is fetched.
    """

    def __init__(
        self,
        client: Any,
        positions: KafkaPositions,
        assigned: Assigned,
        revoked: Revoked,
        lost: Lost,
        forget: Callable[[Partitions], None],
    ) -> None:
        self._client = client
        self._positions = positions
        self._assigned = assigned
        self._revoked = revoked
        self._lost = lost
        self._forget = forget
        self._failure: BrokerError | None = None
        self.moving: set[Any] = set()

    def check(self) -> None:
        """Raise the BrokerError that a callback has ended with."""
        if self._failure is not None:
            raise self._failure

    async def on_assigned(self, added: Partitions) -> None:
        """Pass on the added partitions, each with its commit.

        The client may fetch while this runs. The partitions are paused first, without an await in between, so no record of
        them is returned before the commits and their metadata are known.
        """
        self.moving |= added
        try:
            self._client.pause(*added)
            self._forget(added)
            self._assigned(await self._positions.start(added) if added else {})
            self._client.resume(*added & self._client.assignment())
        except Exception as error:
            self.fail(error)
        finally:
            self.moving -= added

    async def on_revoked(self, gone: Partitions) -> Partitions:
        """Pass on the partitions that this member gives up; return those that are given up."""
        given_up = gone
        self.moving |= gone
        self._forget(gone)
        try:
            if done := await self._revoked(_ours(gone)):
                given_up = frozenset(source for source in gone if source in done)
        except Exception as error:
            self.fail(error)
        finally:
            self.moving -= given_up
        return given_up

    async def on_lost(self, lost: Partitions) -> None:
        """Pass on the partitions that this member has lost."""
        self._forget(lost)
        try:
            await self._lost(_ours(lost))
        except Exception as error:
            self.fail(error)

    def on_topic_gone(self, topic: str) -> None:
        """A topic of this name that comes later is read from its first record."""
        self._positions.forget_topic(topic)

    def fail(self, error: Exception) -> None:
        """Let the next fetch raise *error*."""
        if isinstance(error, BrokerError):
            self._failure = error
        else:
            self._failure = BrokerError(f"a rebalance failed: {error!r}; the worker joins the group again")
            self._failure.__cause__ = error


def _ours(sources: Partitions) -> frozenset[TopicPartition]:
    return frozenset(TopicPartition(*source) for source in sources)
