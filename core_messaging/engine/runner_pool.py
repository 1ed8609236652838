"""Which runner holds which job, and how idle runners are woken."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core_messaging.concurrency.cancellation import being_closed, forget_cancellations
from core_messaging.concurrency.fork_safety import leave_forked_child
from core_messaging.rules.assignment import AssignmentState
from core_messaging.rules.job import Job

# Heartbeats, fetches and signals are on the same event loop. A handler that never suspends would keep the loop for
# itself. Yielding every 5 ms keeps them prompt, and its cost cannot be measured.
TURN = 0.005  # seconds


@dataclass(frozen=True, slots=True)
class Held:
    """Runner ``slot`` holds ``message``, for ``seconds``; 0 while it waits for a thread. ``message``: coordinates."""

    slot: int
    message: str
    seconds: float


class Idle:
    """Runners that wait for something to do."""

    def __init__(self) -> None:
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._coming = 0  # woken, and not on the loop yet

    async def wait(self) -> None:
        """Until ``wake``. No job can slip between an empty ``take`` and this: nothing awaits in between."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._coming -= waiter.done() and not waiter.cancelled()

    def wake(self, count: int) -> None:
        """Let up to *count* idle runners look for work."""
        while count > 0 and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._coming += 1
                count -= 1

    def wake_one(self) -> None:
        """Let one idle runner look for work, unless one is on its way: it wakes others if there is too much for one.

        The answers of a hundred records come in one turn of the loop, and a runner may be enough for all.
        """
        if not self._coming:
            self.wake(1)


class RunnerPool:
    """The runners of one worker. ``current[i]`` is what runner *i* holds (a Job or a batch), None while it waits.

    The first *count* runners call the handler. As many more settle what needs no handler (``settlers``). ``since[i]`` is when
    runner *i* began with what it holds, by the event loop's clock in seconds; infinity while it waits for a thread.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.current: list[Any] = [None] * (2 * count)
        self.since: list[float] = [0.0] * (2 * count)
        self.runners = Idle()
        self.settlers = Idle()
        self.unacked: set[Job] = (
            set()
        )  # the broker has their records and has not answered; they hold no runner
        self.ending = False  # the runners are being cancelled: what they bring from now on counts for nothing
        self.turn_ends = 0.0  # when a runner yields to the event loop; 0: after each message
        self._forked = False  # this is the copy of a handler's forked child
        self._fetch_taken = asyncio.Event()
        self._job_ended: asyncio.Event | None = None  # while a coroutine waits for quiet

    def hold(self, slot: int, work: object, now: float) -> None:
        """Runner *slot* begins with *work* at *now*."""
        self.current[slot], self.since[slot] = work, now

    def release(self, slot: int) -> None:
        """Runner *slot* is done with what it held."""
        self.current[slot] = None
        self.notify_quiet()

    def end_turn(self, slot: int) -> None:
        """Runner *slot* has finished its message, and yields to the event loop."""
        self.turn_ends = TURN
        self.release(slot)

    def begin_turn(self, now: float) -> None:
        """Runners go on for ``TURN`` seconds. After each message they yield if a coroutine waits for quiet meanwhile."""
        if self.turn_ends:
            self.turn_ends = now + TURN

    def end(self) -> None:
        """The runners are being cancelled."""
        self.ending = True

    @property
    def occupied(self) -> int:
        """How many runners hold a job. While another coroutine asks, all of these wait for I/O or for an answer."""
        return len(self.current) - self.current.count(None)

    def progressed(self, held: object, now: float) -> None:
        """One message of the batch *held* was done at *now*, so the batch does not hang."""
        self.since[self.current.index(held)] = now

    def not_begun(self, slot: int) -> None:
        """The job of runner *slot* waits for a thread, and does not run."""
        self.since[slot] = math.inf

    def begins(self, slot: int, now: float) -> None:
        """The job of runner *slot* has a thread since *now*."""
        self.since[slot] = now

    def started(self) -> list[Job]:
        """Jobs that are running, without those that wait for a thread."""
        held = zip(self.since, self.current, strict=True)
        return [job for since, work in held if work is not None and since < math.inf for job in work.jobs]

    def name_of(self, slot: int) -> str:
        """How the task of *slot* is named, after its worker."""
        return f"runner {slot}" if slot < self.count else f"settlement {slot - self.count}"

    def held(self, now: float) -> list[Held]:
        """What the runners hold at *now*, those first that have it longest. It changes nothing, so a signal may ask."""
        found = [
            Held(slot, _told(work), max(0.0, now - since))
            for slot, (work, since) in enumerate(zip(self.current, self.since, strict=True))
            if work is not None
        ]
        return sorted(found, key=lambda each: -each.seconds)

    def vacate(self, slot: int, _runner: object) -> None:
        """The runner of *slot* has ended, cancelled perhaps, and holds nothing any more."""
        self.current[slot] = None

    async def ended_by(self, error: BaseException) -> bool:
        """Whether an attempt raised *error* because the runners are being cancelled.

        A handler may swallow a cancellation, or turn it into another error.

        A program that cancels all tasks of the loop cancels the runners before the engine knows of it; so a cancellation of
        unknown origin is checked again a moment later. It may be a stray one (something in a handler cancelled this task).
        Then it must not stay with the task.
        """
        if isinstance(error, asyncio.CancelledError) and forget_cancellations():
            for _ in range(2):
                await asyncio.sleep(0)
        return self.ending

    async def pass_on(self, error: BaseException) -> None:
        """Raise if *error*, which an attempt raised, ends this runner. Otherwise it is the error of the attempt."""
        if self._forked:
            leave_forked_child(error)
        if being_closed(error):
            raise error
        if await self.ended_by(error):
            raise asyncio.CancelledError from error

    def forked(self) -> None:
        """This is a forked child. Its runner ends with the handler that has forked it.

        It does nothing more for the worker, and begins no turn of the parent's event loop.
        """
        self.ending = self._forked = True
        self.turn_ends = math.inf

    def handed_out(self) -> None:
        """The last message of a fetch was taken: the fetcher may look whether to ask for more."""
        self._fetch_taken.set()

    async def until_handed_out(self, seconds: float) -> None:
        """Until ``handed_out`` is called, or was called since this was awaited last; *seconds* at the most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._fetch_taken.wait()
        self._fetch_taken.clear()

    def waited_for(self) -> list[Job]:
        """Jobs that a shutdown waits for: those that run, and those whose record is not acknowledged yet."""
        running = self.started()
        others = set(self.busy(lambda _job: True)) - set(running)
        return [*running, *(job for job in others if job.sending is not None)]

    @property
    def at_work(self) -> int:
        """How many jobs are running or unacknowledged, without those that wait for a thread."""
        return len(self.busy(lambda _job: True)) - sum(len(work.jobs) for work in self._waiting_for_thread())

    def _waiting_for_thread(self) -> list[Any]:
        held = zip(self.since, self.current, strict=True)
        return [work for since, work in held if work is not None and since == math.inf]

    def busy(self, concerns: Callable[[Job], bool]) -> list[Job]:
        """Jobs that are running or unacknowledged, of those that *concerns* says yes to."""
        # An answer for a partition that is gone has no effect; its job may have been dropped from the schedule
        # between the answer and its turn, so that no runner ever takes it off this list.
        self.unacked = {job for job in self.unacked if job.assignment.state is not AssignmentState.FENCED}
        running = [job for held in self.current if held is not None for job in held.jobs]
        return [job for job in {*running, *self.unacked} if concerns(job)]

    def notify_quiet(self) -> None:
        """A job ended: the coroutine that waits for quiet checks again."""
        if self._job_ended is not None:
            self._job_ended.set()

    async def quiet(self, concerns: Callable[[Job], bool], waits: Callable[[], bool] = lambda: False) -> None:
        """Until no such job is running or unacknowledged, and none *waits* for a slot."""
        await self.until(lambda: not (self.busy(concerns) or waits()))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Until *condition* holds, which is asked whenever a job has ended."""
        while not condition():
            if self._job_ended is None:
                self._job_ended = asyncio.Event()
            self._job_ended.clear()
            self.turn_ends = 0.0
            await self._job_ended.wait()


def _told(work: Any) -> str:
    """The coordinates of *work*; of a batch those of its first message, and how many follow."""
    jobs = work.jobs
    more = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
    return f"{jobs[0]}{more}" if jobs else "a batch that is finished"
