"""Connects and stops clients of aiokafka, each within a limited time.

At the start, a broker that does not answer is asked again: it may start later than this process. A broker that refuses this
client is not asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient

from core_messaging.concurrency.cancellation import stopping_us
from core_messaging.errors import BrokerRefused, BrokerUnreachable, ConfigurationError
from core_messaging.kafka.aiokafka_patches import patch_aiokafka
from core_messaging.kafka.client_config import client_options
from core_messaging.kafka.errors import as_broker_error, describe, is_closed_port, is_refusal
from core_messaging.settings import Settings

_CONNECT_RETRY = 0.5  # seconds between two tries to connect
SILENT = 2.0  # seconds after which a broker that is waited for is named
STOP_TIMEOUT = 10.0  # seconds a client has to flush and disconnect
_CLEANUP_TIMEOUT = 1.0  # seconds for the remaining tasks of a client, and for closing its connections
# Attributes of a producer or a consumer whose objects run tasks.
_PARTS = ("client", "_sender", "_message_accumulator", "_client", "_fetcher", "_coordinator")

logger = logging.getLogger("core_messaging.kafka")


async def connect(settings: Settings, make: Callable[[], Any]) -> Any:
    """Make a client and start it; return the started client.

    *make* makes a new client for each try, because a client that failed to start cannot start again.

    Raises BrokerRefused and ConfigurationError at once, BrokerUnreachable after ``kafka_start_timeout`` seconds (after
    ``kafka_refused_timeout`` where every bootstrap server refuses the connection), and BrokerError for every other error of
    the client.
    """
    patch_aiokafka()
    wait = _Wait(settings)
    try:
        while True:
            client = _make_client(make)
            with _logged_causes() as causes:
                error = await _start(client)
            if error is None:
                return client
            cause = next(filter(is_refusal, causes), causes[-1] if causes else error)
            if is_refusal(cause):
                raise BrokerRefused(settings.kafka_bootstrap_servers, describe(cause)) from error
            if not isinstance(error, kafka_errors.KafkaConnectionError | OSError):
                raise as_broker_error(error, settings) from error
            closed = bool(causes) and all(map(is_closed_port, causes))
            if wait.is_over(_CONNECT_RETRY, closed=closed):
                raise BrokerUnreachable(settings.kafka_bootstrap_servers, describe(cause)) from error
            wait.announce(describe(cause), closed=closed)
            await asyncio.sleep(_CONNECT_RETRY)
    finally:
        wait.end()


class _Wait:
    """The wait of one start for a broker: how long it may last, and the one line that tells of it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._silence = self._loop.call_later(SILENT, self.announce, f"no answer within {SILENT:g} s")

    def _limit(self, *, closed: bool) -> float:
        longest, refused = self._settings.kafka_start_timeout, self._settings.kafka_refused_timeout
        return min(longest, refused) if closed and refused is not None else longest

    def is_over(self, pause: float, *, closed: bool) -> bool:
        """Whether no time is left after *pause* seconds. *closed*: every bootstrap server refused the connection."""
        return self._loop.time() + pause >= self._began + self._limit(closed=closed)

    def announce(self, cause: str, *, closed: bool = False) -> None:
        """Say once that a broker is waited for."""
        if self._silence.cancelled():
            return
        self.end()
        logger.warning(
            "no Kafka broker answers at %s yet (%s); waiting up to %g s",
            self._settings.kafka_bootstrap_servers,
            cause,
            self._limit(closed=closed),
            extra={"action": "waiting for broker"},
        )

    def end(self) -> None:
        """Say nothing from now on."""
        self._silence.cancel()


def _make_client(make: Callable[[], Any]) -> Any:
    try:
        return make()
    # For example: a compression codec is not installed, or two options exclude each other.
    except (RuntimeError, ValueError) as error:
        raise ConfigurationError(
            f"the Kafka client does not accept these settings: {describe(error)}"
        ) from error


async def stop(client: Any, seconds: float = STOP_TIMEOUT) -> None:
    """Disconnect *client* (a consumer or producer of aiokafka) within *seconds*.

    The time is limited because without a broker the client waits for the answer to its request to leave the group.
    """
    network = getattr(client, "client", None) or client._client  # noqa: SLF001 - a consumer's has no public name
    try:
        stopped = await _close_within(client.stop, seconds)
        await _cancel_tasks(client)
        if not stopped:
            await _close_within(network.close, _CLEANUP_TIMEOUT)
    finally:
        # The end of the event loop cancels this task too. Then the connections are still open.
        for connection in list(getattr(network, "_conns", {}).values()):
            connection.close()


async def _cancel_tasks(client: Any) -> None:
    """Cancel the tasks that the client leaves behind.

    These are the tasks that it ends only after the broker's answer, and a producer's flush, which waits for a sender task
    that the end of the event loop has cancelled.

    Otherwise they go on for as long as the process does. A heartbeat that finds no coordinator logs ten times a second. A
    record that was reported as not acknowledged is sent as soon as a connection is made.
    """
    parts = [client, *(getattr(client, name, None) for name in _PARTS)]
    tasks = [task for task in asyncio.all_tasks() if any(_self_of(task) is part for part in parts if part)]
    for task in tasks:
        task.cancel()
    if tasks:
        ended, _ = await asyncio.wait(tasks, timeout=_CLEANUP_TIMEOUT)
        for task in ended:
            _ = (
                task.cancelled() or task.exception()
            )  # else the event loop logs an exception that nobody retrieved


def _self_of(task: asyncio.Task[Any]) -> object:
    """Return the object whose method *task* runs, None if it runs a function. The client keeps no list of its tasks."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame.f_locals.get("self") if frame else None


async def _close_within(close: Callable[[], Awaitable[object]], seconds: float) -> bool:
    """Await *close*, at most *seconds*; return whether it finished."""
    try:
        async with asyncio.timeout(seconds):
            await close()
    except (kafka_errors.KafkaError, TimeoutError) as error:
        logger.debug("closing a client: %s", describe(error))
        return False
    except asyncio.CancelledError as error:  # may come from a task that the client has cancelled itself
        if stopping_us(error):
            raise
        return False
    return True


@asynccontextmanager
async def admin_of(settings: Settings) -> AsyncIterator[Any]:
    """Provide an admin client that is connected inside the block. Raises what ``connect`` raises."""
    options = client_options(settings, settings.kafka_client_id)
    admin = await connect(settings, lambda: AIOKafkaAdminClient(**options))
    try:
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def reader_of(settings: Settings, **options: Any) -> AsyncIterator[Any]:
    """Provide a connected consumer that joins no group and commits nothing by itself; *options* are the client's.

    Raises what ``connect`` raises.
    """

    def make() -> Any:
        shared = client_options(settings, settings.kafka_client_id)
        return AIOKafkaConsumer(enable_auto_commit=False, **options, **shared)

    client = await connect(settings, make)
    try:
        yield client
    finally:
        await stop(client)


async def _start(client: Any) -> Exception | None:
    """Start *client*. Return the error if that fails; the client is closed then."""
    close = client.close if hasattr(client, "close") else client.stop
    try:
        await client.start()
    except (kafka_errors.KafkaError, OSError, ValueError) as error:
        with contextlib.suppress(kafka_errors.KafkaError):
            await close()
        return error
    except BaseException:
        with contextlib.suppress(kafka_errors.KafkaError):
            await close()
        raise
    return None


class _LoggedCauses(logging.Filter):
    """Collects the exceptions that the client only logs, and hides their log lines.

    The client tries one bootstrap address after the other, logs why each failed, and raises a general error. The reason
    (for example a wrong password or an untrusted certificate) is only in the log.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[BaseException] = []

    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args if isinstance(record.args, tuple) else ()
        self.found += [argument for argument in arguments if isinstance(argument, BaseException)]
        return record.levelno < logging.WARNING


@contextmanager
def _logged_causes() -> Iterator[list[BaseException]]:
    causes = _LoggedCauses()
    # The loggers of the modules, not only their parent: a filter sees only records of its own logger.
    names = ("aiokafka", "aiokafka.client", "aiokafka.conn", "aiokafka.cluster")
    loggers = [logging.getLogger(name) for name in names]
    for each in loggers:
        each.addFilter(causes)
    try:
        yield causes.found
    finally:
        for each in loggers:
            each.removeFilter(causes)
