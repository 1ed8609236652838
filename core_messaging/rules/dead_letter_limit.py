"""Whether one more dead letter is too many (``dlq_limit``). Pure: the time is an argument.

The hot path counts successes anyway. So their total is an argument too, and nothing is done for a message that succeeds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from core_messaging.options import DlqLimit
from core_messaging.text.wording import counted, duration

SLICES = 12  # samples of one window: what it forgets is up to one slice older than the window


@dataclass(frozen=True, slots=True)
class _Sample:
    """The totals at one moment: messages that succeeded, and dead letters."""

    at: float
    succeeded: int
    dead: int


class DeadLetterLimit:
    """Counts dead letters against a ``DlqLimit``. Times are seconds of one clock; totals only grow."""

    def __init__(self, limit: DlqLimit, now: float, succeeded: int) -> None:
        self._limit = limit
        self.begin_anew(now, succeeded)

    def begin_anew(self, now: float, succeeded: int) -> None:
        """Forget all dead letters so far."""
        self._dead = 0
        self._in_a_row = 0
        self._succeeded_before = succeeded  # at the last dead letter
        self._samples = deque([_Sample(now, succeeded, 0)])

    @property
    def sampled_every(self) -> float:
        """Seconds between two samples."""
        return self._limit.window / SLICES

    def sample(self, now: float, succeeded: int) -> None:
        """Note the totals at *now*. To be called every ``sampled_every`` seconds; later calls make the window longer."""
        self._forget_before(now)
        self._samples.append(_Sample(now, succeeded, self._dead))

    def _forget_before(self, now: float) -> None:
        """Keep one sample that is as old as the window, and the later ones."""
        samples, begin = self._samples, now - self._limit.window
        while len(samples) > 1 and samples[1].at <= begin:
            samples.popleft()

    def why_too_many(self, now: float, succeeded: int) -> str:
        """Return why one more dead letter at *now* is too many, in words. Empty: it is not, and it counts from now on."""
        if succeeded != self._succeeded_before:
            self._in_a_row, self._succeeded_before = 0, succeeded
        why = self._too_many_in_a_row() or self._too_many_in_the_window(now, succeeded)
        if not why:
            self._in_a_row += 1
            self._dead += 1
        return why

    def _too_many_in_a_row(self) -> str:
        most, failed = self._limit.consecutive, self._in_a_row + 1
        if most is None or failed <= most:
            return ""
        return (
            f"{counted(failed, 'message')} in a row failed for good, and consecutive = {most} allows no more"
        )

    def _too_many_in_the_window(self, now: float, succeeded: int) -> str:
        limit = self._limit
        if limit.count is None:
            return ""
        self._forget_before(now)
        begin = self._samples[0]
        failed = self._dead - begin.dead + 1
        settled = failed + succeeded - begin.succeeded
        if failed <= limit.count or failed <= limit.share * settled:
            return ""
        allowed = f"count = {limit.count}" + (f", share = {limit.share:g}" if limit.share else "")
        return (
            f"{failed} of the last {counted(settled, 'message')} (about {duration(limit.window)}) failed for good, and "
            f"{allowed} allows no more"
        )
