"""A worker whose messages are hexadecimal numbers, decoded by a codec that it names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from core_messaging import Codec, Worker, hookimpl
from core_messaging.plugins.factories import codecs_of
from core_messaging.worker import config_of
from tests.unit.plugins.plugin_sources import SETTINGS


def of_codec() -> object:
    return codecs_of([dataclasses.replace(config_of(Hexed), codec="acme")], SETTINGS)


class Hexed(Worker):
    input_topic = "tasks"
    output_topic = "results"
    dlq_topic = "tasks-dlq"
    codec = "hex"

    async def process(self, message: str | None) -> Any:
        return None if message is None else {"ff": "00", "01": 7}.get(message, message)


class Hex:
    """Decodes to hex digits and back. Whatever is wrong is raised as a plain error."""

    annotations: list[Any]

    def __init__(self, wrong: Callable[[], Any] | None = None) -> None:
        self.annotations = []
        self.wrong = wrong

    @hookimpl
    def register_codecs(self) -> dict[str, Codec]:
        return {"hex": Codec(self._decode, bytes.fromhex)}

    def _decode(self, data: bytes, kind: Any) -> str:
        self.annotations.append(kind)
        if data == b"bad" and self.wrong:
            raise self.wrong()
        return data.hex()
