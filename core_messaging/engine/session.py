"""One membership in the consumer group: from joining until leaving, or until the consumer is beyond repair."""

from __future__ import annotations

import asyncio

from core_messaging.broker import Consumer
from core_messaging.engine.committer import Committer
from core_messaging.engine.components import Components
from core_messaging.engine.fetch_loop import FetchLoop
from core_messaging.engine.flow_controller import FlowController
from core_messaging.engine.group_status import GroupStatus
from core_messaging.engine.intake import Intake
from core_messaging.engine.poison_pill import PoisonPillSearch
from core_messaging.engine.rebalance_listener import RebalanceListener


class Session:
    """A consumer in its group, with what fetches from it and what answers the group's assignments."""

    def __init__(
        self,
        components: Components,
        consumer: Consumer,
        committer: Committer,
        poison_pill_search: PoisonPillSearch,
        *,
        again: bool = False,
    ) -> None:
        """*again*: the worker was in the group and has lost it."""
        self.consumer = consumer
        self.status = status = GroupStatus(components.loop.time())
        self.flow = flow = FlowController(components, consumer, poison_pill_search)
        intake = Intake(components, consumer, committer, poison_pill_search)
        self._fetch_loop = FetchLoop(components, consumer, status, flow, intake)
        self._listener = RebalanceListener(components, consumer, committer, status, flow, again=again)
        self._poison_pill_search = poison_pill_search

    async def start(self) -> None:
        """Join the group. Raises BrokerUnreachable, BrokerRefused."""
        await self.consumer.start(self._listener.assigned, self._listener.revoked, self._listener.lost)

    async def fetch_forever(self) -> None:
        """Fetch while there is room. Raises BrokerError when the consumer is beyond repair."""
        search = asyncio.ensure_future(self._poison_pill_search.run(self.consumer))
        try:
            while True:
                if search.done():
                    search.result()  # raises: the search never ends by itself
                await self._fetch_loop.step()
        finally:
            search.cancel()
            await asyncio.wait([search])
