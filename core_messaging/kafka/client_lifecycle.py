"""Patience at the start: a broker may come up after us, but one that refuses us will not change its mind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient

from core_messaging.concurrency.cancellation import stopping_us
from core_messaging.errors import BrokerRefused, BrokerUnreachable, ConfigurationError
from core_messaging.kafka.aiokafka_patches import patch_aiokafka
from core_messaging.kafka.client_config import client_options
from core_messaging.kafka.errors import as_broker_error, describe, is_refusal
from core_messaging.settings import Settings

_AGAIN = 0.5  # seconds between two tries
STOP = 10.0  # seconds a client has to flush and disconnect
_LEFT = 1.0  # seconds for the tasks of one that was not let go in that time, and for its connections
# The client's parts, of a producer or a consumer, that have tasks.
_PARTS = ("client", "_sender", "_message_accumulator", "_client", "_fetcher", "_coordinator")

logger = logging.getLogger("core_messaging.kafka")


async def connect(settings: Settings, make: Callable[[], Any]) -> Any:
    """A client of *make* that is started; a new one for every try, because one that failed cannot start again.

    Raises BrokerRefused and ConfigurationError at once, BrokerUnreachable after ``kafka_start_timeout`` seconds.
    """
    patch_aiokafka()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + settings.kafka_start_timeout
    announced = False
    while True:
        client = _made(make)
        with _causes() as causes:
            error = await _try(client)
        if error is None:
            return client
        cause = next(filter(is_refusal, causes), causes[-1] if causes else error)
        if is_refusal(cause):
            raise BrokerRefused(settings.kafka_bootstrap_servers, describe(cause)) from error
        if not isinstance(error, kafka_errors.KafkaConnectionError | OSError):
            raise as_broker_error(error, settings) from error
        if loop.time() + _AGAIN >= deadline:
            raise BrokerUnreachable(settings.kafka_bootstrap_servers, describe(cause)) from error
        if not announced:
            announced = True
            logger.warning(
                "no Kafka broker answers at %s yet (%s); waiting up to %g s",
                settings.kafka_bootstrap_servers,
                describe(cause),
                settings.kafka_start_timeout,
                extra={"action": "waiting for broker"},
            )
        await asyncio.sleep(_AGAIN)


def _made(make: Callable[[], Any]) -> Any:
    try:
        return make()
    # A codec that is not installed, options that exclude each other.
    except (RuntimeError, ValueError) as error:
        raise ConfigurationError(
            f"the Kafka client does not take these settings: {describe(error)}"
        ) from error


async def stop(client: Any, seconds: float = STOP) -> None:
    """Disconnect within *seconds*: with no broker there, the client would wait for its answer to "I am leaving"."""
    stopped = await _ended(client.stop, seconds)
    await _cancel_tasks(client)
    if not stopped:
        await _ended((getattr(client, "client", None) or client._client).close, _LEFT)  # noqa: SLF001 - the consumer's


async def _cancel_tasks(client: Any) -> None:
    """End the tasks that the client leaves behind: those it would have ended after the broker's answer, and a producer's
    flush, which waits for a sender that the end of the event loop has cancelled.

    Else they live on in a process that does: a heartbeat that finds no coordinator says so ten times a second, and what
    was said not to be acknowledged is sent as soon as a connection comes about.
    """
    parts = [client, *(getattr(client, name, None) for name in _PARTS)]
    tasks = [task for task in asyncio.all_tasks() if any(_self_of(task) is part for part in parts if part)]
    for task in tasks:
        task.cancel()
    if tasks:
        ended, _ = await asyncio.wait(tasks, timeout=_LEFT)
        for task in ended:
            _ = task.cancelled() or task.exception()  # looked at, or the loop would complain


def _self_of(task: asyncio.Task[Any]) -> object:
    """The object whose method *task* runs, if it is one: the client keeps no list of its tasks."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame.f_locals.get("self") if frame else None


async def _ended(close: Callable[[], Awaitable[object]], seconds: float) -> bool:
    """Close something of the client's; whether it was done in so many *seconds*."""
    try:
        async with asyncio.timeout(seconds):
            await close()
    except (kafka_errors.KafkaError, TimeoutError) as error:
        logger.debug("closing a client: %s", describe(error))
        return False
    except asyncio.CancelledError as error:  # the client's, of a task that it has cancelled itself
        if stopping_us(error):
            raise
        return False
    return True


@asynccontextmanager
async def admin_of(settings: Settings) -> AsyncIterator[Any]:
    """An admin client that is connected inside the block. Raises what ``connect`` raises."""
    options = client_options(settings, settings.kafka_client_id)
    admin = await connect(settings, lambda: AIOKafkaAdminClient(**options))
    try:
        yield admin
    finally:
        await admin.close()


async def _try(client: Any) -> Exception | None:
    stop = client.close if hasattr(client, "close") else client.stop
    try:
        await client.start()
    except (kafka_errors.KafkaError, OSError, ValueError) as error:
        with contextlib.suppress(kafka_errors.KafkaError):
            await stop()
        return error
    except BaseException:
        with contextlib.suppress(kafka_errors.KafkaError):
            await stop()
        raise
    return None


class _Causes(logging.Filter):
    """Keeps the exceptions that the client only logs, and the lines themselves from the user's screen.

    The client's bootstrap tries one address after the other, logs why each failed and raises a general error;
    the reason (wrong password, foreign certificate) is nowhere else to be had.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[BaseException] = []

    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args if isinstance(record.args, tuple) else ()
        self.found += [argument for argument in arguments if isinstance(argument, BaseException)]
        return record.levelno < logging.WARNING


@contextmanager
def _causes() -> Iterator[list[BaseException]]:
    causes = _Causes()
    # The loggers of the modules, not their parent: a filter sees only what is logged on its own logger.
    names = ("aiokafka", "aiokafka.client", "aiokafka.conn", "aiokafka.cluster")
    loggers = [logging.getLogger(name) for name in names]
    for each in loggers:
        each.addFilter(causes)
    try:
        yield causes.found
    finally:
        for each in loggers:
            each.removeFilter(causes)
