"""How the workers of a process are stopped: by a signal, by a person, or because one of them fails; and within which time."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from core_messaging.runtime.announcements import say_ends, say_leaving, say_stopping, say_took_too_long
from core_messaging.runtime.engines import Engines
from core_messaging.runtime.process_exit import DRAINED
from core_messaging.runtime.run_options import RunOptions

# Seconds beyond shutdown_timeout in which a handler that was cancelled has to end, and the broker to answer.
GRACE = 3.0


class Shutdown:
    """Stops *engines* and the start of their process, and ends the process where that takes too long.

    Make it in the task that runs the workers. ``is_requested``: by a signal, by the program, or by a worker that fails.
    """

    def __init__(self, engines: Engines, options: RunOptions) -> None:
        self._engines, self._options = engines, options
        self._task = asyncio.current_task()
        self._starting: asyncio.Task[None] | None = None
        self._for_good = False  # drained, and not to be started again
        self._phase = ""  # what is waited for before the workers begin and after they have ended
        self._limit: asyncio.TimerHandle | None = None
        self.is_requested = False

    def enter(self, phase: str) -> None:
        """*phase*: what is waited for from now on."""
        self._phase = phase

    async def close(self, phase: str, close: Callable[[], Awaitable[None]]) -> None:
        """Await *close*, which is called *phase* where it holds up the end."""
        self.enter(phase)
        await close()

    async def unless_requested(self, phase: str, step: Coroutine[Any, Any, None]) -> bool:
        """Do one step of the start. False: asked to stop meanwhile; a task of its own, so that it can be left."""
        self.enter(phase)
        self._starting = asyncio.create_task(step, name="start")
        try:
            await self._starting
        except asyncio.CancelledError:
            mine = asyncio.current_task()
            if not self.is_requested or (mine is not None and mine.cancelling()):
                raise
        # False if the request came after the task had ended: there was nothing to cancel.
        return not self.is_requested

    def request(self) -> None:
        """Ask all workers to stop, and limit the time that they have."""
        self.is_requested = True
        self._engines.request_stop()
        self._limit_the_end()

    def worker_ends(self, worker: str, error: BaseException) -> None:
        """*worker* begins to end by itself. Logged now, because its end may take long, and the process ends with it."""
        if not self.is_requested:
            say_ends(worker, error, self._engines.others(worker))
        self.request()

    def first_signal(self, number: signal.Signals) -> None:
        """Stop in order."""
        begun = "" if self._engines else "; nothing had begun"
        self._stop(f"{number.name}: stopping{self._waits_for()}{begun}. Again to leave at once")

    def second_signal(self, number: signal.Signals) -> None:
        """End the process at once."""
        say_leaving(number)
        self._exit(128 + number)

    def drain(self, *, for_good: bool) -> None:
        """Stop in order, because a person has asked for it through the control topic.

        *for_good*: a supervisor does not start the process again.
        """
        self._for_good = for_good
        self._stop(f"drain: stopping{self._waits_for()}")

    def over(self) -> None:
        """All is closed: time is not limited any more."""
        if self._limit is not None:
            self._limit.cancel()

    def leave_for_good(self) -> None:
        """Tell the supervisor, if there is one, not to start this process again where a person has drained it for good."""
        if self._for_good and self._options.orders is not None:
            self._exit(DRAINED)

    def _waits_for(self) -> str:
        held_up = self._engines.running() or self._engines.phases()
        return (
            f", waiting up to {self._options.settings.shutdown_timeout:g} s for {held_up}" if held_up else ""
        )

    def _stop(self, why: str) -> None:
        say_stopping(why)
        self.request()
        if self._starting is not None:
            self._starting.cancel()

    def _limit_the_end(self) -> None:
        """A handler that swallows its cancellation cannot be ended from inside the loop, and a broker that is silent has its time for the last commit, the leave and the last records, one after the other."""
        if self._options.exit_now is not None and self._limit is None:
            seconds = self._options.settings.shutdown_timeout + GRACE
            self._limit = asyncio.get_running_loop().call_later(seconds, self._too_late, seconds)

    def _too_late(self, seconds: float) -> None:
        running = self._engines.running()
        why = (
            f"{running}, not ended or not acknowledged" if running else self._engines.phases() or self._phase
        )
        say_took_too_long(seconds, why)
        self._exit(1)

    def _exit(self, code: int) -> None:
        if self._options.exit_now is not None:
            self._options.exit_now(code)
        else:
            # Ours only: the loop may be a host's. Each of them, because whoever waits for another one hears of it late.
            for task in (self._task, *self._engines.tasks):
                if task is not None:
                    task.cancel()
