"""Decides when to stop calling a function that keeps failing, and when to try it again. Knows no clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """A circuit breaker: it opens after ``threshold`` failures in a row.

    After ``cooldown`` seconds, it allows one call (half-open). If that succeeds, the breaker closes; if it fails, the
    breaker stays open for another ``cooldown``. ``opened_at``: seconds, None while it is closed.
    """

    threshold: int = 10
    cooldown: float = 60.0
    failures: int = 0  # in a row
    opened_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls are not allowed."""
        return self.opened_at is not None

    def allows(self, now: float) -> bool:
        """Whether a call may be made at *now* (seconds)."""
        if self.opened_at is None:
            return True
        if now - self.opened_at < self.cooldown:
            return False
        self.opened_at = now  # half-open: this call is allowed, and the next ones wait for its outcome
        return True

    def succeeded(self) -> bool:
        """Note a success. Return whether it closed the breaker."""
        self.failures = 0
        closed, self.opened_at = self.opened_at is not None, None
        return closed

    def failed(self, now: float) -> bool:
        """Note a failure at *now* (seconds). Return whether it opened the breaker."""
        self.failures += 1
        if self.failures < self.threshold:
            return False
        opened = self.opened_at is None
        self.opened_at = now
        return opened
