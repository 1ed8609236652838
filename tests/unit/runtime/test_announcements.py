"""What a process says of its workers before they have partitions, and when one of them ends the process."""

from __future__ import annotations

import logging

import pytest

from core_messaging.config import WorkerConfig
from core_messaging.errors import BrokenWorker, CoreMessagingError
from core_messaging.runtime.announcements import (
    cause_is_logged,
    say_ends,
    say_joining,
    say_shared_groups,
    say_waiting,
)
from core_messaging.worker import Worker, config_of


def config(name: str, group: str, topic: str = "orders") -> WorkerConfig:
    async def process(self: Worker, message: int) -> None: ...

    return config_of(type(name, (Worker,), {"input_topic": topic, "group_id": group, "process": process}))


def test_broker_and_groups_are_named_before_there_are_partitions(caplog: pytest.LogCaptureFixture) -> None:
    workers = [config("ship", "g1"), config("bill", "g2")]
    with caplog.at_level(logging.INFO):
        say_waiting(workers, "kafka:9092")
        say_joining(workers, "kafka:9092")
    (waiting, *joining) = caplog.messages
    assert all(each.name in waiting for each in workers)
    assert ["joining group g1" in joining[0], "joining group g2" in joining[1]] == [True, True]
    assert all("kafka:9092" in line for line in caplog.messages)


def test_workers_that_take_each_others_messages_are_warned_of_and_others_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    say_shared_groups([config("ship", "g"), config("bill", "other"), config("pack", "g", "parcels")])
    assert caplog.messages == []
    say_shared_groups([config("ship", "g"), config("bill", "g")])
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("error", [KeyError("our bug"), BrokenWorker("W", "module", "setup() raised")])
def test_the_error_that_ends_a_worker_is_said_once_whatever_its_class(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    # Errors of Python's own classes cannot be kept by a weak reference: the worker ended with a TypeError instead.
    assert not cause_is_logged(error)
    say_ends("Shipping", error, ["Billing"])
    assert cause_is_logged(error) == isinstance(error, CoreMessagingError)
    assert "Shipping ends" in caplog.text
    assert "with it Billing" in caplog.text
