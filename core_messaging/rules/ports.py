"""Ports that plugins listen on in all processes of a run. Each process has the port after that of the process before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import combinations

LAST = 65_535  # the largest port


@dataclass(frozen=True, slots=True)
class Listening:
    """``plugin`` listens on ``port`` of ``host`` in the first process. Port 0: the system chooses a free one."""

    plugin: str
    host: str
    port: int

    def ports(self, processes: int) -> range:
        """Return the ports of all *processes*; none where the port is 0."""
        return range(self.port, self.port + processes) if self.port else range(0)


def problem(listening: Sequence[Listening], processes: int) -> str:
    """Return why these ports cannot all be listened on, with the remedy; an empty text where they can."""
    for each in listening:
        if each.ports(processes) and each.ports(processes)[-1] > LAST:
            return (
                f"plugin {each.plugin} needs the ports {_span(each, processes)}, one for each process, and {LAST} is the "
                f"last port there is; choose a lower one in {_where(each)}"
            )
    for first, second in combinations(listening, 2):
        if _clash(first, second, processes):
            return _said(first, second, processes)
    return ""


def _clash(first: Listening, second: Listening, processes: int) -> bool:
    ones, others = first.ports(processes), second.ports(processes)
    meet = bool(ones and others) and ones[0] <= others[-1] and others[0] <= ones[-1]
    return meet and _one_interface(first.host, second.host)


def _one_interface(first: str, second: str) -> bool:
    """Whether the two hosts may be the same interface. A name may be any address."""
    try:
        one, other = ip_address(first), ip_address(second)
    except ValueError:
        return True
    return one.version == other.version and (one == other or one.is_unspecified or other.is_unspecified)


def _said(first: Listening, second: Listening, processes: int) -> str:
    if processes == 1:
        return (
            f"plugins {first.plugin} and {second.plugin} would both listen on port {first.port}; choose another one in "
            f"{_where(second)}"
        )
    return (
        f"plugins {first.plugin} and {second.plugin} would listen on the same ports: {first.plugin} on "
        f"{_span(first, processes)} and {second.plugin} on {_span(second, processes)}, one for each of {processes} "
        f"processes; choose ports that are at least {processes} apart in {_where(second)}"
    )


def _span(each: Listening, processes: int) -> str:
    ports = each.ports(processes)
    return f"{ports[0]}" if processes == 1 else f"{ports[0]} to {ports[-1]}"


def _where(each: Listening) -> str:
    variable = each.plugin.upper().replace("-", "_")
    return f"[tool.core.plugins.{each.plugin}] or CORE_PLUGIN_{variable}_PORT"
