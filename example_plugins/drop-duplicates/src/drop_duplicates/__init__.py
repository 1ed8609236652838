"""Leaves out messages whose id was processed within a window: a middleware around ``process``."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from core_messaging import Context, hookimpl
from core_messaging.config import WorkerConfig
from core_messaging.plugins.hookspecs import Next

Seen = tuple[str, str | int]  # worker and id


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """``field``: where the id is in a message. ``window``: seconds. ``most``: ids that are remembered."""

    field: str = "id"
    window: Annotated[float, msgspec.Meta(gt=0)] = 3600.0
    most: Annotated[int, msgspec.Meta(ge=1)] = 100_000


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
        """Drop duplicates of single messages. Batches pass unchanged: one message less would change the number of results."""
        seen = self._id_of(worker, message)
        self._forget()
        if seen is not None and seen in self._seen:
            return None
        return await call_next(message, context)

    @hookimpl
    def on_success(self, worker: WorkerConfig, message: Any) -> None:
        """Remember the id. Not earlier: a message that failed, or whose result is not acknowledged, is delivered again."""
        seen = self._id_of(worker, message)
        # A duplicate succeeds too. It must not make the window longer.
        if seen is not None and seen not in self._seen:
            self._seen[seen] = self._clock()
            self._forget()

    @property
    def remembered(self) -> int:
        """How many ids are remembered."""
        return len(self._seen)

    def _id_of(self, worker: WorkerConfig, message: Any) -> Seen | None:
        found = message.get(self.config.field) if isinstance(message, dict) else None
        return (worker.name, found) if isinstance(found, str | int) else None

    def _forget(self) -> None:
        oldest = self._clock() - self.config.window
        while self._seen and (len(self._seen) > self.config.most or next(iter(self._seen.values())) < oldest):
            self._seen.popitem(last=False)


plugin = DropDuplicates()
