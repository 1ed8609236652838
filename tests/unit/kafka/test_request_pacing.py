"""Batches for one broker go together, in its next request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from core_messaging.kafka.request_pacing import ENOUGH_RECORDS, PASSES, RequestPacer


class Shared:
    """One broker's turn, and what became of it: names of batches, those of one request in one list."""

    def __init__(self) -> None:
        self.pacer = RequestPacer()
        self.requests: list[list[str]] = []
        self.sending: list[str] = []
        self.answers: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def come(self, name: str, records: int = 1) -> None:
        self.answers[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._send(name, records), name=name)

    async def _send(self, name: str, records: int) -> None:
        async with self.pacer.turn(range(records)):
            if not self.sending:
                asyncio.get_running_loop().call_soon(self._request)
            self.sending.append(name)
            await self.answers[name].wait()

    def _request(self) -> None:  # as the client does: when those who can go on have gone on
        self.requests.append(self.sending)
        self.sending = []

    def answer(self, *names: str) -> None:
        for name in names:
            self.answers[name].set()


async def settle(passes: int = 2 * PASSES + 4) -> None:
    """Until nothing moves any more."""
    for _ in range(passes):
        await asyncio.sleep(0)


def run(test: Callable[[Shared], Awaitable[None]]) -> list[list[str]]:
    """The requests of *test*."""

    async def limited() -> list[list[str]]:
        shared = Shared()
        async with asyncio.timeout(60):
            await test(shared)
            for task in shared.tasks.values():
                task.cancel()
        return shared.requests

    return asyncio.run(limited())


def test_who_comes_at_the_same_time_goes_in_one_request() -> None:
    async def test(shared: Shared) -> None:
        for name in "abc":
            shared.come(name)
        await settle()

    assert run(test) == [["a", "b", "c"]]


def test_who_comes_while_one_is_under_way_goes_in_the_next_with_what_the_answer_brings() -> None:
    async def test(shared: Shared) -> None:
        shared.come("a")
        await settle()
        shared.come("b")
        shared.come("c")
        await settle()
        assert shared.requests == [["a"]]
        shared.answer("a")
        await shared.tasks["a"]
        shared.come("a again")
        await settle()

    assert run(test) == [["a"], ["b", "c", "a again"]]


def test_enough_records_go_without_what_the_answer_brings() -> None:
    async def test(shared: Shared) -> None:
        shared.come("a")
        await settle()
        shared.come("b", ENOUGH_RECORDS)
        await settle()
        shared.answer("a")
        await shared.tasks["a"]
        await settle(2)
        shared.come("a again")
        await settle()

    assert run(test) == [["a"], ["b"]]


def test_one_answer_is_enough_and_a_late_one_opens_nothing() -> None:
    async def test(shared: Shared) -> None:
        shared.come("a")
        shared.come("b")
        await settle()
        shared.come("c")
        shared.answer("a")  # b is tried again by the client
        await settle()
        assert shared.requests == [["a", "b"], ["c"]]
        shared.come("d")
        shared.answer("b")  # while c is under way
        await settle()
        assert shared.requests == [["a", "b"], ["c"]]
        shared.answer("c")
        await settle()

    assert run(test) == [["a", "b"], ["c"], ["d"]]


def test_a_batch_that_stays_unanswered_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core_messaging.kafka.request_pacing.ANSWER_TIMEOUT", 0.001)

    async def test(shared: Shared) -> None:
        shared.come("a")
        await settle()
        shared.come("b")
        shared.answer("b")  # as soon as it is sent
        await shared.tasks["b"]

    assert run(test) == [["a"], ["b"]]


def test_who_is_cancelled_takes_no_turn() -> None:
    async def test(shared: Shared) -> None:
        shared.come("a")
        await settle()
        shared.come("b")
        await settle()
        shared.tasks["b"].cancel()
        shared.answer("a")
        await settle()
        shared.come("c")
        await settle()

    assert run(test) == [["a"], ["c"]]
