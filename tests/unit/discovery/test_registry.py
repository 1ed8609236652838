"""Workers by name, and what may stand for one."""

from __future__ import annotations

import pytest

from core_messaging.discovery.registry import resolve
from core_messaging.errors import (
    ConfigurationError,
)
from core_messaging.worker import worker


@pytest.mark.usefixtures("untouched")
def test_resolve_takes_a_class_a_function_or_a_name() -> None:
    @worker(topic="t")
    async def handle(message: dict[str, int]) -> None: ...

    found = resolve(handle)
    assert resolve(found) is found
    assert resolve("handle") is found
    with pytest.raises(ConfigurationError, match="is no worker"):
        resolve(print)
