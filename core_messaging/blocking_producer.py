"""Publish from synchronous code: a Django or Flask view, a script, a thread."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from core_messaging.errors import ConfigurationError, PublishFailed
from core_messaging.producer import HeadersLike, Key, Producer, called_from, check_kind
from core_messaging.project import project_settings
from core_messaging.records import Receipt
from core_messaging.settings import Settings

Result = TypeVar("Result")


# Held while a producer finds out whether it is in a child. New in each child: a thread of the parent may have held it.
_forking = threading.Lock()


def _fork_unlocked() -> None:
    global _forking  # noqa: PLW0603 - the one thing here that belongs to the process
    _forking = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fork_unlocked)


class BlockingProducer:
    """The Producer's twin for code without an event loop; safe to share between threads.

    One background thread a process sends. A forked child (gunicorn, celery) gets its own at its first send,
    because neither threads nor connections survive a fork.
    """

    def __init__(self, settings: Settings, made_at: str) -> None:
        self._settings = settings
        self._made_at = made_at
        self._starting = threading.Lock()
        self._pid = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._producer: Producer | None = None
        self._inherited: object = None
        atexit.register(self.close)

    def send(
        self,
        *,
        topic: str,
        message: Any,
        key: Key = None,
        headers: HeadersLike = (),
        partition: int | None = None,
        timestamp: datetime | int | None = None,
    ) -> Receipt:
        """As ``Producer.send``; returns when the broker has acknowledged."""
        return self._run(
            lambda producer: producer.send(
                topic=topic,
                message=message,
                key=key,
                headers=headers,
                partition=partition,
                timestamp=timestamp,
            ),
            topic,
            self._patience,
        )

    def send_many(
        self, *, topic: str, messages: Iterable[Any], key: Callable[[Any], Key] | None = None
    ) -> list[Receipt]:
        """As ``Producer.send_many``. *messages* is read in the background thread."""
        # No limit for all of them together, of which there may be very many: for hearing nothing of any.
        return self._run(
            lambda producer: producer.send_many(
                topic=topic, messages=messages, key=key, patience=self._patience
            ),
            topic,
        )

    @property
    def _patience(self) -> float:
        """Seconds to connect, and to be answered."""
        return self._settings.kafka_start_timeout + self._settings.kafka_request_timeout

    def _run(
        self,
        work: Callable[[Producer], Coroutine[Any, Any, Result]],
        topic: str,
        seconds: float | None = None,
    ) -> Result:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise ConfigurationError(
                "a blocking producer would block the running event loop; await get_producer(...).send(...) instead"
            )
        loop, producer = self._ready()
        future = asyncio.run_coroutine_threadsafe(work(producer), loop)
        try:
            return future.result(seconds)
        except TimeoutError as error:
            if future.done():
                raise  # the work's own
            future.cancel()
            raise PublishFailed(topic, f"no answer within {seconds:g} s") from error

    def _ready(self) -> tuple[asyncio.AbstractEventLoop, Producer]:
        with _forking:
            if self._pid != os.getpid():
                self._forked()
        with self._starting:
            if self._loop is None or self._producer is None:
                self._loop = asyncio.new_event_loop()
                self._producer = Producer(self._settings, self._made_at)
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="core-blocking-producer", daemon=True
                )
                self._thread.start()
            return self._loop, self._producer

    def _forked(self) -> None:
        """In a child (or at the first use). The parent's lock may be held by a thread that does not exist here,
        and its connections are the parent's: they are kept untouched, closing them would close the parent's."""
        self._inherited = (self._loop, self._producer, self._thread)
        self._starting = threading.Lock()
        self._loop = self._producer = self._thread = None
        self._pid = os.getpid()

    def close(self) -> None:
        """Send what is waiting, and disconnect. Safe to repeat; a later send starts anew."""
        if self._pid != os.getpid():
            return
        with self._starting:
            loop, producer, thread = self._loop, self._producer, self._thread
            self._loop = self._producer = self._thread = None
            if loop is None or producer is None or thread is None:
                return
            asyncio.run_coroutine_threadsafe(producer.close(), loop).result(
                self._settings.kafka_request_timeout
            )
            loop.call_soon_threadsafe(loop.stop)
            thread.join(self._settings.kafka_request_timeout)
            loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<BlockingProducer of {self._settings.kafka_bootstrap_servers}>"


_shared: dict[int | None, BlockingProducer] = {}
_sharing = threading.Lock()


def get_blocking_producer(kind: str = "kafka", *, settings: Settings | None = None) -> BlockingProducer:
    """The blocking producer of this process; the same one at every call with the same settings.

    *settings* None: those of the project in the current folder. Raises ConfigurationError for an unknown *kind*.
    """
    check_kind(kind)
    identity = None if settings is None else id(settings)  # as in get_producer
    with _sharing:
        if identity not in _shared:
            _shared[identity] = BlockingProducer(settings or project_settings(), called_from())
        return _shared[identity]
