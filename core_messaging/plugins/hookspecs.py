"""The hooks that a plugin may implement. Each is a contract.

A plugin is a module or an object with functions under ``@hookimpl``. A package offers it in the entry-point group
``core.plugins``. An implementation names only the arguments that it needs; each is passed, also one with a default. It may
be ``def`` or ``async def``.

Observers (all hooks but ``configure``, ``redact``, ``register_*``, ``serve`` and ``wrap_process``) are called with what
happened. They are isolated. If one raises (also SystemExit or KeyboardInterrupt) or takes too long, that is logged and
counted, and after repeated failures the observer is switched off for a while. It never changes the outcome of a message,
and never stops the call of another plugin. An ``async def`` runs in a task of its own, at the same time as those of other
plugins. The message waits for it (``plugin_timeout`` seconds at most), so a slow observer lowers the throughput.

>>> from core_messaging import hookimpl
>>> @hookimpl
... def on_error(worker, error, context):
...     print(f"{worker.name} gave up on {context.coordinates}: {error}")
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pluggy

from core_messaging.codecs import Codec
from core_messaging.config import WorkerConfig
from core_messaging.context import Context
from core_messaging.plugins.registrations import BrokerFactory
from core_messaging.records import TopicPartition
from core_messaging.settings import Settings
from core_messaging.snapshot import Snapshot

PROJECT = "core"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Next = Callable[[Any, Context], Awaitable[Any]]


@hookspec
def configure(config: Any, settings: Settings) -> None:
    """Take the configuration. Called once, before anything starts; an error stops the start, and the user corrects it.

    *config* is the plugin's section ``[tool.core.plugins.NAME]`` of pyproject.toml; environment variables
    ``CORE_PLUGIN_NAME_FIELD`` override it. It is validated as the type in the plugin's attribute ``core_config`` (a msgspec
    Struct or a dataclass); without that attribute it is a dict.

    >>> import msgspec
    >>> class Notify(msgspec.Struct):
    ...     url: str = "http://127.0.0.1:9/"
    >>> core_config = Notify
    >>> @hookimpl
    ... def configure(config):
    ...     print(config.url)
    """


@hookspec
def register_brokers() -> Mapping[str, BrokerFactory]:  # type: ignore[empty-body] # a contract
    """Return brokers: name -> a function of the settings that makes a Broker. The setting ``kafka_broker`` names one.

    The broker has to keep the promises of ``core_messaging.broker``: the guarantees of the engine depend on them. Called
    before ``configure``, in the worker, in producers and in ``core plugins``. So do not connect, and return the same at
    every call. A name that two plugins register is an error where it is used. A plain ``def``.

    >>> from core_messaging.testing import MemoryBroker
    >>> @hookimpl
    ... def register_brokers():
    ...     return {"in-memory": lambda settings: MemoryBroker(clock=lambda: 0.0)}
    >>> list(register_brokers())
    ['in-memory']
    """


@hookspec
def register_codecs() -> Mapping[str, Codec]:  # type: ignore[empty-body] # a contract
    """Return codecs: name -> Codec. A worker chooses one with ``codec = "NAME"``, for its messages and its results.

    An error of ``decode`` makes the message undecodable: it goes to the dead-letter queue without a retry. After an error
    of ``encode`` the message is given up. Called like ``register_brokers``, under the same rules. A plain ``def``.

    >>> from core_messaging import Codec
    >>> @hookimpl
    ... def register_codecs():
    ...     return {"shouting": Codec(lambda data, kind: kind(data.decode().lower()), lambda text: text.upper().encode())}
    >>> codec = register_codecs()["shouting"]
    >>> codec.decode(b"HELLO", str), codec.encode("hello")
    ('hello', b'HELLO')
    """


@hookspec
def register_commands() -> Mapping[str, Any]:  # type: ignore[empty-body] # a contract
    """Return click commands: name -> command, run as ``core NAME``.

    The package announces each name with its plugin, in its pyproject.toml:
    ``[project.entry-points."core.commands"]`` with ``NAME = "the same value as in core.plugins"``

    So ``core --help`` lists the command and imports nothing. Called by ``core NAME``, after ``configure``, and by ``core
    plugins``. A plugin cannot replace a built-in command; a name that two plugins announce is an error where it is called.
    A plain ``def``. Import click inside it, so workers do not import it.

    >>> import click
    >>> @hookimpl
    ... def register_commands():
    ...     @click.command()
    ...     def audit():
    ...         click.echo("nothing to tell")
    ...     return {"audit": audit}
    >>> register_commands()["audit"].name
    'audit'
    """


@hookspec
def serve(snapshot: Callable[[], Snapshot]) -> None:
    """Start a server, for example for probes. Called once on the event loop of the workers, before they join their groups.

    ``snapshot()`` returns the current state of the workers, without a request to the broker. The hook may be ``async def``.
    It starts the server and returns within ``plugin_timeout`` seconds. An error stops the start: without an answer to its
    probes, the worker would be stopped later.

    >>> @hookimpl
    ... async def serve(snapshot):
    ...     print(f"{len(snapshot().workers)} workers")
    """


@hookspec
def on_start(worker: WorkerConfig) -> None:
    """Called when *worker* is about to join its group.

    >>> @hookimpl
    ... def on_start(worker):
    ...     print(f"{worker.name} reads {', '.join(worker.input_topics)}")
    """


@hookspec
def on_stop(worker: WorkerConfig, error: Exception | None) -> None:
    """Called when *worker* has stopped; *error* is None if it was asked to stop.

    >>> @hookimpl
    ... def on_stop(worker, error):
    ...     print(f"{worker.name} stopped: {error or 'as asked'}")
    """


@hookspec
def on_success(worker: WorkerConfig, message: Any, result: Any, context: Context) -> None:
    """Called when a message is processed, and its result (if the worker has an output topic) is acknowledged.

    It is called for every message, so keep it short. For numbers, use ``metrics``.

    >>> @hookimpl
    ... def on_success(worker, result):
    ...     print(f"{worker.name} returned {result}")
    """


@hookspec
def on_error(worker: WorkerConfig, message: Any, error: Exception, context: Context) -> None:
    """Called when a message has failed for good: it is undecodable (*message* is None), rejected, or out of retries.

    >>> @hookimpl
    ... async def on_error(worker, error, context):
    ...     print(f"{worker.name}: {context.coordinates} failed after {context.attempt} attempts: {error}")
    """


@hookspec
def on_retry(worker: WorkerConfig, message: Any, error: Exception, context: Context, delay: float) -> None:
    """Called when an attempt has failed and another one follows after *delay* seconds.

    >>> @hookimpl
    ... def on_retry(error, delay):
    ...     print(f"{error}; again in {delay:g} s")
    """


@hookspec
def on_dead_letter(worker: WorkerConfig, error: Exception, context: Context, topic: str) -> None:
    """Called when the dead-letter queue *topic* has acknowledged the message.

    >>> @hookimpl
    ... def on_dead_letter(context, topic):
    ...     print(f"{context.coordinates} is in {topic}")
    """


@hookspec
def on_assigned(worker: WorkerConfig, partitions: tuple[TopicPartition, ...]) -> None:
    """Called with all partitions that *worker* has in this process from now on.

    >>> @hookimpl
    ... def on_assigned(worker, partitions):
    ...     print(f"{worker.name} has {len(partitions)} partitions")
    """


@hookspec
def on_revoked(worker: WorkerConfig, partitions: tuple[TopicPartition, ...]) -> None:
    """Called when *worker* gives up *partitions*: the group takes them, the worker stops, or its membership has ended.

    Messages that were running there have ended, or their results do not count, unless the partition comes straight back.

    >>> @hookimpl
    ... def on_revoked(partitions):
    ...     print(f"{len(partitions)} partitions gone")
    """


@hookspec
def metrics(snapshot: Snapshot) -> None:
    """Called every ``metrics_interval`` seconds and once at the end, however many messages there are.

    >>> @hookimpl
    ... def metrics(snapshot):
    ...     for worker in snapshot.workers:
    ...         print(worker.name, worker.counters["succeeded"], worker.lag)
    """


@hookspec
def redact(  # type: ignore[empty-body] # a contract
    topic: str, key: bytes | None, value: bytes | None
) -> tuple[bytes | None, bytes | None]:
    """Return the key and the value of a message as they may be shown.

    Called before a message is shown (by ``core kafka dlq list`` and ``show``, and by programs that use
    ``core_messaging.operations``). *topic* is the original topic of a dead letter. What is stored or replayed does not
    change. The plugins are called one after another, each with what the one before returned. If one raises, or returns
    anything but a pair of bytes, neither key nor value is shown. Headers and texts of errors are not passed. A plain
    ``def``.

    >>> @hookimpl
    ... def redact(topic, key, value):
    ...     return key, b"(a payment)" if topic == "payments" else value
    >>> redact("payments", b"order-7", b'{"iban": "DE89..."}')
    (b'order-7', b'(a payment)')
    """


@hookspec
def wrap_process(call_next: Next, worker: WorkerConfig, message: Any, context: Context) -> Any:
    """Middleware around ``process``. What it returns is the result of the message, what it raises is its error.

    It has to be ``async def``. It is not isolated: it is part of processing. Around ``process_batch``, *message* and
    *context* are lists. A worker that has a ``batch_size`` and only ``process`` gets its messages one by one.

    >>> @hookimpl
    ... async def wrap_process(call_next, message, context):
    ...     return await call_next(message | {"seen_at": context.timestamp}, context)
    """


OBSERVERS = (
    "on_start",
    "on_stop",
    "on_success",
    "on_error",
    "on_retry",
    "on_dead_letter",
    "on_assigned",
    "on_revoked",
    "metrics",
)
