"""The engines of one process: started together, stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from core_messaging.engine.engine import Engine
from core_messaging.runtime.announcements import say_stopped
from core_messaging.snapshot import WorkerSnapshot

NAMED = 5  # messages


class Engines:
    """The engines of the workers of one process, none before ``use``. ``tasks``: those that run them."""

    def __init__(self) -> None:
        self._engines: Sequence[Engine] = ()
        self.tasks: list[asyncio.Task[None]] = []

    def use(self, engines: Sequence[Engine]) -> None:
        """Let *engines* be those of this process."""
        self._engines = engines

    def __bool__(self) -> bool:
        return bool(self._engines)

    async def run(self, ending: Callable[[], None]) -> None:
        """Run all until each has ended. When the first one fails, call *ending*, which asks all of them to stop.

        Raises what the first of them ended with.
        """
        self.tasks = [asyncio.create_task(engine.run(), name=engine.config.name) for engine in self._engines]
        try:
            await asyncio.wait(self.tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            # One that failed takes the others down in order, so that nothing runs half-supervised.
            ending()
            outcomes = await asyncio.gather(*self.tasks, return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    def request_stop(self) -> None:
        """Ask all to stop in order."""
        for engine in self._engines:
            engine.request_stop()

    def apply_pauses(self) -> None:
        """Pause what a person has paused."""
        for engine in self._engines:
            engine.apply_pauses()

    def retry_now(self, group: str, key: bytes | None) -> int:
        """Try now what waits for a retry in workers of *group*; with *key* only its messages. Returns how many."""
        return sum(engine.retry_now(key) for engine in self._engines if engine.config.group_id == group)

    def forked(self) -> None:
        """This is a forked child."""
        for engine in self._engines:
            engine.forked()

    def snapshots(self) -> tuple[WorkerSnapshot, ...]:
        """The state of each worker."""
        return tuple(engine.snapshot() for engine in self._engines)

    def dumps(self) -> list[Callable[[], Sequence[str]]]:
        """What tells, for each worker, what it does at this moment."""
        return [engine.dump for engine in self._engines]

    def say_stopped(self) -> None:
        """Log the last line of each worker that has stopped in order."""
        for engine in self._engines:
            if engine.is_stopped:
                say_stopped(engine.snapshot(), engine.given_back)

    def others(self, worker: str) -> list[str]:
        """The names of all workers but *worker*."""
        return [each.config.name for each in self._engines if each.config.name != worker]

    def running(self) -> str:
        """The messages that run, in words; empty if none does."""
        jobs = [f"{each.config.name} on {job}" for each in self._engines for job in each.running()]
        return f"{len(jobs)} running: {', '.join(jobs[:NAMED])}{' ...' * (len(jobs) > NAMED)}" if jobs else ""

    def phases(self) -> str:
        """Which workers are held up by something else than messages, and by what."""
        return ", ".join(f"{each.config.name} in {each.phase}" for each in self._engines if each.phase)
