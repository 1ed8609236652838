"""Posts a JSON note to a URL when a message has failed for good."""

import asyncio
import json
import urllib.request
from typing import Annotated

import msgspec

from core_messaging import Context, hookimpl
from core_messaging.config import WorkerConfig


class Config(msgspec.Struct, forbid_unknown_fields=True):
    """[tool.core.plugins.error-notifier]; without a ``url`` nothing is posted. ``timeout``: seconds."""

    url: Annotated[str, msgspec.Meta(pattern="^https?://")] | None = None
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 3.0


class ErrorNotifier:
    core_config = Config

    def __init__(self) -> None:
        self.config = Config()

    @hookimpl
    def configure(self, config: Config) -> None:
        self.config = config

    @hookimpl
    async def on_error(self, worker: WorkerConfig, error: Exception, context: Context) -> None:
        """Post the note. A failure is logged and does not affect the message. The time limit is plugin_timeout."""
        if self.config.url is None:
            return
        note = {
            "worker": worker.name,
            "message": context.coordinates,
            "error": f"{type(error).__name__}: {error}",
        }
        # urllib blocks, so it runs in a thread: the event loop belongs to the workers.
        await asyncio.to_thread(self._post, self.config.url, json.dumps(note).encode())

    def _post(self, url: str, note: bytes) -> None:
        request = urllib.request.Request(url, note, {"Content-Type": "application/json"})  # noqa: S310 - see Config
        with urllib.request.urlopen(request, timeout=self.config.timeout):  # noqa: S310 - as above
            pass


plugin = ErrorNotifier()
