"""Middlewares around a handler: their order, and whose error it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from core_messaging.plugins.middleware import wrap_all
from tests.unit.plugins.hook_managers import manager


def test_middleware_wraps_in_order_and_its_error_is_the_messages_error() -> None:
    order: list[str] = []

    async def outer(call_next: Any, message: int, context: Any) -> int:
        order.append("outer")
        result: int = await call_next(message + 1, context)
        return result + 1

    async def inner(call_next: Any, message: int, context: Any) -> int:
        order.append("inner")
        result: int = await call_next(message * 10, context)
        return result

    async def process(message: int, _context: Any) -> int:
        if message == 30:
            raise ValueError("boom")
        return message

    made = manager(outer=("wrap_process", outer), inner=("wrap_process", inner))
    wrap = wrap_all(made.hook.wrap_process.get_hookimpls())
    assert wrap is not None

    async def run(message: int) -> Any:
        return await wrap(process, "W", message, None)

    assert asyncio.run(run(1)) == 21
    assert order == ["outer", "inner"]
    with pytest.raises(ValueError, match="boom"):
        asyncio.run(run(2))
