"""Replays and drops that people ask for: first a plan, then, after a yes, what it says."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, field

from core_messaging.errors import CoreMessagingError
from core_messaging.operations.replays import Outcome, Planned, carry_out
from core_messaging.settings import Settings

MOST = 100  # jobs that are remembered

logger = logging.getLogger("core_messaging.dashboard")


@dataclass(slots=True)
class Job:
    """One plan. ``state``: planned, running, done or failed. ``error``: why it failed."""

    id: str
    user: str
    planned: Planned
    state: str = "planned"
    error: str = ""
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def verb(self) -> str:
        """What it does with letters."""
        return "replay" if self.planned.order.state == "replayed" else "drop"

    async def run(self, settings: Settings) -> None:
        """Carry it out. What is done is marked in Kafka, whatever becomes of this process."""
        self.state = "running"
        try:
            await carry_out(settings, self.planned, self.outcome)
        except CoreMessagingError as error:
            self.state, self.error = "failed", str(error)
        except BaseException as error:
            self.state, self.error = "failed", f"{type(error).__name__}: {error}"
            raise
        else:
            self.state = "done"
        finally:
            facts = (
                self.user,
                self.verb,
                self.planned.queue,
                self.outcome.done,
                self.planned.taken,
                self.error,
            )
            logger.info("%s: %s of %s: %d of %d letters %s", *facts, extra={"action": self.verb})


class Jobs:
    """The jobs of this dashboard, the newest ones."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, user: str, planned: Planned) -> Job:
        """Remember *planned*, which *user* asked for."""
        job = Job(secrets.token_urlsafe(9), user, planned)
        self._jobs[job.id] = job
        while len(self._jobs) > MOST:
            del self._jobs[next(iter(self._jobs))]
        return job

    def find(self, name: str) -> Job | None:
        """Return the job with the id *name*, if it is remembered."""
        return self._jobs.get(name)

    def start(self, job: Job) -> None:
        """Carry *job* out in the background. A second yes changes nothing."""
        if job.state == "planned":
            task = asyncio.ensure_future(job.run(self._settings))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Stop what runs. A replay that is stopped ends after the transaction that is under way."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
