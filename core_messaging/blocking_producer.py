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

from core_messaging.discovery.project import project_settings
from core_messaging.errors import ConfigurationError, PublishFailed
from core_messaging.producer import Producer, called_from, check_kind
from core_messaging.publishing.outgoing import HeadersLike, Key
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


class _Thread:
    """An event loop in a thread of its own, with a producer; it ends when those who send have had their answers."""

    def __init__(self, settings: Settings, made_at: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.producer = Producer(settings, made_at)
        self.thread = threading.Thread(
            target=self.loop.run_forever, name="core-blocking-producer", daemon=True
        )
        self.thread.start()
        self._users = 0
        self._left = threading.Condition()

    def join(self) -> None:
        """Somebody sends by it."""
        with self._left:
            self._users += 1

    def leave(self) -> None:
        """It is over, whatever came of it."""
        with self._left:
            self._users -= 1
            self._left.notify_all()

    def end(self, seconds: float) -> None:
        """Disconnect and end the thread, each within so many *seconds*."""
        with self._left:
            self._left.wait_for(lambda: not self._users, seconds)
        asyncio.run_coroutine_threadsafe(self.producer.close(), self.loop).result(seconds)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(seconds)
        self.loop.close()


class BlockingProducer:
    """The Producer's twin for code without an event loop; safe to share between threads.

    One background thread a process sends. A forked child (gunicorn, celery) gets its own at its first send,
    because neither threads nor connections survive a fork. ``with`` gives it back at the end of the block: others may
    use it still, so it stays connected until the program ends. ``close()`` disconnects at once.
    """

    def __init__(self, settings: Settings, made_at: str) -> None:
        self._settings = settings
        self._made_at = made_at
        self._starting = threading.Lock()
        self._pid = 0
        self._current: _Thread | None = None
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
        sending = self._joined()
        future = asyncio.run_coroutine_threadsafe(work(sending.producer), sending.loop)
        try:
            return future.result(seconds)
        except TimeoutError as error:
            if future.done():
                raise  # the work's own
            future.cancel()
            raise PublishFailed(topic, f"no answer within {seconds:g} s") from error
        finally:
            sending.leave()

    def _joined(self) -> _Thread:
        """The thread that sends. It does not end before ``leave`` is called."""
        with _forking:
            if self._pid != os.getpid():
                self._forked()
        with self._starting:
            if self._current is None:
                self._current = _Thread(self._settings, self._made_at)
            self._current.join()
            return self._current

    def _forked(self) -> None:
        """In a child (or at the first use). The parent's lock may be held by a thread that does not exist here,
        and its connections are the parent's: they are kept untouched, closing them would close the parent's."""
        self._inherited = self._current
        self._starting = threading.Lock()
        self._current = None
        self._pid = os.getpid()

    def close(self) -> None:
        """Send what is waiting, and disconnect. Who sends meanwhile has the answer first; safe to repeat; a later send
        starts anew."""
        if self._pid != os.getpid():
            return
        with self._starting:
            ending, self._current = self._current, None
        if ending is not None:
            ending.end(self._settings.kafka_request_timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It is given back, see the class."""

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
