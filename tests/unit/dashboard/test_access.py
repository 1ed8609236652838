"""Who may use the dashboard."""

from __future__ import annotations

import pytest
from core_messaging_dashboard.access import LoginLimit, check_protection, is_loopback, is_same

from core_messaging.errors import ConfigurationError

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing listens there


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        (EVERYWHERE, False),
        ("::", False),
        ("10.0.0.1", False),
        ("ops.example", False),
        ("", False),
    ],
)
def test_which_addresses_others_can_reach(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "10.0.0.1", "ops.example"])
def test_where_others_can_reach_it_a_password_or_a_proxy_is_needed(host: str) -> None:
    with pytest.raises(ConfigurationError, match="CORE_DASHBOARD_PASSWORD"):
        check_protection(host, None, None)
    check_protection(host, "long enough", None)
    check_protection(host, None, "X-User")
    check_protection("127.0.0.1", None, None)


def test_a_short_password_is_refused_everywhere() -> None:
    with pytest.raises(ConfigurationError, match="fewer than 8"):
        check_protection("127.0.0.1", "1234567", None)


def test_secrets_are_compared_whole_also_where_they_are_no_ascii() -> None:
    assert is_same("pässwort", "pässwort")
    assert not is_same("pässwort", "passwort")
    assert not is_same("", "x")
    assert not is_same("\udcff", "x")


def test_after_five_wrong_logins_there_is_none_for_a_minute() -> None:
    limit = LoginLimit(tries=5, window=60.0)
    for second in range(5):
        assert limit.allows(second)
        limit.failed(second)
    assert not limit.allows(59.9)
    assert limit.allows(60.0)
    limit.failed(60.0)
    assert not limit.allows(60.5)
    assert limit.allows(61.0)
