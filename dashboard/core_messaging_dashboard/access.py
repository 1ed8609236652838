"""Who may use the dashboard. Pure: the time is an argument."""

from __future__ import annotations

import hmac
import ipaddress
from collections import deque

from core_messaging.errors import ConfigurationError

SHORTEST = 8  # characters of a password
TRIES, WINDOW = 5, 60.0  # wrong passwords of all people together, and the seconds in which they count


def is_loopback(host: str) -> bool:
    """Whether *host* can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_protection(host: str, password: str | None, user_header: str | None) -> None:
    """Raise ConfigurationError where others could reach the dashboard without a password."""
    if password is not None and len(password) < SHORTEST:
        raise ConfigurationError(
            f"the password of the dashboard has fewer than {SHORTEST} characters; take a longer one"
        )
    if not is_loopback(host) and password is None and user_header is None:
        raise ConfigurationError(
            f"the dashboard would be open to everybody who reaches {host}; set CORE_DASHBOARD_PASSWORD, or give --user-header "
            "behind a proxy that sets it, or leave --host at 127.0.0.1"
        )


def is_same(given: str, wanted: str) -> bool:
    """Compare two secrets. It takes the same time wherever they differ."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode(errors="replace"))


class LoginLimit:
    """Counts failed logins. All clients count together: behind a proxy they have one address."""

    def __init__(self, tries: int = TRIES, window: float = WINDOW) -> None:
        self._tries, self._window = tries, window
        self._failed: deque[float] = deque()

    def allows(self, now: float) -> bool:
        """Whether a further try is looked at. *now*: seconds of a clock that never goes back."""
        while self._failed and now - self._failed[0] >= self._window:
            self._failed.popleft()
        return len(self._failed) < self._tries

    def failed(self, now: float) -> None:
        """A try was wrong at *now*."""
        self._failed.append(now)
