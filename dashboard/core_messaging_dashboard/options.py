"""What ``core dashboard`` was asked for."""

from __future__ import annotations

from dataclasses import dataclass

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, kw_only=True)
class DashboardOptions:
    """How the dashboard is served.

    - ``token``: what the printed address has; None where a password or a proxy says who somebody is
    - ``user_header``: the header in which a trusted proxy names the user
    - ``read_only``: nothing can be paused, replayed or dropped
    - ``root_path``: where a proxy serves the dashboard, ``/ops`` for example
    - ``interval``: seconds between two looks at Kafka
    """

    host: str = "127.0.0.1"
    port: int = 8421
    token: str | None = None
    password: str | None = None
    user_header: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    read_only: bool = False
    root_path: str = ""
    interval: float = 2.0
    secure: bool = False

    @property
    def hosts(self) -> list[str]:
        """The names by which a browser may call the dashboard."""
        return [*LOOPBACK, *self.allowed_hosts]
