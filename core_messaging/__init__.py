"""A worker runtime over Kafka: the names that programs import. Most are loaded at their first use (PEP 562).

So a module that only defines workers imports neither the Kafka client nor pydantic, and the command line answers ``--help``
at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Not lazy, because ``worker`` is also the name of the submodule. When a submodule is first loaded, Python sets its name in the
# package. Here it is loaded before the function gets the name, so the name stays with the function.
from core_messaging.worker import Worker, worker

if TYPE_CHECKING:
    from core_messaging.blocking_producer import get_blocking_producer
    from core_messaging.codecs import Codec
    from core_messaging.context import Context
    from core_messaging.discovery.registry import get_all_workers, get_worker, list_workers
    from core_messaging.errors import (
        AttemptTimeout,
        BrokerError,
        BrokerRefused,
        BrokerUnreachable,
        ConfigurationError,
        CoreMessagingError,
        DiscoveryError,
        KafkaDisabled,
        OptionError,
        PartialBatchError,
        PublishFailed,
        RecordRefused,
        Reject,
        RetriesExhausted,
        RetryAfter,
        TopicMissing,
        Undecodable,
        Unencodable,
        UnknownWorker,
    )
    from core_messaging.options import DlqLimit, Topic
    from core_messaging.plugins.hookspecs import hookimpl
    from core_messaging.producer import get_producer
    from core_messaging.rules.retry import RetryPolicy
    from core_messaging.runtime.api import run_all_workers, run_worker
    from core_messaging.settings import Settings

__all__ = [
    "AttemptTimeout",
    "BrokerError",
    "BrokerRefused",
    "BrokerUnreachable",
    "Codec",
    "ConfigurationError",
    "Context",
    "CoreMessagingError",
    "DiscoveryError",
    "DlqLimit",
    "KafkaDisabled",
    "OptionError",
    "PartialBatchError",
    "PublishFailed",
    "RecordRefused",
    "Reject",
    "RetriesExhausted",
    "RetryAfter",
    "RetryPolicy",
    "Settings",
    "Topic",
    "TopicMissing",
    "Undecodable",
    "Unencodable",
    "UnknownWorker",
    "Worker",
    "get_all_workers",
    "get_blocking_producer",
    "get_producer",
    "get_worker",
    "hookimpl",
    "list_workers",
    "run_all_workers",
    "run_worker",
    "worker",
]

_HOMES = {
    "Codec": "core_messaging.codecs",
    "Context": "core_messaging.context",
    "DlqLimit": "core_messaging.options",
    "RetryPolicy": "core_messaging.rules.retry",
    "Settings": "core_messaging.settings",
    "Topic": "core_messaging.options",
    "get_all_workers": "core_messaging.discovery.registry",
    "get_blocking_producer": "core_messaging.blocking_producer",
    "get_producer": "core_messaging.producer",
    "get_worker": "core_messaging.discovery.registry",
    "hookimpl": "core_messaging.plugins.hookspecs",
    "list_workers": "core_messaging.discovery.registry",
    "run_all_workers": "core_messaging.runtime.api",
    "run_worker": "core_messaging.runtime.api",
}


if not TYPE_CHECKING:  # with it, a type checker would accept any name, misspelled ones too

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # A name that is not in the table is an error class; all errors are in one module.
        value = getattr(import_module(_HOMES.get(name, "core_messaging.errors")), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
