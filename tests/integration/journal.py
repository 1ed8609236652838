"""A worker that writes down what it is called with."""

from __future__ import annotations

from typing import Any

from core_messaging.worker import Worker


class Journal(Worker):
    """Writes down what it is called with. Tests give each subclass topics of its own."""

    initial_delay = 0.01
    seen: list[Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.seen = []
        super().__init_subclass__(**kwargs)


def journal(**attributes: Any) -> type[Journal]:
    return type("Made", (Journal,), {"group_id": attributes["input_topic"], **attributes})
