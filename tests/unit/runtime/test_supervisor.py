"""Processes that are started, and started again, by the supervisor."""

from __future__ import annotations

import asyncio

import pytest

from core_messaging.rules.retry import RetryPolicy
from core_messaging.runtime import restart_policy
from core_messaging.runtime.supervisor import NOT_STARTED, Supervisor


def test_a_process_that_cannot_be_started_is_a_line_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # A deployment that replaces the interpreter: a traceback, and nobody waited for the other processes.
    monkeypatch.setattr(restart_policy, "BACKOFF", RetryPolicy(initial_delay=0.001, max_delay=0.001))
    deaths: list[int] = []

    async def report() -> None:
        deaths.append(1)

    supervisor = Supervisor(["/no/such/python"], 2, lambda _place: {}, soon=60.0, on_death=report)
    assert asyncio.run(supervisor.run()) == NOT_STARTED
    assert "process 1 could not be started: [Errno 2]" in caplog.text
    assert "stopping all" in caplog.text
    assert len(deaths) >= 2
