"""Fixtures for pytest: every test of an environment that has core-messaging can ask for them.

Imports nothing of ours before a test asks: pytest loads this module whatever it tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from core_messaging.local_broker.embedded import EmbeddedBroker
    from core_messaging.testing import BackgroundWorkbench, MakeWorkbench, MemoryBroker


@pytest.fixture
def core_memory_broker() -> MemoryBroker:
    """A broker in memory: topics, groups, commits and rebalances as Kafka has them."""
    from core_messaging.testing import MemoryBroker  # noqa: PLC0415 - see above

    return MemoryBroker()


@pytest.fixture
def core_workbench() -> Iterator[MakeWorkbench]:
    """``core_workbench(MyWorker)`` runs a worker on a broker in memory until the test ends."""
    from core_messaging.testing import BackgroundWorkbench  # noqa: PLC0415 - see above

    made: list[BackgroundWorkbench] = []

    def make(worker: object, *, plugins: Sequence[Any] = ()) -> BackgroundWorkbench:
        made.append(BackgroundWorkbench(worker, plugins))
        return made[-1]

    yield make
    for bench in made:
        bench.stop()


@pytest.fixture(scope="session")
def core_embedded_broker() -> Iterator[EmbeddedBroker]:
    """A broker that speaks Kafka's protocol on a port (``.address``), for the whole session; needs the extra ``embedded``."""
    from core_messaging.local_broker.embedded import EmbeddedBroker  # noqa: PLC0415 - see above

    with EmbeddedBroker() as broker:
        yield broker
