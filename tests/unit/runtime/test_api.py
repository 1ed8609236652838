"""Workers run from a program, with signals where the program may handle them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from core_messaging.errors import ConfigurationError, UnknownWorker
from core_messaging.runtime import api
from core_messaging.runtime.api import run_worker
from core_messaging.runtime.runner import RunOptions
from core_messaging.settings import Settings
from core_messaging.worker import Worker


class Shipping(Worker):
    input_topic = "orders"

    async def process(self, message: int) -> None: ...


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[type[Worker]], RunOptions]]:
    """What would run."""
    found: list[tuple[list[type[Worker]], RunOptions]] = []

    async def run_workers(workers: list[type[Worker]], options: RunOptions) -> None:
        found.append((workers, options))

    monkeypatch.setattr(api, "run_workers", run_workers)
    return found


@pytest.mark.parametrize("asked", [True, False])
def test_signals_are_handled_in_the_main_thread_where_they_are_asked_for(
    runs: list[tuple[list[type[Worker]], RunOptions]], *, asked: bool
) -> None:
    settings = Settings()
    asyncio.run(run_worker(Shipping, settings=settings, handle_signals=asked))
    ((workers, options),) = runs
    assert workers == [Shipping]
    assert (options.settings, options.handle_signals) == (settings, asked)


def test_signals_are_left_to_the_program_in_another_thread(
    runs: list[tuple[list[type[Worker]], RunOptions]],
) -> None:
    # Python lets the main thread alone set handlers: the run ended with a ValueError.
    thread = threading.Thread(target=lambda: asyncio.run(run_worker(Shipping, settings=Settings())))
    thread.start()
    thread.join()
    assert [options.handle_signals for _, options in runs] == [False]


def test_a_worker_that_there_is_not_is_named_before_anything_runs(
    runs: list[tuple[list[type[Worker]], RunOptions]],
) -> None:
    with pytest.raises(UnknownWorker, match="NoSuchWorker"):
        asyncio.run(run_worker("NoSuchWorker", settings=Settings()))
    with pytest.raises(ConfigurationError, match="no worker"):
        asyncio.run(run_worker(object(), settings=Settings()))  # type: ignore[arg-type]
    assert runs == []
