"""A dump says where each task and thread stands, and shows no value."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextvars import copy_context

from core_messaging.concurrency.exit_containment import exits_contained
from core_messaging.concurrency.message_context import within
from core_messaging.runtime.process_dump import dump_of, stack_of
from tests.integration.harness import run

PRIVATE = "the value of a variable"


async def inner(_argument: str) -> None:
    local = PRIVATE
    await asyncio.get_running_loop().create_future()
    assert local


async def outer(argument: str) -> None:
    await inner(argument)


async def numbers() -> AsyncIterator[int]:
    await asyncio.get_running_loop().create_future()
    yield 1


def dumped(*tasks: str) -> str:
    async def dump() -> str:
        waiting = [asyncio.create_task(outer(PRIVATE), name=name) for name in tasks]
        await asyncio.sleep(0)
        try:
            return dump_of([lambda: ["worker Orders"]], asyncio.get_running_loop())
        finally:
            for each in waiting:
                each.cancel()

    return run(dump())


def test_each_call_of_a_task_is_named_and_no_value_is_shown() -> None:
    lines = dumped("mine").splitlines()
    at = lines.index("  mine")
    assert [line.rpartition(" ")[2] for line in lines[at + 1 : at + 3]] == ["outer", "inner"]
    assert lines[at + 3] == "    waits for a Future"
    assert "worker Orders" in lines
    assert PRIVATE not in "\n".join(lines)


def test_tasks_that_stand_at_the_same_place_are_one_entry() -> None:
    text = dumped(*(f"runner {n}" for n in range(8)))
    assert "  runner 0, runner 1, runner 2, runner 3, runner 4 and 3 more\n" in text
    assert text.count(" inner\n") == 1


def test_a_task_that_waits_for_another_names_it() -> None:
    async def wait() -> tuple[str, ...]:
        first = asyncio.create_task(outer(""), name="first\n")
        second = asyncio.create_task(asyncio.wait_for(asyncio.shield(first), None), name="second")
        third = asyncio.ensure_future(awaited(first))
        await asyncio.sleep(0)
        found = stack_of(third)
        for each in (first, second, third):
            each.cancel()
        return found

    async def awaited(task: asyncio.Task[None]) -> None:
        await task

    assert run(wait())[-1] == r"waits for task first\n"


def test_a_task_inside_an_async_generator_has_a_stack() -> None:
    async def consume() -> None:
        async for _ in numbers():
            pass

    async def look() -> tuple[str, ...]:
        task = asyncio.create_task(consume())
        await asyncio.sleep(0)
        try:
            return stack_of(task)
        finally:
            task.cancel()

    assert "consume" in run(look())[0]


def test_a_handler_is_found_below_the_context_that_it_runs_in() -> None:
    async def look() -> tuple[str, ...]:
        async def in_context() -> None:
            await within(copy_context(), outer(PRIVATE))

        with exits_contained(asyncio.get_running_loop()):
            task = asyncio.create_task(in_context())
            await asyncio.sleep(0)
            found = stack_of(task)
            task.cancel()
        return found

    assert [line.rpartition(" ")[2].rpartition(".")[2] for line in run(look())[:-1]] == [
        "in_context",
        "within",
        "outer",
        "inner",
    ]


def test_threads_are_named_with_their_stacks() -> None:
    begun, release = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        release.wait()

    thread = threading.Thread(target=block, name="a thread that blocks")
    thread.start()
    begun.wait()
    try:
        text = dumped()
    finally:
        release.set()
        thread.join()
    (entry,) = [part for part in text.split("\n  ") if part.startswith("a thread that blocks")]
    assert "threads" in text
    assert entry == "a thread that blocks"


def test_a_part_that_cannot_be_read_is_said_and_ends_nothing() -> None:
    def broken() -> list[str]:
        raise RuntimeError("dictionary changed size")

    async def dump() -> str:
        return dump_of([broken], asyncio.get_running_loop())

    text = run(dump())
    assert "(a part cannot be read now: RuntimeError)" in text
    assert "threads" in text
