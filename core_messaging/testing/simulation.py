"""Simulates a fleet of processes that join, leave and crash, and a broker with faults: the real engine, a virtual clock.

>>> from core_messaging import Worker
>>> from core_messaging.testing import simulate
>>> class Greet(Worker):
...     input_topic = "names"
...     async def process(self, message: dict) -> None: ...
>>> report = simulate(Greet, [(b"key", b'{"name": "Ada"}')] * 20, seed=7)
>>> report.lost, report.violations
(0, ())
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any

from core_messaging.engine.engine import Engine
from core_messaging.engine.handler_threads import ProcessThreads
from core_messaging.engine.shared_resources import SharedResources
from core_messaging.errors import BrokerUnreachable, ConfigurationError, SimulationFailed
from core_messaging.memory_broker.broker import MemoryBroker
from core_messaging.plugins.factories import codecs_of
from core_messaging.records import Outgoing, TopicPartition
from core_messaging.settings import Settings
from core_messaging.testing.faults import Fault, Planned, draw
from core_messaging.testing.handler_probe import HandlerProbe
from core_messaging.testing.history import History
from core_messaging.testing.result_marks import source_of
from core_messaging.testing.simulated_broker import SimulatedBroker, Trouble
from core_messaging.testing.simulated_process import SimulatedProcess, forget_oldest
from core_messaging.testing.virtual_clock import InlineThreads, run_virtually
from core_messaging.worker import Worker, config_of

SHARES = 100  # the chance of a fault, times this: its digits behind the point are another chance
START = 1_700_000_000.0  # seconds since the epoch at which every simulation starts
SESSION_TIMEOUT = 10.0  # seconds after which the group notices that a process is dead
UNAWARE = 6.0  # seconds at most until a member hears that its group takes it for dead: two heartbeats
RESTART = 1.0  # seconds until a process that died is started again
BURST = 10  # messages sent at once
PATIENCE = 20_000.0  # seconds of the virtual clock in which all messages must be settled

Message = bytes | tuple[bytes | None, bytes | None]


@dataclass(frozen=True, slots=True)
class Report:
    """The numbers of one simulation.

    ``sent`` to ``lost``: numbers of messages; ``skipped``: given up by a worker that has no ``dlq_topic``. ``repeated``:
    how many times a message was processed after its first time. ``violations``: broken guarantees. ``trace``: one line for
    each event; the same seed gives the same lines.
    """

    seed: int
    sent: int
    finished: int
    dead_lettered: int
    skipped: int
    lost: int
    repeated: int
    violations: tuple[str, ...]
    trace: tuple[str, ...]


class _Process:
    """One worker in one simulated process."""

    def __init__(
        self, name: str, worker: type[Worker], broker: SimulatedBroker, resources: SharedResources
    ) -> None:
        self.name = name
        self.broker = broker
        self._process = process = SimulatedProcess()
        self._worker = process.context.run(worker)
        self.engine = process.context.run(Engine, self._worker, config_of(worker), resources)
        self.task = process.start(self.engine.run())

    def die(self) -> None:
        """Die at once: nothing is finished, committed or sent, and no code of the user runs any more."""
        self.broker.die(SESSION_TIMEOUT)
        vars(self._worker)["teardown"] = _nothing  # also not later, when its frozen tasks are dropped
        self._process.kill()

    def freeze(self, seconds: float) -> None:
        """Stand still for *seconds*, as with SIGSTOP and SIGCONT. Longer than the session, and the group goes on without it."""
        self.broker.freeze(SESSION_TIMEOUT)
        self._process.freeze()
        asyncio.get_running_loop().call_later(seconds, self._thaw)

    def _thaw(self) -> None:
        self._process.thaw()
        self.broker.thaw()

    @property
    def is_frozen(self) -> bool:
        """Whether the process stands still and goes on later."""
        return self._process.is_frozen


def _nothing() -> None: ...


class Simulation:
    """Sends *messages* to *worker* while planned faults happen. Call ``run`` once, on a virtual clock.

    *messages*: values, or pairs (key, value). *partitions*: of each topic.
    """

    def __init__(self, worker: type[Worker], messages: Sequence[Message], partitions: int = 4) -> None:
        self._worker = worker
        self._config = config = config_of(worker)
        if not config.input_topics:
            raise ConfigurationError(
                f"{config.name} reads {config.inputs}, and a simulation needs names; simulate a subclass with input_topic = [...]"
            )
        self._messages = messages
        self._partitions = dict.fromkeys(config.topics, partitions)  # by topic
        self.broker = MemoryBroker(self._partitions, clock=self._epoch)
        self._trouble = Trouble()
        self._settings = Settings()
        self._codecs = codecs_of([config], self._settings)  # those of installed plugins
        self.history = History(config.ordering)
        self._fleet: list[_Process] = []
        self._leaving: list[_Process] = []
        self._names = (f"process-{number}" for number in itertools.count(1))
        self._restarts: list[asyncio.TimerHandle] = []
        self._joining: asyncio.Future[None] | None = None
        self._over = False

    async def run(self, planned: Iterable[Planned], members: int) -> None:
        """Start *members* processes, let the faults happen, end them, and wait until all messages are settled."""
        for _ in range(members):
            await self._join()
        sending = asyncio.ensure_future(self._send())
        for fault in planned:
            await asyncio.sleep(max(0.0, fault.at - self._now()))
            self.history.trace.append(f"{self._now():.3f} {fault.fault.value}")
            await self._happen(fault)
        await sending
        await self._heal()
        await self._until_settled()
        self._over = True
        await self._stop_all()
        self._check_commits()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _epoch(self) -> float:
        try:
            return START + self._now()
        except RuntimeError:  # before the loop runs
            return START

    async def _send(self) -> None:
        """Send all messages, a few at a time, so that faults happen between them."""
        for number, message in enumerate(self._messages):
            key, value = message if isinstance(message, tuple) else (None, message)
            topic = self._config.input_topics[number % len(self._config.input_topics)]
            self.broker.put(topic, value, key)
            self.history.send(self.broker.records(topic)[-1])
            if number % BURST == BURST - 1:
                await asyncio.sleep(0.25)

    async def _join(self) -> None:
        name = next(self._names)
        broker = SimulatedBroker(
            self.broker,
            self._trouble,
            lambda offsets: self.history.commit(self._now(), name, offsets),
            self._published,
        )
        probe = HandlerProbe(
            name, self._config, self.history, self._now, partial(Context().run, self._kill, name)
        )
        publisher = broker.publisher()
        while self.broker.unreachable:  # noqa: ASYNC110 - a supervisor starts a process again and again too
            await asyncio.sleep(1)
        await publisher.start()
        resources = SharedResources(
            broker=broker,
            publisher=publisher,
            settings=self._settings,
            codecs=self._codecs,
            threads=ProcessThreads(self._settings.handler_threads, InlineThreads(1)),
            observers=probe.observers(),
        )
        process = _Process(name, self._worker, broker, resources)
        self._fleet.append(process)
        process.task.add_done_callback(lambda _task: self._restart_if_unreachable(process))

    def _restart_if_unreachable(self, process: _Process) -> None:
        """Start a process again, as a supervisor does, if it ended because it found no broker."""
        task = process.task
        if (
            process in self._fleet
            and not task.cancelled()
            and isinstance(task.exception(), BrokerUnreachable)
        ):
            self._fleet.remove(process)
            self._restarts.append(asyncio.get_running_loop().call_later(RESTART, self._restart))

    def _published(self, record: Outgoing) -> None:
        if (place := source_of(record)) is not None:
            self.history.store(self._now(), place)
        elif record.topic in self._config.dlq_topics:
            self._dead_lettered(record)

    def _dead_lettered(self, record: Outgoing) -> None:
        facts = dict(record.headers)
        source = TopicPartition(facts["core-original-topic"].decode(), int(facts["core-original-partition"]))
        self.history.dead_letter(self._now(), source, int(facts["core-original-offset"]))

    def _kill(self, name: str) -> None:
        """Kill the process, and start another one a little later, as a supervisor does."""
        for processes in (self._fleet, self._leaving):
            for process in [each for each in processes if each.name == name]:
                process.die()
                processes.remove(process)
                self._restarts.append(asyncio.get_running_loop().call_later(RESTART, self._restart))

    def _restart(self) -> None:
        if not self._over:
            self._joining = asyncio.ensure_future(self._join())

    async def _happen(self, planned: Planned) -> None:
        trouble, count = self._trouble, 1 + int(planned.chance * 4)
        match planned.fault:
            case Fault.COMMIT_REFUSED:
                trouble.commits_refused += count
            case Fault.COMMIT_UNHEARD:
                trouble.commits_unheard += count
            case Fault.COMMIT_SLOW:
                trouble.commits_slow += count
            case Fault.PUBLISH_REFUSED:
                trouble.publishes_refused += count
            case Fault.PUBLISH_UNHEARD:
                trouble.publishes_unheard += count
            case _:
                await self._happen_to_broker(planned, count)

    async def _happen_to_broker(self, planned: Planned, count: int) -> None:
        match planned.fault:
            case Fault.FETCH_BROKEN:
                self.broker.fail_fetches(1)
            case Fault.COORDINATOR_MOVED:
                self.broker.move_coordinator(self._config.group_id, 3 * count)
            case Fault.PARTITION_ADDED:
                self._add_partition(planned.chance)
            case Fault.UNREACHABLE:
                self.broker.unreachable = True
                asyncio.get_running_loop().call_later(3 * count, self._reachable)
            case _:
                await self._happen_to_member(planned)

    def _reachable(self) -> None:
        self.broker.unreachable = False

    def _add_partition(self, chance: float) -> None:
        topics = self._config.input_topics
        topic = topics[int(chance * len(topics))]
        self._partitions[topic] += 1
        self.broker.add_partitions(topic, self._partitions[topic])

    async def _happen_to_member(self, planned: Planned) -> None:
        awake = [process for process in self._fleet if not process.is_frozen]
        if planned.fault is Fault.JOIN or not awake:
            await self._join()
            return
        chosen = awake[int(planned.chance * len(awake))]
        match planned.fault:
            case Fault.LEAVE:
                self._fleet.remove(chosen)
                self._leaving.append(chosen)
                chosen.engine.request_stop()
            case Fault.CRASH:
                self._kill(chosen.name)
            case Fault.FREEZE:
                chosen.freeze(2 * SESSION_TIMEOUT * (planned.chance * SHARES % 1))
            case _:
                for consumer in chosen.broker.consumers[-1:]:
                    consumer.inner.expel(UNAWARE * planned.chance)

    async def _heal(self) -> None:
        self._reachable()
        self._trouble.end()
        if not self._fleet:
            await self._join()

    async def _until_settled(self) -> None:
        deadline = self._now() + PATIENCE
        while self._unsettled() and self._now() < deadline:
            await asyncio.sleep(1.0)
            self._notice_failures()

    def _unsettled(self) -> bool:
        return bool(self.history.lost()) or bool(self._uncommitted())

    def _uncommitted(self) -> list[str]:
        late = []
        for topic in self._config.input_topics:
            commits = self.broker.committed(self._config.group_id, topic)
            ends: dict[int, int] = {}
            for record in self.broker.records(topic):
                ends[record.partition] = record.offset + 1
            late += [
                f"{topic}[{p}]" for p, end in ends.items() if p not in commits or commits[p].offset < end
            ]
        return late

    def _notice_failures(self) -> None:
        for process in tuple(self._fleet):
            if process.task.done() and not process.task.cancelled():
                error = process.task.exception()
                self.history.violations.append(f"{process.name} stopped by itself: {error!r}")
                self._fleet.remove(process)

    async def _stop_all(self) -> None:
        for timer in self._restarts:
            timer.cancel()
        for process in self._fleet:
            process.engine.request_stop()
        ending = [process.task for process in (*self._fleet, *self._leaving)]
        outcomes = await asyncio.gather(*ending, return_exceptions=True)
        # A process that was asked to stop before it found a broker ends with that error.
        wrong = [o for o in outcomes if o is not None and not isinstance(o, BrokerUnreachable)]
        self.history.violations += [f"a process ended with {o!r}" for o in wrong]

    def _check_commits(self) -> None:
        lost = [f"{source}@{offset} was never settled" for source, offset in self.history.lost()]
        late = [f"{source} was settled and not committed to its end" for source in self._uncommitted()]
        self.history.violations += lost + late

    def report(self, seed: int) -> Report:
        """Return the numbers of this simulation. *seed*: the seed that the faults came from."""
        history = self.history
        return Report(
            seed=seed,
            sent=len(history.sent),
            finished=len(history.finished),
            dead_lettered=len(history.dead_lettered),
            skipped=len(history.skipped),
            lost=len(history.lost()),
            repeated=history.repeated(),
            violations=tuple(history.violations),
            trace=tuple(history.trace),
        )


def simulate(  # noqa: PLR0913 - the parameters of a simulation, all but two by name
    worker: type[Worker],
    messages: Sequence[Message],
    *,
    seed: int,
    faults: Iterable[Fault] = tuple(Fault),
    count: int = 12,
    seconds: float = 30.0,
    members: int = 2,
) -> Report:
    """Let *members* processes of *worker* process *messages* while *count* of *faults* happen within *seconds*.

    *messages*: values, or pairs (key, value). *seed*: decides about faults, their times and the jitter of retries. Handlers
    may wait with ``asyncio.sleep`` only, and may raise ProcessDied to let their process die. A ``codec`` has to be of an
    installed plugin.

    Raises SimulationFailed where a message is lost, starts out of order, or is committed before it is settled; BrokenWorker
    for a codec that is not installed.
    """
    simulation = Simulation(worker, messages)
    state = random.getstate()
    random.seed(seed)  # the jitter of the engine uses it
    try:
        run_virtually(simulation.run(draw(seed, faults, count, seconds), members))
    finally:
        random.setstate(state)
        forget_oldest()
    report = simulation.report(seed)
    if report.violations:
        raise SimulationFailed(seed, report.violations)
    return report


def simulate_many(
    worker: type[Worker], messages: Sequence[Message], *, seeds: Iterable[int], **options: Any
) -> list[Report]:
    """Call ``simulate`` for each of *seeds*. Raises SimulationFailed, which names the seed, at the first that fails."""
    return [simulate(worker, messages, seed=seed, **options) for seed in seeds]
