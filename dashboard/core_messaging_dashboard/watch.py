"""Looks at Kafka from time to time, for all browsers together."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from core_messaging.config import WorkerConfig
from core_messaging.errors import CoreMessagingError
from core_messaging.operations.fleet import Fleet, watch_fleet
from core_messaging.operations.lag import WorkerLag, watch_lag
from core_messaging.settings import Settings

KEPT = 300  # samples of each worker: ten minutes at the default interval
AGAIN = 2.0  # seconds between two tries to reach the broker

logger = logging.getLogger("core_messaging.dashboard")


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the lag of one worker."""

    lag: int
    rate_in: float | None
    rate_out: float | None
    behind: float | None


class Watch:
    """What was seen last. ``trouble``: why the newest look failed; what is shown is older then. Empty: it did not."""

    def __init__(self, settings: Settings, workers: Sequence[WorkerConfig], interval: float) -> None:
        """*interval*: seconds between two looks."""
        self._settings = settings
        self._interval = interval
        self.workers = workers
        self.lags: Sequence[WorkerLag] = ()
        self.fleet: Fleet | None = None
        self.history: dict[str, deque[Sample]] = {}
        self.trouble = ""
        self._turn = asyncio.Event()

    @property
    def has_fleet(self) -> bool:
        """Whether there is a control topic: only then processes can be seen, and workers paused."""
        return self._settings.kafka_control_topic is not None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self._look_on()
            except CoreMessagingError as error:
                if not self.trouble:
                    logger.warning(
                        "the dashboard shows what was before: %s", error, extra={"action": "outage"}
                    )
                self.trouble = str(error)
                self._tell()
            await asyncio.sleep(AGAIN)

    async def _look_on(self) -> None:
        """Each look at the fleet reads only what the processes have said since the one before."""
        lags = watch_lag(self._settings, self.workers, self._interval)
        fleets = watch_fleet(self._settings) if self.has_fleet else None
        async with AsyncExitStack() as closing:
            for looks in filter(None, (lags, fleets)):
                await closing.enter_async_context(aclosing(looks))
            async for each in lags:
                self._take(each, None if fleets is None else await anext(fleets))

    def _take(self, lags: Sequence[WorkerLag], fleet: Fleet | None) -> None:
        self.lags, self.fleet, self.trouble = lags, fleet, ""
        for each in lags:
            if each.lag is not None:
                samples = self.history.setdefault(each.worker.name, deque(maxlen=KEPT))
                samples.append(Sample(each.lag.lag, each.lag.rate_in, each.lag.rate_out, each.lag.behind))
        self._tell()

    def _tell(self) -> None:
        self._turn.set()
        self._turn = asyncio.Event()

    async def changed(self, seconds: float) -> None:
        """Wait for the next look, *seconds* at most."""
        turn = self._turn
        try:
            async with asyncio.timeout(seconds):
                await turn.wait()
        except TimeoutError:
            return
