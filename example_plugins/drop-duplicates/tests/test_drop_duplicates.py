from typing import Any

from drop_duplicates import Config, DropDuplicates

from core_messaging import Worker
from core_messaging.testing import run_with

SEEN: list[Any] = []


class Counting(Worker):
    input_topic = "tasks"
    dlq_topic = "tasks-dlq"
    max_retries = 1
    initial_delay = 0.1

    async def process(self, message: dict[str, Any]) -> None:
        SEEN.append(message.get("id"))
        if message.get("fails") and SEEN.count(message["id"]) == 1:
            raise ValueError("the first time")


def work_off(plugin: DropDuplicates, *messages: bytes) -> list[Any]:
    SEEN.clear()
    run_with(plugin, Counting, messages)
    return list(SEEN)


def test_the_second_one_is_left_out_and_one_without_an_id_never() -> None:
    assert work_off(DropDuplicates(), b'{"id": 1}', b'{"id": 1}', b'{"id": 2}', b"{}", b"{}") == [
        1,
        2,
        None,
        None,
    ]


def test_a_message_that_failed_is_tried_again() -> None:
    assert work_off(DropDuplicates(), b'{"id": 1, "fails": true}') == [1, 1]


def test_what_is_older_than_the_window_is_new_again() -> None:
    now = iter(range(0, 10_000, 100))
    plugin = DropDuplicates(clock=lambda: next(now))
    plugin.configure(Config(window=50))
    assert work_off(plugin, b'{"id": 1}', b'{"id": 1}') == [1, 1]


def test_the_memory_is_bounded() -> None:
    plugin = DropDuplicates()
    plugin.configure(Config(most=3))
    work_off(plugin, *(b'{"id": %d}' % n for n in range(50)))
    assert plugin.remembered == 3
