"""Two plugins never want one port, in however many processes."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_messaging.rules.ports import LAST, Listening, problem

EVERY = str(IPv4Address(0))
PORTS = st.integers(0, 40) | st.integers(LAST - 20, LAST)


@given(st.lists(PORTS, max_size=4), st.integers(1, 12))
def test_ports_are_refused_exactly_where_one_would_be_taken_twice_or_does_not_exist(
    ports: list[int], processes: int
) -> None:
    listening = [Listening(f"p{number}", "127.0.0.1", port) for number, port in enumerate(ports)]
    wanted = [port + place for port in ports if port for place in range(processes)]
    wrong = len(set(wanted)) < len(wanted) or max(wanted, default=0) > LAST
    assert bool(problem(listening, processes)) == wrong


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", EVERY, True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "localhost", True),
        (EVERY, "::", False),
        ("::", "::1", True),
        ("", "10.0.0.1", True),
    ],
)
def test_the_same_port_on_another_interface_is_another_port(first: str, second: str, *, clash: bool) -> None:
    found = problem([Listening("a", first, 80), Listening("b", second, 80)], 1)
    assert bool(found) == clash


def test_the_line_names_both_plugins_their_ports_and_where_to_change_them() -> None:
    health, prometheus = Listening("health", "127.0.0.1", 8080), Listening("prometheus", "127.0.0.1", 8081)
    assert problem([health, prometheus], 2) == (
        "plugins health and prometheus would listen on the same ports: health on 8080 to 8081 and prometheus on 8081 to "
        "8082, one for each of 2 processes; choose ports that are at least 2 apart in [tool.core.plugins.prometheus] or "
        "CORE_PLUGIN_PROMETHEUS_PORT"
    )
    twice = [health, Listening("drop-duplicates", "127.0.0.1", 8080)]
    assert problem(twice, 1) == (
        "plugins health and drop-duplicates would both listen on port 8080; choose another one in "
        "[tool.core.plugins.drop-duplicates] or CORE_PLUGIN_DROP_DUPLICATES_PORT"
    )
