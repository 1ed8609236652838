"""Functions as workers, typed messages, and results that are published."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from core.messaging import worker

LARGE = Decimal(1000)


class Item(msgspec.Struct):
    article: str
    price: Decimal
    quantity: int = 1


class Order(msgspec.Struct):
    id: str
    items: list[Item]


class Total(msgspec.Struct):
    order: str
    total: Decimal


@worker(topic="orders", output_topic="order-totals", dlq_topic="orders-dlq", concurrency=4)
async def total_order(message: Order) -> Total:
    """Return the total, which is published to the output topic with the key of the order."""
    return Total(order=message.id, total=sum((i.price * i.quantity for i in message.items), Decimal(0)))


@worker(topic="order-totals", output_topic="large-orders")
async def notice_large_order(message: Total) -> dict[str, str] | None:
    """Return the record to publish. None publishes nothing."""
    if message.total < LARGE:
        return None
    return {"order": message.order, "text": f"order {message.order} is worth {message.total}"}
