"""The client's connections, its metadata and a group's commits, where an error it does not expect passes without a word.

To write to a transport that has just been closed is no error in asyncio: the bytes are dropped, and the reader hears of the
end. uvloop raises RuntimeError, which the client (0.14) does not expect: the task that keeps its metadata ended, and
whatever was published waited for ever; or the consumer's coordinator passed it on, and the worker ended.

A broker that is not the group's coordinator (any more, or not yet again after a restart) answers the question for its
commits with one error and no partition. The client (0.14) reads the partitions only: "this group has committed nothing".
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.protocol import admin
from aiokafka.protocol.commit import OffsetFetchRequest

from core_messaging.kafka.errors import know_invalid_records
from core_messaging.kafka.membership import patch_membership
from core_messaging.logs.throttle import Throttle, also

# The requests and responses of logging in: passwords and what can be computed from them.
_WITH_SECRETS = [
    kind
    for name, kind in vars(admin).items()
    if name.startswith("SaslAuthenticateRe") and isinstance(kind, type)
]
_AGAIN = 1.0  # seconds after the metadata could not be taken in
_NOT_TAKEN_IN = (
    "what the broker says of the cluster could not be taken in; it is asked again every %g s, and what goes to partitions "
    "whose leader has changed waits until then%s"
)

logger = logging.getLogger("core_messaging.kafka")


def patch_aiokafka() -> None:
    """A request on a connection that is gone is KafkaConnectionError, which the client tries again; the task that keeps its
    metadata goes on whatever it meets; commits that cannot be told are an error; it knows what INVALID_RECORD is; and it
    logs no password. Safe to repeat."""
    _wrap(AIOKafkaConnection, "send", _expecting)
    _wrap(AIOKafkaConnection, "_send_sasl_token", _expecting)
    _wrap(AIOKafkaClient, "_md_synchronizer", _going_on)
    _wrap(AIOKafkaClient, "send", _told_of_commits)
    know_invalid_records()
    patch_membership(_wrap)
    for request_or_response in _WITH_SECRETS:
        setattr(request_or_response, "__repr__", _without_secrets)  # noqa: B010 - a class that mypy sees as final


def _without_secrets(self: Any) -> str:
    """The client logs each request and response at debug."""
    return f"{type(self).__name__}(not shown)"


def _wrap(owner: type, name: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    method = getattr(owner, name)
    if not hasattr(method, "__wrapped__"):
        setattr(owner, name, around(method))


def _expecting(write: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(write)
    def expecting(self: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return write(self, *arguments, **options)
        except (kafka_errors.KafkaError, NotImplementedError):
            raise  # RuntimeErrors too, and the client's own: the broker is too old for the request, say
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            gone = f"Connection at {self.host}:{self.port} is closed: {error}"
            raise kafka_errors.KafkaConnectionError(gone) from error

    return expecting


def _going_on(synchronize: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """The client looks at that task only when it is closed. Whoever waits for metadata meanwhile is answered by the next
    round: what they wait for is an attribute of the client, not of the task."""
    throttle = Throttle(10.0)

    @functools.wraps(synchronize)
    async def going_on(self: Any) -> None:
        while True:
            try:
                await synchronize(self)
            except Exception as error:
                swallowed = throttle.pass_through(type(error).__name__, asyncio.get_running_loop().time())
                if swallowed is not None:
                    logger.exception(_NOT_TAKEN_IN, _AGAIN, also(swallowed))
                await asyncio.sleep(_AGAIN)
                # Else it was the round of every five minutes that failed, and the next would be as far away.
                if not self._md_update_waiter.done():
                    self._md_update_waiter.set_result(None)

    return going_on


def _told_of_commits(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Without it a group whose coordinator has just moved would begin anew: all over again, or at the end.

    https://kafka.apache.org/protocol.html, OffsetFetch: from version 2 on an error of the whole group has a place of its own.
    """

    @functools.wraps(send)
    async def told_of_commits(self: Any, node_id: Any, request: Any, **options: Any) -> Any:
        response = await send(self, node_id, request, **options)
        if isinstance(request, OffsetFetchRequest) and (code := getattr(response, "error_code", 0)):
            raise kafka_errors.for_code(code)(f"the broker cannot tell the commits of a group: {response}")
        return response

    return told_of_commits
