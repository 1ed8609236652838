"""Publishes from synchronous code: a Django or Flask view, a script, a thread."""

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


# Held while a producer checks whether it is in a forked child. Each child gets a new lock: a thread of the parent may have
# held the old one.
_forking = threading.Lock()


def _fork_unlocked() -> None:
    global _forking  # noqa: PLW0603 - one lock for each process
    _forking = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fork_unlocked)


class _Thread:
    """An event loop with a producer, in a thread of its own. It ends when all calls that send have their answers."""

    def __init__(self, settings: Settings, made_at: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.producer = Producer(settings, made_at)
        self.thread = threading.Thread(
            target=self.loop.run_forever, name="core-blocking-producer", daemon=True
        )
        self.thread.start()
        self._users = 0
        self._user_left = threading.Condition()

    def add_user(self) -> None:
        """Note that a call sends with this thread."""
        with self._user_left:
            self._users += 1

    def remove_user(self) -> None:
        """Note that the call has ended, with or without an error."""
        with self._user_left:
            self._users -= 1
            self._user_left.notify_all()

    def end(self, seconds: float) -> None:
        """Wait for the calls that send, disconnect, and end the thread, each within *seconds*."""
        with self._user_left:
            self._user_left.wait_for(lambda: not self._users, seconds)
        asyncio.run_coroutine_threadsafe(self.producer.close(), self.loop).result(seconds)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(seconds)
        self.loop.close()


class BlockingProducer:
    """A Producer for code without an event loop. Several threads may share it. Made by ``get_blocking_producer``.

    One background thread in each process sends. A forked child (gunicorn, celery) gets its own thread at its first send,
    because neither threads nor connections survive a fork. The end of a ``with`` block does not disconnect, because other
    code may use the same producer; it stays connected until the program ends. ``close()`` disconnects at once.
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
        """Publish one message; return where it is stored, when the broker has acknowledged it.

        The arguments and errors are those of ``Producer.send``. Raises ConfigurationError inside a running event loop, and
        PublishFailed without an answer within ``kafka_start_timeout`` plus ``kafka_request_timeout`` seconds.
        """
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
        """Publish many messages; return their receipts in order.

        The arguments and errors are those of ``Producer.send_many``. *messages* is read in the background thread.
        """
        # The time is not limited for all messages together, because there may be very many. It is limited for a time without
        # any acknowledgement.
        return self._run(
            lambda producer: producer.send_many(
                topic=topic, messages=messages, key=key, patience=self._patience
            ),
            topic,
        )

    @property
    def _patience(self) -> float:
        """Seconds to connect and to get an answer."""
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
        thread = self._thread()
        future = asyncio.run_coroutine_threadsafe(work(thread.producer), thread.loop)
        try:
            return future.result(seconds)
        except TimeoutError as error:
            if future.done():
                raise  # the work itself raised it
            future.cancel()
            raise PublishFailed(topic, f"no answer within {seconds:g} s") from error
        finally:
            thread.remove_user()

    def _thread(self) -> _Thread:
        """Return the thread that sends. It does not end before ``remove_user`` is called."""
        with _forking:
            if self._pid != os.getpid():
                self._start_in_this_process()
        with self._starting:
            if self._current is None:
                self._current = _Thread(self._settings, self._made_at)
            self._current.add_user()
            return self._current

    def _start_in_this_process(self) -> None:
        """Begin without a thread: in a forked child, or at the first use.

        A thread that does not exist in the child may hold the parent's lock. The connections belong to the parent: the child
        keeps them and does not touch them, because closing them would close those of the parent.
        """
        self._inherited = self._current
        self._starting = threading.Lock()
        self._current = None
        self._pid = os.getpid()

    def close(self) -> None:
        """Send what is waiting, wait for the answers, and disconnect. Safe to repeat; a later send connects again."""
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
        """Do nothing; see the class."""

    def __repr__(self) -> str:
        return f"<BlockingProducer of {self._settings.kafka_bootstrap_servers}>"


_shared: dict[int | None, BlockingProducer] = {}
_sharing = threading.Lock()


def get_blocking_producer(kind: str = "kafka", *, settings: Settings | None = None) -> BlockingProducer:
    """Return the blocking producer of this process; the same one at every call with the same settings.

    *kind*: only "kafka". *settings*: None uses those of the project in the current folder.

    Raises ConfigurationError for another *kind*, or for wrong settings.
    """
    check_kind(kind)
    identity = None if settings is None else id(settings)  # as in get_producer
    with _sharing:
        if identity not in _shared:
            _shared[identity] = BlockingProducer(settings or project_settings(), called_from())
        return _shared[identity]
