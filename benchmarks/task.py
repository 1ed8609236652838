"""The task of one contestant, as it is sent to its process."""

from __future__ import annotations

from typing import Literal

import msgspec

KEYS = 1_000  # keys of the messages of a topic, in turn

Work = Literal["nothing", "sleep", "thread", "cpu"]
Plugin = Literal["", "on_success", "prometheus", "opentelemetry"]
Loop = Literal["asyncio", "punctual", "uvloop"]


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One round of one contestant.

    - ``run``: ``module:function`` below ``benchmarks.contestants``.
    - ``topic``: holds messages 0 to ``count`` - 1; where ``rate`` is set they are sent while it runs.
    - ``output``: a topic that gets ``count`` messages; the round ends when they are stored there.
    - ``work``: what a handler does: nothing, an asyncio sleep of ``seconds``, a sleep in a thread, or computing.
    - ``rate``: messages a second; the first ``skip`` of them are not measured. 0: the topic is full already.
    - ``failing``: of 1,000 keys, how many fail for ever.
    - ``loop``: the event loop; ``core kafka worker`` uses the punctual one, or uvloop where it is installed.
    - ``plugin``: what is switched on: a plugin with one plain ``on_success``, or a built-in plugin.
    """

    run: str
    address: str = ""
    topic: str = ""
    count: int = 0
    output: str = ""
    work: Work = "nothing"
    seconds: float = 0.0
    slots: int = 8
    ordering: str = "key"
    message: Literal["dict", "struct"] = "dict"
    batch: int = 0
    rate: int = 0
    skip: int = 0
    failing: int = 0
    loop: Loop = "asyncio"
    plugin: Plugin = ""
    processes: int = 1


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of a round: messages and seconds; with a rate also milliseconds from produced to handled.

    ``cpu``: seconds of processor time of the contestant's process, from the first message to the last.
    """

    count: int
    seconds: float
    cpu: float = 0.0
    p50: float = 0.0
    p99: float = 0.0

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.count / self.seconds


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a typed one."""

    id: int
    type: str
    data: str
