"""When a process that died is started again, and when that is hopeless. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from core_messaging.rules.retry import RetryPolicy

TRIES = 5  # deaths in a row within that time; more of them would change nothing
BACKOFF = RetryPolicy(backoff="exponential", initial_delay=0.5, max_delay=30.0)


@dataclass(frozen=True, slots=True)
class Restarts:
    """How the processes in one place have ended so far.

    ``early``: in a row, within *soon* seconds of their start, so that they can hardly have worked.
    """

    soon: float
    early: int = 0

    def after(self, lived: float) -> Restarts:
        """One more has ended, after *lived* seconds."""
        return Restarts(self.soon, self.early + 1 if lived < self.soon else 1)

    @property
    def hopeless(self) -> bool:
        """Whether so many processes in a row ended early that another start is useless."""
        return self.early >= TRIES

    @property
    def delay(self) -> float:
        """Seconds until the next one starts."""
        return BACKOFF.delay(self.early)


def shell_code(code: int) -> int:
    """A process's exit code as a shell has it: 128 + n where signal n ended it (-n to Python)."""
    return code if code >= 0 else 128 - code
