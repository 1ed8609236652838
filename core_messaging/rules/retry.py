"""When a failed message is tried again. Chance is an argument."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never, get_args

from core_messaging.errors import ConfigurationError, Reject, RetryAfter, Undecodable
from core_messaging.options import Backoff

BACKOFFS: tuple[str, ...] = get_args(Backoff)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when a failed message is tried again. The errors in an ``ExceptionGroup`` are judged one by one.

    Retry *n* (1, 2, ... ``max_retries``) starts this long after the failure:

    - ``"fixed"``: ``initial_delay``
    - ``"linear"``: ``initial_delay * n``
    - ``"exponential"``: ``initial_delay * 2 ** n``

    capped by ``max_delay``. Delays are seconds.

    - ``jitter``: share of the delay, 0 to 1, of which a random part is taken off, so that messages that failed together are
      not tried again together.
    - ``retry_on``: only these exceptions are retried. ``give_up_on``: these never are, even if ``retry_on`` names them.
    - ``max_retries=None``: the ``max_retries`` of the worker counts.

    Raises ConfigurationError for values that make no sense.
    """

    backoff: Backoff = "exponential"
    initial_delay: float = 1.0
    max_delay: float = 300.0
    jitter: float = 0.0
    max_retries: int | None = None
    retry_on: tuple[type[BaseException], ...] = (BaseException,)
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        for name in ("retry_on", "give_up_on"):
            object.__setattr__(self, name, _kinds(name, getattr(self, name)))
        if self.backoff not in BACKOFFS:
            raise ConfigurationError(
                f"backoff = {self.backoff!r} is unknown; use one of {', '.join(BACKOFFS)}"
            )
        if not (self.initial_delay >= 0 and self.max_delay >= 0):
            raise ConfigurationError("initial_delay and max_delay are seconds and must not be negative")
        if not 0 <= self.jitter <= 1:
            raise ConfigurationError(f"jitter = {self.jitter:g} must be a share between 0 and 1")
        if self.max_retries is not None and self.max_retries < 0:
            raise ConfigurationError(
                f"max_retries = {self.max_retries} must not be negative; 0 means no retries"
            )

    def delay(self, retry: int, chance: float = 0.0) -> float:
        """Return the seconds to wait before retry number *retry*; the first one is 1. *chance* in [0, 1) feeds the jitter."""
        match self.backoff:
            case "fixed":
                seconds = self.initial_delay
            case "linear":
                seconds = self.initial_delay * retry
            case "exponential":
                # 2.0 ** 1024 overflows; any max_delay that a person sets is reached long before 2 ** 60.
                seconds = self.initial_delay * 2.0 ** min(retry, 60)
            case _:
                assert_never(self.backoff)
        return min(seconds, self.max_delay) * (1.0 - self.jitter * chance)

    def retries(self, error: BaseException) -> bool:
        """Whether the policy allows another attempt after *error*."""
        leaves = leaves_of(error)
        if any(isinstance(each, self.give_up_on) for each in (error, *leaves)):
            return False
        return isinstance(error, self.retry_on) or all(isinstance(leaf, self.retry_on) for leaf in leaves)


def _kinds(name: str, given: object) -> tuple[type[BaseException], ...]:
    named = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    kinds = tuple(kind for kind in named if isinstance(kind, type) and issubclass(kind, BaseException))
    if len(kinds) < len(named):
        raise ConfigurationError(
            f"{name} = {given!r} has to name classes of exceptions, like (TimeoutError,)"
        )
    return kinds


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The message waits *delay* seconds, then its next attempt starts."""

    delay: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt: ``on_error``, then the dead-letter queue."""

    reason: str


Decision = TryAgain | GiveUp


def decide(
    error: BaseException, attempt: int, max_retries: int, policy: RetryPolicy, chance: float = 0.0
) -> Decision:
    """Decide what follows a failed attempt that raised *error*. The first attempt is 1, and retry n is attempt n + 1."""
    leaves = leaves_of(error)
    reason = _why_never(leaves, policy)
    if reason is not None:
        return GiveUp(reason)
    if attempt > max_retries:
        return GiveUp("retries exhausted")
    # RetryAfter of the handler counts more than the policy, and less than max_retries.
    asked = [leaf for leaf in leaves if isinstance(leaf, RetryAfter)]
    if asked:
        # A subclass may not have called its constructor, so it has no seconds.
        return TryAgain(max(getattr(leaf, "seconds", policy.delay(attempt, chance)) for leaf in asked))
    if not policy.retries(error):
        return GiveUp(f"{type(error).__name__} is not retried")
    return TryAgain(policy.delay(attempt, chance))


def _why_never(leaves: Sequence[BaseException], policy: RetryPolicy) -> str | None:
    """Return why no attempt follows one that raised *leaves*, however many retries are left; None where one may follow."""
    # An undecodable message stays undecodable; waiting would only hold up its key.
    if any(isinstance(leaf, Undecodable) for leaf in leaves):
        return "undecodable"
    if any(isinstance(leaf, Reject) for leaf in leaves):
        return "rejected"
    for leaf in leaves:
        if isinstance(leaf, policy.give_up_on) and not isinstance(leaf, RetryAfter):
            return f"{type(leaf).__name__} is not retried"
    return None


def leaves_of(error: BaseException) -> list[BaseException]:
    """Return the errors in the group *error*, however they nest; *error* itself if it is no group.

    ``asyncio.TaskGroup`` raises such a group.
    """
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    inside: Sequence[BaseException] = error.exceptions
    return [leaf for member in inside for leaf in leaves_of(member)]


def sole(error: BaseException) -> BaseException:
    """Return the only error in the group *error*; *error* itself if it is no group, or holds more than one."""
    leaves = leaves_of(error)
    return leaves[0] if len(leaves) == 1 else error


def together(delays: Mapping[int, float], lane_of: Callable[[int], Hashable]) -> dict[int, float]:
    """Return the *delays* of messages that failed together, by their index.

    Messages of one lane all wait for the longest delay of the lane, because they keep their order. A message whose lane is
    None waits for no other.
    """
    longest: dict[Hashable, float] = {}
    for index, delay in delays.items():
        lane = lane_of(index)
        if lane is not None:
            longest[lane] = max(delay, longest.get(lane, delay))
    return {index: longest.get(lane_of(index), delay) for index, delay in delays.items()}
