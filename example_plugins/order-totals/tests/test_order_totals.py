"""A decorated function stays an ordinary function, so a test can call it."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from order_totals.workers import Item, Order, Total, notice_large_order, total_order


def test_the_total_is_price_times_quantity_without_rounding() -> None:
    order = Order(id="7", items=[Item("pen", Decimal("0.10"), 3), Item("book", Decimal("19.99"))])
    assert asyncio.run(total_order(order)) == Total(order="7", total=Decimal("20.29"))


def test_only_large_totals_are_noticed() -> None:
    assert asyncio.run(notice_large_order(Total("7", Decimal("999.99")))) is None
    notice = asyncio.run(notice_large_order(Total("8", Decimal(1000))))
    assert notice == {"order": "8", "text": "order 8 is worth 1000"}
