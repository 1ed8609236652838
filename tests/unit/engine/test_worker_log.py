"""Each log line of a worker says which worker, which action, and where in Kafka."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from core_messaging.engine.worker_log import WorkerLog, coordinates
from core_messaging.records import TopicPartition
from core_messaging.rules.assignment import Assignment
from core_messaging.rules.job import Job
from tests.unit.rules.records import PlainRecord

SOURCE = TopicPartition("orders", 3)


def test_a_place_has_the_coordinates_that_it_knows() -> None:
    record = PlainRecord(7)
    assignment = Assignment(SOURCE, 1)
    job = Job(assignment, assignment.deliver([record]), 0, record, None)
    assert coordinates(None) == {}
    assert coordinates(SOURCE) == {"topic": "orders", "partition": 3}
    assert coordinates(job) == {"topic": "orders", "partition": 3, "offset": 7}


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_a_line_names_its_worker_and_carries_attributes(level: str, caplog: pytest.LogCaptureFixture) -> None:
    log: Any = WorkerLog("Shipping")
    with caplog.at_level(logging.DEBUG):
        getattr(log, level)("paused", "%s pauses %s", SOURCE, at=SOURCE)
    (record,) = caplog.records
    assert record.getMessage() == "Shipping pauses orders[3]"
    assert record.levelname == level.upper()
    facts = vars(record)
    assert (facts["worker"], facts["action"], facts["partition"]) == ("Shipping", "paused", 3)


def test_code_of_the_worker_that_raises_is_shown_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    WorkerLog("Shipping").raised("setup failed", "setup()", ConnectionError("db is down"))
    assert "Shipping: setup() raised ConnectionError: db is down" in caplog.messages
    assert caplog.records[0].exc_info
