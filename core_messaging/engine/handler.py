"""A worker's methods behind one way of calling them: ``await handler.process(message, context)``."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from types import TracebackType
from typing import Any, Self

from core_messaging.codecs import Codec, Decoder, Encoder, decoder_for, encode
from core_messaging.concurrency.fork_safety import leave_forked_child
from core_messaging.config import WorkerConfig
from core_messaging.definition.method_checks import check_method
from core_messaging.definition.signatures import is_async, takes_context
from core_messaging.engine.clock import clock_of
from core_messaging.engine.handler_threads import Concerns, Threads
from core_messaging.engine.runner_pool import RunnerPool
from core_messaging.errors import AttemptTimeout, BrokenWorker, NothingRan
from core_messaging.worker import Worker, gets_tuples, message_type

logger = logging.getLogger(__name__)

Call = Callable[..., Awaitable[Any]]

SHORT = 0.002  # seconds; timers of uvloop are as exact as whole milliseconds


class Handler:
    """The user's code, bound to one instance and ready to call.

    ``process`` is ``process_batch`` where the worker defines that only. ``on_success``, ``on_error`` and ``on_undecodable`` are None where the worker does not define them.
    """

    def __init__(
        self,
        worker: Worker,
        config: WorkerConfig,
        threads: Threads,
        codec: Codec | None = None,
    ) -> None:
        self.worker = worker
        self.config = config
        self._threads = threads
        annotation = message_type(type(worker))
        self.decode: Decoder = (codec.decoder_for if codec else decoder_for)(annotation)
        self.encode: Encoder = codec.encoder if codec else encode
        self.on_success = self._find("on_success", _of_two_facts)
        self.on_error = self._find("on_error", _of_two_facts)
        self.on_undecodable = self._find("on_undecodable", _of_two_facts)
        process = self._find_limited("process", _of_one_fact)
        shape = _of_a_tuple if gets_tuples(type(worker)) else _of_one_fact
        self.process_batch = self._find_limited("process_batch", shape)
        call = self.process_batch or process
        if call is None:
            raise BrokenWorker(config.name, config.source, "it defines neither process nor process_batch")
        self.process = process or call
        if process is None and config.batch_size is None:
            raise BrokenWorker(config.name, config.source, "it defines process_batch without a batch_size")
        methods = ("process", "process_batch", "on_success", "on_error", "on_undecodable")
        defined = (getattr(worker, method, None) for method in methods)
        self.wants_context = any(takes_context(method) for method in defined if method is not None)
        # ``process`` with the message alone, where nothing takes a context: one call less for each message.
        self.process_alone = None if self.wants_context else self._find_limited("process", _as_it_is)

    def give_back(self, runner_pool: RunnerPool, concerns: Concerns) -> None:
        """Handlers of *runner_pool* that wait for a thread, and whose job *concerns* accepts, do not begin any more."""
        self._threads.give_back(runner_pool, concerns)

    def _find(self, method: str, shape: Callable[..., Call]) -> Call | None:
        """*method* as a coroutine function of its facts and then the context; None if it is not defined."""
        function = getattr(self.worker, method, None)
        if function is None:
            return None
        # Checked again, because a constructor may have set it after the class was checked.
        check_method(self.config.name, method, function)
        call = function if is_async(function) else self._in_thread(method, function)
        return shape(call, context=takes_context(function))

    def _in_thread(self, method: str, function: Callable[..., Any]) -> Call:
        threads, handles = self._threads, method in ("process", "process_batch")
        seconds, worker = self.config.timeout, self.config.name
        # A decorator may hide an async def. Of those that wait for a thread, ``concurrency`` may run.
        hidden = nullcontext() if self.config.batch_size else asyncio.Semaphore(self.config.concurrency)

        async def call(*facts: Any, **named: Any) -> Any:
            copied = contextvars.copy_context()
            run = functools.partial(copied.run, _outcome, function, facts, named)
            if not handles:
                raised, value = await threads.call_back(run)
            elif seconds is None:
                raised, value = await threads.handle(run, _nothing)
            else:
                with _Watched(seconds, worker, named.get("context")) as watched:
                    raised, value = await threads.handle(run, watched.begins)
            if raised:
                raise value
            if inspect.isawaitable(value):
                async with hidden:
                    return await value
            return refuse_generator(method, value)

        return call

    def _find_limited(self, method: str, shape: Callable[..., Call]) -> Call | None:
        """*method* under the worker's ``timeout`` an attempt; that of a thread begins with the thread."""
        call, seconds = self._find(method, shape), self.config.timeout
        if call is None or seconds is None or not is_async(getattr(self.worker, method)):
            return call
        return _cancelled_after(seconds, call)


def _nothing() -> None: ...


def _cancelled_after(seconds: float, call: Call) -> Call:
    async def limited(*facts: Any) -> Any:
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                return await call(*facts)
        except TimeoutError as error:
            # A TimeoutError of the user's own code is the user's failure, not our limit.
            if scope.expired():
                raise AttemptTimeout(seconds) from error
            raise

    return limited


class _Watched:
    """Logs a plain ``def`` that takes too long, and waits for it.

    A thread cannot be stopped, and a second attempt beside the first would break the order of its key. The handler can look
    at ``context.deadline`` itself.
    """

    def __init__(self, seconds: float, worker: str, context: Any) -> None:
        self._seconds = seconds
        self._worker = worker
        self._contexts = context if isinstance(context, list | tuple) else [context] if context else []
        self._loop = asyncio.get_running_loop()
        self._clock = clock_of(self._loop)
        self._began: float | None = None  # set in the thread
        self._timer = self._loop.call_later(seconds, self._look)

    def begins(self) -> None:
        """The handler starts, in its thread, and with it the time of the attempt."""
        self._began = self._clock()
        for context in self._contexts:
            context.deadline = self._began + self._seconds

    def _look(self) -> None:
        """The time is over, unless the handler began later than it was asked for."""
        left = self._seconds if self._began is None else self._began + self._seconds - self._clock()
        if left > SHORT:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._say_late()

    def _say_late(self) -> None:
        logger.warning(
            "%s: a plain def handler runs longer than timeout = %g s; a thread cannot be stopped, "
            "so its message waits; use async def, or check context.deadline",
            self._worker,
            self._seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()


def _outcome(function: Callable[..., Any], facts: tuple[Any, ...], named: dict[str, Any]) -> tuple[bool, Any]:
    """Run in a thread.

    The outcome comes back as a value: a StopIteration set on a future would hang its waiter for ever, and a
    SystemExit would end the thread of the pool instead of the attempt.
    """
    process = os.getpid()
    try:
        outcome: tuple[bool, Any] = False, function(*facts, **named)
    except BaseException as error:
        outcome = True, error
    if os.getpid() != process:  # the handler has forked, and this is the child
        leave_forked_child(outcome[1] if outcome[0] else None)
    return outcome


def refuse_generator(method: str, value: Any) -> Any:
    """*value*, unless it is a generator that a decorator has hidden: then nothing of the method ran. Raises NothingRan."""
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise NothingRan(method)
    return value


# Not async: the caller awaits the handler's own coroutine, one frame fewer on the hot path. Two of each, because
# unpacking "whatever comes before the context" is paid with every message.
def _of_one_fact(call: Call, *, context: bool) -> Call:
    if context:
        return lambda fact, context: call(fact, context=context)
    return lambda fact, _context: call(fact)


def _of_a_tuple(call: Call, *, context: bool) -> Call:
    if context:
        return lambda messages, context: call(tuple(messages), context=context)
    return lambda messages, _context: call(tuple(messages))


def _as_it_is(call: Call, *, context: bool) -> Call:  # noqa: ARG001 - shapes are called alike
    return call


def _of_two_facts(call: Call, *, context: bool) -> Call:
    if context:
        return lambda first, second, context: call(first, second, context=context)
    return lambda first, second, _context: call(first, second)
