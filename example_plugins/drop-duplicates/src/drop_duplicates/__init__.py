"""Leaves out messages whose id was processed within a window: a middleware around ``process``."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from core_messaging import Context, hookimpl
from core_messaging.config import WorkerConfig
from core_messaging.hookspecs import Next

Seen = tuple[str, object]  # worker and id


class Config(msgspec.Struct):
    """``field``: where the id is in a message. ``window``: seconds. ``most``: ids that are remembered."""

    field: str = "id"
    window: float = 3600.0
    most: int = 100_000


class DropDuplicates:
    core_config = Config

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = Config()
        self._clock = clock
        self._seen: OrderedDict[Seen, float] = OrderedDict()  # the oldest first

    @hookimpl
    def configure(self, config: Config) -> None:
        self.config = config

    @hookimpl
    async def wrap_process(
        self, call_next: Next, worker: WorkerConfig, message: Any, context: Context
    ) -> Any:
        """Batches go through as they are: leaving out one message would change how many results are expected."""
        found = message.get(self.config.field) if isinstance(message, dict) else None
        if found is None:
            return await call_next(message, context)
        self._forget()
        seen = (worker.name, found)
        if seen in self._seen:
            return None
        result = await call_next(message, context)
        # Only now: a message that failed has to be tried again.
        self._seen[seen] = self._clock()
        return result

    @property
    def remembered(self) -> int:
        """How many ids."""
        return len(self._seen)

    def _forget(self) -> None:
        oldest = self._clock() - self.config.window
        while self._seen and (
            len(self._seen) >= self.config.most or next(iter(self._seen.values())) < oldest
        ):
            self._seen.popitem(last=False)


plugin = DropDuplicates()
