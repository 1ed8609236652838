"""Names that tell the workers of one process apart: in metrics, in the log, in what plugins are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from core_messaging.errors import ConfigurationError
from core_messaging.worker import Worker, config_of, with_config


def told_apart(workers: Sequence[type[Worker]]) -> list[type[Worker]]:
    """*workers*, each with a name of its own: ``package:Name`` where several have one name, as on the command line, and
    ``package:Name@group`` where the package is the same too.

    Raises ConfigurationError for those that have all of it in common.
    """
    for name_of in (_with_package, _with_group):
        workers = _renamed(workers, name_of)
    for name, count in Counter(map(_name, workers)).items():
        if count > 1:
            raise ConfigurationError(
                f"{count} workers of this process are called {name}, so nobody could tell their metrics and log lines apart; "
                'give each a name of its own (name = "...") or another group_id, or run each once'
            )
    return list(workers)


def _renamed(workers: Sequence[type[Worker]], name_of: Callable[[type[Worker]], str]) -> list[type[Worker]]:
    often = Counter(map(_name, workers))
    return [
        with_config(worker, replace(config_of(worker), name=name_of(worker)))
        if often[_name(worker)] > 1
        else worker
        for worker in workers
    ]


def _name(worker: type[Worker]) -> str:
    return config_of(worker).name


def _with_package(worker: type[Worker]) -> str:
    # The source of an installed worker is its distribution and version.
    distribution, _, version = config_of(worker).source.partition(" ")
    return f"{distribution if version else worker.__module__}:{_name(worker)}"


def _with_group(worker: type[Worker]) -> str:
    return f"{_name(worker)}@{config_of(worker).group_id}"
