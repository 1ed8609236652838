from typing import Any

import pytest
from drop_duplicates import DropDuplicates

from core_messaging import Worker
from core_messaging.testing import Message, run_with

SEEN: list[Any] = []


class Counting(Worker):
    input_topic = "tasks"
    output_topic = "results"
    dlq_topic = "tasks-dlq"
    max_retries = 1
    initial_delay = 0.1

    async def process(self, message: dict[str, Any]) -> str:
        SEEN.append(message.get("id"))
        if message.get("fails") and SEEN.count(message["id"]) == 1:
            raise ValueError("the first time")
        return "done"


def work_off(plugin: DropDuplicates, *messages: Message) -> list[Any]:
    SEEN.clear()
    outcome = run_with(plugin, Counting, messages)
    assert len(outcome.successes) == len(messages)
    assert len(outcome.results) == len([each for each in outcome.successes if each.result == "done"])
    return list(SEEN)


def configured(**settings: Any) -> DropDuplicates:
    now = iter(range(0, 1_000_000, 100))
    plugin = DropDuplicates(clock=lambda: next(now))
    plugin.configure(plugin.core_config(**settings))
    return plugin


def test_the_second_one_is_left_out_and_one_without_an_id_never() -> None:
    messages = [{"id": 1}, {"id": 1}, {"id": 2}, {}, {}]
    assert work_off(DropDuplicates(), *messages) == [1, 2, None, None]


def test_a_message_that_failed_is_tried_again() -> None:
    assert work_off(DropDuplicates(), {"id": 1, "fails": True}, {"id": 1}) == [1, 1]


def test_what_is_older_than_the_window_is_new_again() -> None:
    assert work_off(configured(window=50), {"id": 1}, {"id": 1}) == [1, 1]
    assert work_off(configured(window=5000), {"id": 1}, {"id": 1}) == [1]


def test_one_that_was_left_out_does_not_make_the_window_longer() -> None:
    # The clock goes on by 100 s at each call. An id that is seen often is not dropped for ever.
    assert len(work_off(configured(window=1000), *[{"id": 1}] * 30)) > 1


@pytest.mark.parametrize("found", [[1], {"a": 1}, None, 1.5])
def test_what_is_no_id_never_fails_nor_drops_a_message(found: Any) -> None:
    assert work_off(DropDuplicates(), {"id": found}, {"id": found}) == [found, found]


def test_the_memory_is_bounded() -> None:
    plugin = DropDuplicates()
    plugin.configure(plugin.core_config(most=3))
    work_off(plugin, *({"id": n} for n in range(50)))
    assert plugin.remembered == 3


def test_a_message_whose_result_was_not_acknowledged_is_no_duplicate() -> None:
    # A partition is revoked in between: the message is processed, not finished, and delivered again to the same process.
    plugin = DropDuplicates()
    first = run_with(Forgetful(plugin), Counting, [{"id": 1}])
    again = run_with(plugin, Counting, [{"id": 1}])
    assert [len(outcome.results) for outcome in (first, again)] == [1, 1]


class Forgetful:
    """The plugin, without the call that a message has succeeded."""

    def __init__(self, plugin: DropDuplicates) -> None:
        self.wrap_process = plugin.wrap_process
