"""The log lines of a process have an action, as those of a worker have."""

from __future__ import annotations

import pytest

from core_messaging.runtime.process_log import process_log


def test_each_line_has_its_level_and_its_action(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "core_messaging")
    process_log.info("draining", "%s", "SIGTERM: stopping")
    process_log.warning("killed", "%s again: leaving at once", "SIGTERM")
    process_log.error("killed", "stopping took longer than %g s", 30.0)
    told = [(each.levelname, vars(each)["action"], each.getMessage()) for each in caplog.records]
    assert told == [
        ("INFO", "draining", "SIGTERM: stopping"),
        ("WARNING", "killed", "SIGTERM again: leaving at once"),
        ("ERROR", "killed", "stopping took longer than 30 s"),
    ]
