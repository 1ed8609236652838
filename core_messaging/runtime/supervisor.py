"""Several processes of the same workers: started, started again when they die, and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from core_messaging.runtime.dump_signal import DUMP, dumps_on_signal
from core_messaging.runtime.process_exit import DRAINED, FOR_GOOD
from core_messaging.runtime.restart_policy import TRIES, Restarts, shell_code
from core_messaging.runtime.signals import STOPPING, on_signals
from core_messaging.text.wording import counted

logger = logging.getLogger("core_messaging.supervisor")

STDIN = 0
NOT_STARTED = 127  # as shells have it


class Supervisor:
    """Keeps one process running in each of *count* places; the group gives each its share of the partitions.

    *environment* of a place (1 to *count*) is added to ours. A process that ends within *soon* seconds has not begun
    to work; some in a row, and nothing will come of it. One that ends with ``FOR_GOOD`` says itself that a restart
    does not help, and one that a person has drained for good with ``DRAINED``: the others go on. A signal is passed on through a pipe, its standard input: unlike a signal of ours, that is not taken
    for a second one by a process that a service manager has sent the same signal (``signals.Received``), and it waits
    for one that does not listen yet. A Ctrl-C in the terminal reaches only us: each process has a session of its own.
    When a process has died, *on_death* is called, beside the rest.
    """

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        environment: Callable[[int], Mapping[str, str]],
        soon: float,
        on_death: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._soon = soon
        self._on_death = on_death
        self._reports: set[asyncio.Task[None]] = set()
        self._command = list(command)
        self._count = count
        self._environment = environment
        self._running: dict[int, Process] = {}
        self._stopping = asyncio.Event()
        self._at_once = False
        self._gave_up_with = 0

    async def run(self) -> int:
        """Until a signal to stop, or until restarts are hopeless. The exit code: 0, or the highest of all."""
        loop = asyncio.get_running_loop()

        def pass_on_dump() -> str:
            loop.call_soon_threadsafe(
                self._pass_on_dump
            )  # the signal may have interrupted a write into the same pipe
            return f"SIGUSR1: passed on to {counted(len(self._running), 'process')}"

        with on_signals(self._stop, self._leave), dumps_on_signal(pass_on_dump):
            places = range(1, self._count + 1)
            codes = await asyncio.gather(*(self._keep(place) for place in places))
        return self._gave_up_with or max(codes)

    async def _keep(self, place: int) -> int:
        """One process after the other; the exit code of the last one."""
        loop, restarts = asyncio.get_running_loop(), Restarts(self._soon)
        while True:
            started = loop.time()
            code = await self._once(place)
            if code == DRAINED:
                _say_drained(place)
                return 0
            if self._stopping.is_set():
                return code
            if code == FOR_GOOD:
                self._stop_for_good(place)
                return code
            self._report_death()
            restarts = restarts.after(loop.time() - started)
            if restarts.hopeless:
                self._give_up(place, code)
                return code
            _say_died(place, code, restarts.delay)
            if await self._stopped_within(restarts.delay):
                return code

    async def _once(self, place: int) -> int:
        """One process, from its start to its end; its exit code."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=PIPE,  # for signals; its end tells the process that we are gone, whatever killed us
                env={**os.environ, **self._environment(place)},
                start_new_session=True,
            )
        except OSError as error:
            # A deployment has replaced the interpreter, or there is no room for one more process.
            _say_not_started(place, error)
            return NOT_STARTED
        self._running[place] = process
        if self._stopping.is_set():  # asked to while it was being started
            _pass_on(process, signal.SIGTERM)
        code = await process.wait()
        del self._running[place]
        # Ended by the signal itself: it had not begun to listen, and so not to work.
        if self._stopping.is_set() and not self._at_once and -code in STOPPING:
            return 0
        return shell_code(code)

    def _report_death(self) -> None:
        """Beside the rest: it may take as long as the broker does not answer."""
        report = asyncio.ensure_future(self._on_death())
        self._reports.add(report)
        report.add_done_callback(self._reports.discard)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True

    def _pass_on_dump(self) -> None:
        """SIGUSR1 goes through the pipe: a process that has not begun to listen would die of the signal itself."""
        if DUMP is not None:
            for process in self._running.values():
                _pass_on(process, DUMP)

    def _stop(self, number: signal.Signals) -> None:
        processes = counted(len(self._running), "process")
        logger.info("%s: passed on to %s", number.name, processes, extra={"action": "draining"})
        self._stop_all(number)

    def _leave(self, number: signal.Signals) -> None:
        """At the second signal the processes leave at once. A process that does not listen yet gets the signal itself."""
        self._at_once = True
        for process in self._running.values():
            _pass_on(process, number)
            _send(process, number)

    def _stop_all(self, number: signal.Signals = signal.SIGTERM) -> None:
        self._stopping.set()
        for process in self._running.values():
            _pass_on(process, number)

    def _stop_for_good(self, place: int) -> None:
        logger.error(
            "process %d has stopped for good, and would again after a restart; stopping all. "
            "What was not committed is delivered again at the next start. Why it stopped is above",
            place,
            extra={"action": "stopped for good", "place": place},
        )
        self._gave_up_with = self._gave_up_with or 1
        self._stop_all()

    def _give_up(self, place: int, code: int) -> None:
        logger.error(
            "process %d ended with exit code %d, %d times in a row within %g s of its start; stopping all. "
            "Nothing is lost: messages that were not committed are delivered again at the next start. Its own lines are above",
            place,
            code,
            TRIES,
            self._soon,
            extra={"action": "hopeless", "place": place},
        )
        self._gave_up_with = self._gave_up_with or code or 1
        self._stop_all()


def _pass_on(process: Process, number: signal.Signals) -> None:
    if process.stdin is not None:
        process.stdin.write(bytes([number]))  # into a pipe that has no reader any more, it is dropped


def _send(process: Process, number: signal.Signals) -> None:
    # Between the end of the process and the time we notice it, there is no receiver.
    if process.returncode is None:
        # Not its own method: that looks whether the process has ended, and then asyncio reports exit code 255 for it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _say_not_started(place: int, error: OSError) -> None:
    logger.error(
        "process %d could not be started: %s; nothing is lost, the others have its share",
        place,
        error,
        extra={"action": "not started", "place": place},
    )


def _say_died(place: int, code: int, delay: float) -> None:
    if code == 0:
        logger.info(
            "process %d ended in order; it is started again in %g s",
            place,
            delay,
            extra={"action": "restart", "place": place},
        )
        return
    logger.error(
        "process %d ended with exit code %d%s; messages that it had not committed are delivered again. "
        "It is started again in %g s",
        place,
        code,
        _signal_name(code),
        delay,
        extra={"action": "restart", "place": place},
    )


def _say_drained(place: int) -> None:
    logger.info(
        "process %d is drained for good; the others go on",
        place,
        extra={"action": "drained", "place": place},
    )


def _signal_name(code: int) -> str:
    try:
        return f" ({signal.Signals(code - 128).name})" if code > 128 else ""  # noqa: PLR2004 - as shells have it
    except ValueError:
        return ""


def pipe_from_supervisor() -> int:
    """The file descriptor to read the supervisor's signals from.

    Taken away from the standard input, so that nothing that this process starts reads them in its place.
    """
    orders = os.dup(STDIN)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, STDIN)
    os.close(nothing)
    return orders
