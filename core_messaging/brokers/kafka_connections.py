"""The client's connections, on an event loop that says more than the standard one.

To write to a transport that has just been closed is no error in asyncio: the bytes are dropped, and the reader hears of the
end. uvloop raises RuntimeError, which the client (0.14) does not expect: the task that keeps its metadata ends without a
word, and whatever is published waits for ever; or the consumer's coordinator passes it on, and the worker ends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.conn import AIOKafkaConnection, CloseReason


def expect_closed_transports() -> None:
    """A request on a connection that is gone is KafkaConnectionError, which the client tries again. Safe to repeat."""
    for name in ("send", "_send_sasl_token"):
        write = getattr(AIOKafkaConnection, name)
        if not hasattr(write, "__wrapped__"):
            setattr(AIOKafkaConnection, name, _expecting(write))


def _expecting(write: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(write)
    def expecting(self: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return write(self, *arguments, **options)
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            gone = f"Connection at {self.host}:{self.port} is closed: {error}"
            raise kafka_errors.KafkaConnectionError(gone) from error

    return expecting
