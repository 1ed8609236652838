"""When to stop calling what keeps failing, and when to try it again. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """Open after *threshold* failures in a row; after *cooldown* seconds one call is let through (half-open).

    That one decides: a success closes the breaker, a failure opens it for another *cooldown*.
    """

    threshold: int = 10
    cooldown: float = 60.0
    failures: int = 0  # in a row
    opened_at: float | None = None

    @property
    def is_open(self) -> bool:
        return self.opened_at is not None

    def allows(self, now: float) -> bool:
        """Whether a call may be made at *now*."""
        if self.opened_at is None:
            return True
        if now - self.opened_at < self.cooldown:
            return False
        self.opened_at = now  # half-open: this one call may go, the next ones wait for its outcome
        return True

    def succeeded(self) -> bool:
        """True if that closed the breaker."""
        self.failures = 0
        closed, self.opened_at = self.opened_at is not None, None
        return closed

    def failed(self, now: float) -> bool:
        """True if that opened the breaker."""
        self.failures += 1
        if self.failures < self.threshold:
            return False
        opened = self.opened_at is None
        self.opened_at = now
        return opened
