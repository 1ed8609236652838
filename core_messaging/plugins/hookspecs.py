"""The hooks a plugin may implement. Each is a contract.

A plugin is a module or an object with functions under ``@hookimpl``, offered in the entry-point group
``core.plugins``. An implementation names only the arguments it wants (each is passed, whether it has a default or not), and
may be ``def`` or ``async def``.

Observers (all but ``configure``, ``redact``, ``register_*``, ``serve`` and ``wrap_process``) are told what happened. They are
isolated: one that raises (a SystemExit or KeyboardInterrupt too) or takes too long is logged, counted and after
repeated failures switched off for a while; it never changes what becomes of a message and never keeps another plugin from being
told. An ``async def`` runs in a task of its own, beside those of other plugins, and is waited for
(``plugin_timeout`` seconds at most) before the message goes on, so a slow one costs throughput.

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
    """Called once, before anything starts. An error here stops the start: it is the user's to mend.

    *config* is the plugin's section ``[tool.core.plugins.NAME]`` of pyproject.toml, with environment variables
    ``CORE_PLUGIN_NAME_FIELD`` on top, validated as the type in the plugin's attribute ``core_config`` (a
    msgspec Struct or a dataclass); a dict without one.

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
    """Name -> a function of the settings that makes a Broker; the setting ``kafka_broker`` chooses one by name.

    What it makes has to keep the promises of ``core_messaging.broker``: the engine's guarantees rest on them. Called
    before ``configure``, in the worker, in producers and in ``core plugins``: connect nowhere, and return the
    same at every call. A name that two plugins register is an error for whoever asks for it. Plain ``def``.

    >>> from core_messaging.testing import MemoryBroker
    >>> @hookimpl
    ... def register_brokers():
    ...     return {"in-memory": lambda settings: MemoryBroker(clock=lambda: 0.0)}
    >>> list(register_brokers())
    ['in-memory']
    """


@hookspec
def register_codecs() -> Mapping[str, Codec]:  # type: ignore[empty-body] # a contract
    """Name -> a Codec; a worker chooses one with ``codec = "NAME"``, for its messages and its results.

    What ``decode`` raises makes the message undecodable (no retry; the dead-letter queue); what ``encode`` raises
    gives the message up. Called when ``register_brokers`` is, under the same rules. Plain ``def``.

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
    """Name -> a click command, run as ``core NAME``. The package announces each name, for the plugin that has it:

    ``[project.entry-points."core.commands"]`` with ``NAME = "the same value as in core.plugins"``

    so that ``core --help`` lists it and imports nothing. Called when ``core NAME`` is, after ``configure``, and by
    ``core plugins``. A name that is built in stays what it is; one that two plugins announce is an error for
    whoever calls it. Plain ``def``; import click inside it, so that workers do not pay for it.

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
    """Called once on the workers' event loop, before they join their groups: start what answers questions.

    ``snapshot()`` is the state of the moment, at any time, without a round trip to the broker. May be
    ``async def``; it starts something and returns, within ``plugin_timeout`` seconds. An error here stops the start:
    a probe that nobody answers would stop it later and worse.

    >>> @hookimpl
    ... async def serve(snapshot):
    ...     print(f"{len(snapshot().workers)} workers")
    """


@hookspec
def on_start(worker: WorkerConfig) -> None:
    """*worker* is about to join its group.

    >>> @hookimpl
    ... def on_start(worker):
    ...     print(f"{worker.name} reads {', '.join(worker.input_topics)}")
    """


@hookspec
def on_stop(worker: WorkerConfig, error: Exception | None) -> None:
    """*worker* has stopped; *error* is None when it was asked to.

    >>> @hookimpl
    ... def on_stop(worker, error):
    ...     print(f"{worker.name} stopped: {error or 'as asked'}")
    """


@hookspec
def on_success(worker: WorkerConfig, message: Any, result: Any, context: Context) -> None:
    """A message is done: processed, and its result (if there is an output topic) acknowledged.

    Called for every message, so keep it short; for numbers use ``metrics``.

    >>> @hookimpl
    ... def on_success(worker, result):
    ...     print(f"{worker.name} returned {result}")
    """


@hookspec
def on_error(worker: WorkerConfig, message: Any, error: Exception, context: Context) -> None:
    """A message has failed for good: undecodable (*message* is None then), rejected, or out of retries.

    >>> @hookimpl
    ... async def on_error(worker, error, context):
    ...     print(f"{worker.name}: {context.coordinates} failed after {context.attempt} attempts: {error}")
    """


@hookspec
def on_retry(worker: WorkerConfig, message: Any, error: Exception, context: Context, delay: float) -> None:
    """An attempt failed, and another one follows in *delay* seconds.

    >>> @hookimpl
    ... def on_retry(error, delay):
    ...     print(f"{error}; again in {delay:g} s")
    """


@hookspec
def on_dead_letter(worker: WorkerConfig, error: Exception, context: Context, topic: str) -> None:
    """The dead-letter queue *topic* has acknowledged the message.

    >>> @hookimpl
    ... def on_dead_letter(context, topic):
    ...     print(f"{context.coordinates} is in {topic}")
    """


@hookspec
def on_assigned(worker: WorkerConfig, partitions: tuple[TopicPartition, ...]) -> None:
    """These are the partitions *worker* has in this process from now on, all of them.

    >>> @hookimpl
    ... def on_assigned(worker, partitions):
    ...     print(f"{worker.name} has {len(partitions)} partitions")
    """


@hookspec
def on_revoked(worker: WorkerConfig, partitions: tuple[TopicPartition, ...]) -> None:
    """*worker* gives up these partitions: the group takes them, the worker stops, or the group has lost it.

    What was running there has ended, or its result counts for nothing unless the partition comes straight back.

    >>> @hookimpl
    ... def on_revoked(partitions):
    ...     print(f"{len(partitions)} partitions gone")
    """


@hookspec
def metrics(snapshot: Snapshot) -> None:
    """Called every ``metrics_interval`` seconds and once at the end, whatever the message rate.

    >>> @hookimpl
    ... def metrics(snapshot):
    ...     for worker in snapshot.workers:
    ...         print(worker.name, worker.counters["succeeded"], worker.lag)
    """


@hookspec
def redact(  # type: ignore[empty-body] # a contract
    topic: str, key: bytes | None, value: bytes | None
) -> tuple[bytes | None, bytes | None]:
    """What may be shown of a message: its key and its value, as people may see them. Return both.

    Called for whatever shows messages (``core kafka dlq list`` and ``show``, and programs that use
    ``core_messaging.operations``), before anybody sees them. *topic* is the original topic of a dead letter. What is stored or
    replayed is not changed. The plugins are asked one after the other, each with what the one before returned. Where one
    raises, or returns something else than a pair of bytes, nothing of the message is shown. Headers and texts of errors are not
    passed. Plain ``def``.

    >>> @hookimpl
    ... def redact(topic, key, value):
    ...     return key, b"(a payment)" if topic == "payments" else value
    >>> redact("payments", b"order-7", b'{"iban": "DE89..."}')
    (b'order-7', b'(a payment)')
    """


@hookspec
def wrap_process(call_next: Next, worker: WorkerConfig, message: Any, context: Context) -> Any:
    """Middleware around ``process``; must be ``async def``. Its result is the result, its error the error.

    Not isolated: it is part of processing. Around ``process_batch`` *message* and *context* are lists; a worker with a
    ``batch_size`` and only ``process`` has its messages one by one.

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
