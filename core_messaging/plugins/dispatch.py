"""Calls the observers of an event: isolates them from each other, times them, switches off those that keep failing."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Generator, Hashable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from time import monotonic
from typing import Any

import pluggy

from core_messaging.errors import NothingRan, text_of
from core_messaging.logs.throttle import Throttle, also
from core_messaging.logs.throttled_log import LogThrottle, words_of
from core_messaging.logs.tracebacks import exc_info_of, kind_of
from core_messaging.observers import Tell
from core_messaging.plugins.call_timing import traced
from core_messaging.plugins.circuit_breaker import Breaker
from core_messaging.plugins.hook_check import positional
from core_messaging.plugins.isolation import IsolatedCall, wait_within

logger = logging.getLogger("core_messaging.plugins")

SLOW = 0.1  # seconds that an implementation may hold the event loop before a line names it


def _now() -> float:
    return monotonic()


class Implementation:
    """One plugin's function for one hook, with its number of calls and failures and its time in seconds.

    ``limit``: seconds that a call may take; a longer one is a failure.
    """

    __slots__ = (
        "_pick",
        "_shown",
        "_throttle",
        "_usual_time",
        "arguments",
        "breaker",
        "calls",
        "failures",
        "function",
        "hook",
        "limit",
        "plugin",
        "seconds",
    )

    def __init__(self, hook: str, impl: pluggy.HookImpl, limit: float) -> None:
        self.hook = hook
        self.plugin = impl.plugin_name
        self.arguments, self.function = positional(impl.function)
        self._pick = _picker(self.arguments)
        self.limit = limit
        self.breaker = Breaker()
        self.calls = 0
        self.failures = 0
        self.seconds = 0.0
        self._throttle = LogThrottle(10.0, _now, self._log_held_back)
        self._shown = Throttle(math.inf)  # kinds of failures whose traceback is in the log
        self._usual_time = min(SLOW, limit)

    def trace(self) -> None:
        """Log each later call with its time."""
        self.function = traced(self.plugin, self.hook, self.arguments, self.function)

    def tell(self, **facts: Any) -> Pending | None:
        """Call the function with those of *facts* that it names. Never raises.

        Return the running call if the function is async, else None.
        """
        started = monotonic()
        if self.breaker.opened_at is not None and not self.breaker.allows(started):
            return None
        self.calls += 1
        try:
            outcome = self.function(*self._pick(facts))
        except BaseException as error:
            self.seconds += monotonic() - started
            self._failed(error)
            return None
        if outcome is not None:
            if inspect.isawaitable(outcome):
                return Pending(self, IsolatedCall(outcome), started)
            if inspect.isgenerator(outcome) or inspect.isasyncgen(
                outcome
            ):  # the check did not see the yield, because of a decorator
                self.seconds += monotonic() - started
                self._failed(NothingRan(self.hook))
                return None
        seconds = monotonic() - started
        self.seconds += seconds
        # This check is not a function: it runs for every message.
        if seconds > self._usual_time or self.breaker.failures:
            self._succeeded(seconds)
        return None

    def finished(self, call: IsolatedCall) -> None:
        """Note the outcome of an async call that has ended, or whose time has passed."""
        if not call.task.done():
            call.give_up()
            self._failed(TimeoutError(f"took longer than plugin_timeout = {self.limit:g} s"))
        elif call.error is not None:
            self._failed(call.error)
        else:
            self._succeeded(call.held)

    def _succeeded(self, held: float) -> None:
        """Note a call that raised nothing and held the event loop for *held* seconds. Too long is a failure."""
        if held > self.limit:
            self._failed(
                TimeoutError(
                    f"held the event loop for {held:.2g} s, longer than plugin_timeout = {self.limit:g} s"
                )
            )
            return
        if self.breaker.failures and self.breaker.succeeded():
            logger.warning(
                "plugin %s: %s works again", self.plugin, self.hook, extra=self._tag("plugin recovered")
            )
        if held > SLOW:
            self._warn_slow(held)

    def _failed(self, error: BaseException) -> None:
        self.failures += 1
        now, kind = monotonic(), kind_of(error)
        is_new = self._shown.pass_through(kind, now) is not None
        trace = exc_info_of(error) if is_new or logger.isEnabledFor(logging.DEBUG) else None
        if self.breaker.failed(now):
            logger.error(
                "plugin %s: %s failed %d times in a row and is switched off for %g s; messages are not affected. "
                "The last error: %s: %s",
                self.plugin,
                self.hook,
                self.breaker.failures,
                self.breaker.cooldown,
                type(error).__name__,
                text_of(error),
                exc_info=trace,
                extra=self._tag("plugin switched off"),
            )
        elif (swallowed := self._throttle.pass_through(kind, now)) is not None:
            logger.error(
                "plugin %s: %s raised %s: %s; the message is not affected%s",
                self.plugin,
                self.hook,
                type(error).__name__,
                text_of(error),
                also(swallowed),
                exc_info=trace,
                extra=self._tag("plugin failed"),
            )

    def _warn_slow(self, seconds: float) -> None:
        swallowed = self._throttle.pass_through("slow", monotonic())
        if swallowed is not None:
            logger.warning(
                "plugin %s: %s held the event loop for %.2g s; await something asynchronous in it, or do less%s",
                self.plugin,
                self.hook,
                seconds,
                also(swallowed),
                extra=self._tag("plugin slow"),
            )

    def end(self) -> None:
        """Log the number of lines that were held back. Call it last."""
        self._throttle.end()

    def _log_held_back(self, kind: Hashable, count: int) -> None:
        logger.warning(
            "plugin %s: %s: %d more like the last line about %s",
            self.plugin,
            self.hook,
            count,
            words_of(kind),
            extra=self._tag("held back") | {"count": count},
        )

    def _tag(self, action: str) -> dict[str, Any]:
        return {"plugin": self.plugin, "action": action}


def _picker(arguments: tuple[str, ...]) -> Callable[[dict[str, Any]], Sequence[Any]]:
    """Return a function that picks the facts that *arguments* name. It is made once, and called for every message."""
    match arguments:
        case ():
            return lambda _facts: ()
        case (name,):  # an itemgetter with one name returns no tuple
            return lambda facts: (facts[name],)
        case _:
            return itemgetter(*arguments)


@dataclass(frozen=True, slots=True)
class Pending:
    """A running call of an async implementation. ``started``: seconds of the monotonic clock."""

    implementation: Implementation
    call: IsolatedCall
    started: float

    def __await__(self) -> Generator[Any, None, None]:
        return _wait_for_all([self]).__await__()

    def add_time(self) -> None:
        """Add the seconds of this call to its implementation. Other calls that were awaited with it do not count."""
        ended = monotonic() if self.call.ended is None else self.call.ended
        self.implementation.seconds += ended - self.started


def tell_all(implementations: Sequence[Implementation]) -> Tell | None:
    """Return one function that calls all *implementations*; None if there are none, so nothing is called."""
    match implementations:
        case []:
            return None
        case [only]:  # the most frequent case: it saves one function call for every message
            return only.tell
    tells = [implementation.tell for implementation in implementations]

    def tell_each(**facts: Any) -> Awaitable[None] | None:
        pending: list[Pending] | None = None
        for tell in tells:
            waiting = tell(**facts)
            if waiting is not None:
                pending = [waiting] if pending is None else [*pending, waiting]
        return None if pending is None else _wait_for_all(pending)

    return tell_each


async def _wait_for_all(pending: Sequence[Pending]) -> None:
    """Wait until all calls have ended, or until the longest limit has passed.

    The calls run at the same time: one that hangs delays the message by its limit, and does not delay the others.
    """
    try:
        await wait_within(max(each.implementation.limit for each in pending), [each.call for each in pending])
    finally:
        for each in pending:
            each.add_time()
    for each in pending:
        each.implementation.finished(each.call)
