"""Finds workers by name: ``get_worker("EmailWorker")``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core_messaging.config import WorkerConfig
from core_messaging.discovery.catalog import checked, discover
from core_messaging.errors import ConfigurationError
from core_messaging.worker import Worker, as_worker, config_of

Runnable = type[Worker] | Callable[..., Any] | str


def get_worker(name: str) -> WorkerConfig:
    """Return the configuration of the worker called *name* (``Name`` or ``package:Name``).

    Raises UnknownWorker, DuplicateWorker, BrokenWorker.
    """
    return config_of(discover().find(name))


def get_all_workers() -> dict[str, WorkerConfig]:
    """Return every worker that can run, by name: of installed packages, this project and this process."""
    configs = (config_of(worker) for worker in discover().healthy())
    return {config.name: config for config in configs}


def list_workers() -> list[str]:
    """Return the names of all workers that can run, sorted."""
    return sorted(get_all_workers())


def resolve(thing: Runnable) -> type[Worker]:
    """Return the worker class of a class, a decorated function or a name.

    Raises UnknownWorker, DuplicateWorker, BrokenWorker, and ConfigurationError where *thing* is no worker.
    """
    if isinstance(thing, str):
        return discover().find(thing)
    found = as_worker(thing)
    if found is None and isinstance(thing, type) and issubclass(thing, Worker):
        return checked(thing)  # raises: it has no topic
    if found is None:
        raise ConfigurationError(
            f"{thing!r} is no worker; pass a Worker subclass, a @worker function or a name"
        )
    return checked(found)
