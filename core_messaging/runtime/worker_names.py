"""Names that tell the workers of one process apart: in metrics, in the log, in what plugins are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from core_messaging.config import WorkerConfig
from core_messaging.errors import ConfigurationError
from core_messaging.worker import Worker, config_of


def told_apart(workers: Sequence[type[Worker]]) -> list[WorkerConfig]:
    """The configurations of *workers*, each with a name of its own.

    ``package:Name`` where several have one name, as on the command line, and ``package:Name@group`` where the package
    is the same too.

    Raises ConfigurationError for those that have all of it in common.
    """
    names = [config_of(worker).name for worker in workers]
    for name_of in (_with_package, _with_group):
        often = Counter(names)
        names = [
            name_of(name, worker) if often[name] > 1 else name
            for name, worker in zip(names, workers, strict=True)
        ]
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigurationError(
                f"{count} workers of this process are called {name}, so nobody could tell their metrics and log lines apart; "
                'give each a name of its own (name = "...") or another group_id, or run each once'
            )
    return [replace(config_of(worker), name=name) for name, worker in zip(names, workers, strict=True)]


def _with_package(name: str, worker: type[Worker]) -> str:
    # The source of an installed worker is its distribution and version.
    distribution, _, version = config_of(worker).source.partition(" ")
    return f"{distribution if version else worker.__module__}:{name}"


def _with_group(name: str, worker: type[Worker]) -> str:
    return f"{name}@{config_of(worker).group_id}"
