"""A process obeys each command once and answers it, whatever its handler does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import msgspec
import pytest

from core_messaging.errors import CommandRefused
from core_messaging.rules.commands import Answer, Argument, Command, encode_command
from core_messaging.runtime.command_desk import CommandDesk, Reply
from tests.integration.harness import run


class Published:
    """The state topic. ``order``: what has happened."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Answer] = asyncio.Queue()
        self.order: list[str] = []

    async def __call__(self, key: bytes, value: bytes) -> None:
        self.order.append("answered")
        self.answers.put_nowait(msgspec.json.decode(value, type=Answer))

    async def greet(self, arguments: Mapping[str, Argument]) -> Reply:
        return Reply(f"hello {arguments['name']}", lambda: self.order.append("then"))

    async def refuse(self, arguments: Mapping[str, Argument]) -> Reply:
        raise CommandRefused("not today; nothing was done")

    async def fail(self, arguments: Mapping[str, Argument]) -> Reply:
        raise ValueError("secret")


async def answered(*names: str, expires: float = 100.0) -> tuple[list[Answer], Published, CommandDesk]:
    published = Published()
    handlers = {"greet": published.greet, "refuse": published.refuse, "fail": published.fail}
    desk = CommandDesk("me", "1.2", handlers, published)
    obeying = asyncio.create_task(desk.obey_forever())
    for name in names:
        wanted = Command(
            id=name, process="me", name=name, expires=expires, arguments={"name": "ann"}, by="bob"
        )
        assert desk.take(*encode_command(wanted), 0.0)
    found = [await published.answers.get() for _ in names if expires > 0.0]
    obeying.cancel()
    return found, published, desk


def test_each_command_is_answered_in_its_turn_and_a_failure_ends_nothing() -> None:
    found, _, _ = run(answered("fail", "unknown", "refuse", "greet"))
    assert [(each.id, each.done) for each in found] == [
        ("fail", False),
        ("unknown", False),
        ("refuse", False),
        ("greet", True),
    ]
    assert found[0].text == "ValueError; its log says more"
    assert "(version 1.2) knows no command 'unknown'" in found[1].text
    assert found[3].text == "hello ann"


def test_what_follows_an_answer_is_done_after_it() -> None:
    # A process that drains before it has answered is gone, and nobody learns that it has obeyed.
    async def both() -> list[str]:
        _, published, _ = await answered("greet")
        await asyncio.sleep(0)
        return published.order

    assert run(both()) == ["answered", "then"]


def test_a_command_that_came_too_late_is_logged_and_not_obeyed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert run(answered("greet", expires=0.0))[0] == []
    assert "after it had expired" in caplog.text


def test_a_record_that_cannot_be_read_is_reported_to_the_caller() -> None:
    async def take() -> bool:
        return CommandDesk("me", "1", {}, Published()).take(b"command:x", b"{", 0.0)

    assert run(take()) is False
