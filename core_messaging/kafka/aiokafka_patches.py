"""Patches of aiokafka (0.14) where it does not expect an error: in its connections, its metadata task, a group's commits.

Connections: to write to a transport that has just been closed is no error in asyncio. It drops the bytes, and the reader
learns that the connection has ended. uvloop raises RuntimeError, which the client does not expect. Either its metadata task
ended, and published records waited for ever; or the consumer's coordinator passed the error on, and the worker ended.

Starts: the client closes the connection to a bootstrap server when the server has answered, or failed to. Where the start is
cancelled in between, nobody has that connection any more, and it stays open until Python finds it.

Tokens: where a broker refuses an OAUTHBEARER token, it says so in the data of its answer and waits for one more message
(RFC 7628, section 3.2.3). The client does not look at that data, and believes that it is logged in.

Commits: a broker that is not the group's coordinator (not any more, or not yet after a restart) answers a request for the
group's commits with one error and no partitions. The client reads only the partitions, and takes the answer for "this
group has committed nothing".
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import AIOKafkaConnection, CloseReason, OAuthAuthenticator
from aiokafka.protocol import admin
from aiokafka.protocol.commit import OffsetFetchRequest

from core_messaging.kafka.client_insides import check_network
from core_messaging.kafka.errors import register_invalid_record_error
from core_messaging.kafka.membership import know_fenced_instance_ids
from core_messaging.kafka.rebootstrap import with_bootstrap_servers, with_cluster_noted
from core_messaging.logs.throttle import Throttle, also
from core_messaging.text.printable import printable

# The requests and responses of a login: they hold passwords, or values that passwords can be computed from.
_WITH_SECRETS = [
    kind
    for name, kind in vars(admin).items()
    if name.startswith("SaslAuthenticateRe") and isinstance(kind, type)
]
_METADATA_RETRY = 1.0  # seconds between two tries to read the metadata of the cluster
_METADATA_FAILED = (
    "the Kafka client could not read the broker's metadata of the cluster; the broker is asked again every %g s, and records "
    "for partitions whose leader has changed wait until then%s"
)

# The connections that the bootstrap of this task has made. The client's tasks begin inside it, so theirs are noted as well.
_of_bootstrap: ContextVar[WeakSet[Any] | None] = ContextVar("connections of a bootstrap", default=None)

logger = logging.getLogger("core_messaging.kafka")


def patch_aiokafka() -> None:
    """Patch the client for this process. Safe to repeat.

    - A request on a closed connection raises KafkaConnectionError, and the client tries it again.
    - The task that keeps the metadata goes on after every error, and asks the bootstrap servers where no broker answers.
    - A broker that cannot tell a group's commits is an error.
    - A token that the broker refuses is an error.
    - A start that is cancelled leaves no connection open.
    - The client knows INVALID_RECORD and FENCED_INSTANCE_ID.
    - The client joins and leaves groups as ``membership`` describes.
    - The client logs no password.

    Raises ConfigurationError where the client lacks a name that a patch needs.
    """
    check_network(AIOKafkaClient)
    _wrap(AIOKafkaConnection, "send", _with_connection_error)
    _wrap(AIOKafkaConnection, "_send_sasl_token", _with_connection_error)
    _wrap(AIOKafkaConnection, "connect", _with_connection_noted)
    _wrap(AIOKafkaClient, "bootstrap", _close_if_interrupted)
    _wrap(AIOKafkaClient, "_md_synchronizer", _repeat_after_error)
    _wrap(AIOKafkaClient, "_metadata_update", with_bootstrap_servers)
    _wrap(ClusterMetadata, "update_metadata", with_cluster_noted)
    _wrap(AIOKafkaClient, "send", _with_commit_error)
    _wrap(OAuthAuthenticator, "step", _with_token_error)
    register_invalid_record_error()
    know_fenced_instance_ids()
    for request_or_response in _WITH_SECRETS:
        setattr(request_or_response, "__repr__", _without_secrets)  # noqa: B010 - a class that mypy sees as final


def _without_secrets(self: Any) -> str:
    """The ``repr`` of a request with a secret: the client logs each request and response at level DEBUG."""
    return f"{type(self).__name__}(not shown)"


def _wrap(owner: type, name: str, decorator: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put *decorator* around the method, unless it has one already."""
    method = getattr(owner, name)
    if not hasattr(method, "__wrapped__"):
        setattr(owner, name, decorator(method))


def _with_connection_error(write: Callable[..., Any]) -> Callable[..., Any]:
    """Raise KafkaConnectionError where *write* meets a transport that is closed."""

    @functools.wraps(write)
    def write_or_connection_error(self: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return write(self, *arguments, **options)
        except (kafka_errors.KafkaError, NotImplementedError):
            raise  # RuntimeErrors too, but the client's own: for example a broker that is too old for the request
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            gone = f"Connection at {self.host}:{self.port} is closed: {error}"
            raise kafka_errors.KafkaConnectionError(gone) from error

    return write_or_connection_error


def _with_connection_noted(connect: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """Note the connection, where a bootstrap makes it."""

    @functools.wraps(connect)
    async def note_and_connect(self: Any) -> Any:
        made = _of_bootstrap.get()
        if made is not None:
            made.add(self)
        return await connect(self)

    return note_and_connect


def _close_if_interrupted(bootstrap: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Close the connections that *bootstrap* has made, where it is cancelled or fails."""

    @functools.wraps(bootstrap)
    async def bootstrap_or_close(self: Any) -> None:
        made = WeakSet[Any]()
        before = _of_bootstrap.set(made)
        try:
            await bootstrap(self)
        except BaseException:
            for connection in made:
                connection.close()
            raise
        finally:
            _of_bootstrap.reset(before)

    return bootstrap_or_close


def _repeat_after_error(synchronize: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Start the metadata task again after an error. The client looks at this task only when it is closed.

    Callers that wait for metadata are answered by the next round: they wait for an attribute of the client, not of the
    task.
    """
    throttle = Throttle(10.0)

    @functools.wraps(synchronize)
    async def synchronize_for_ever(self: Any) -> None:
        while True:
            try:
                await synchronize(self)
            except Exception as error:
                swallowed = throttle.pass_through(type(error).__name__, asyncio.get_running_loop().time())
                if swallowed is not None:
                    logger.exception(_METADATA_FAILED, _METADATA_RETRY, also(swallowed))
                await asyncio.sleep(_METADATA_RETRY)
                # Ask for the next round now. Where the regular round (every five minutes) failed, nobody has asked for one.
                if not self._md_update_waiter.done():
                    self._md_update_waiter.set_result(None)

    return synchronize_for_ever


def _with_commit_error(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Raise the error that an answer about a group's commits holds.

    Without it, a group whose coordinator has just moved starts again at the beginning or at the end of its partitions.

    See https://kafka.apache.org/protocol.html, OffsetFetch: since version 2, the response has a field for an error of the
    whole group.
    """

    @functools.wraps(send)
    async def send_or_commit_error(self: Any, node_id: Any, request: Any, **options: Any) -> Any:
        response = await send(self, node_id, request, **options)
        if isinstance(request, OffsetFetchRequest) and (code := getattr(response, "error_code", 0)):
            raise kafka_errors.for_code(code)(f"the broker cannot tell the commits of a group: {response}")
        return response

    return send_or_commit_error


def _with_token_error(step: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Raise SaslAuthenticationFailed where the answer to a token holds an error."""

    @functools.wraps(step)
    async def step_or_token_error(self: Any, answer: bytes | None) -> Any:
        if answer:
            raise kafka_errors.SaslAuthenticationFailed(
                f"the broker refuses the token: {printable(repr(answer), 200)}"
            )
        return await step(self, answer)

    return step_or_token_error
