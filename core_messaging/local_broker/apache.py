"""Runs Apache Kafka on loopback, for development and tests: a KRaft cluster of one node or several, as child processes.

Every node is a broker and a controller. Nodes can be killed, paused and restarted.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from core_messaging.errors import BrokerStartFailed
from core_messaging.local_broker import artifacts
from core_messaging.local_broker.child_process import GuardedProcess
from core_messaging.local_broker.data_folder import private, write_private
from core_messaging.local_broker.ports import HOST, free_ports, require_free
from core_messaging.local_broker.probe import alive_brokers

PLAINTEXT = "PLAINTEXT"
_CONTROLLER = "CONTROLLER"
# Any 16 bytes in base64. The id never changes, so the next run can use the data folder.
_CLUSTER_ID = "Y29yZS1tZXNzYWdpbmctMQ"
# An outgoing connection of another process may take a free port before the broker binds it. Then other ports are tried.
_PORT_LOST, _START_TRIES = "Address already in use", 3
_JVM = ("-XX:+UseSerialGC", "-Xshare:auto", "-Djava.awt.headless=true")

_LOG4J = """\
status=error
appenders=file
appender.file.type=File
appender.file.name=file
appender.file.fileName={log}
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d %p %m (%c)%n
rootLogger.level=warn
rootLogger.appenderRef.file.ref=file
"""


@dataclass(frozen=True, kw_only=True)
class ApacheOptions:
    """The options of a cluster.

    - ``folder``: holds data, configuration and log of every node; kept between runs.
    - ``nodes``: 1, or 3 for a cluster that survives the loss of one node.
    - ``port``: of the first node's PLAINTEXT listener; None: any free port. All other ports are free ones.
    - ``listeners``: further listeners, name -> protocol: ``{"SECURE": "SASL_SSL"}``.
    - ``advertised``: (node, listener name) -> ``host:port`` that clients are told instead of the listener's own address,
      for a proxy in between.
    - ``properties``: server properties that are added, or replace those of this module.
    - ``scram_users``: user name -> password, for SCRAM-SHA-256 and SCRAM-SHA-512; created with the storage.
    - ``java_options``: further options of each node's Java: ``-Dname=value``.
    - ``heap``: the largest heap of each node's Java (``512m``). ``start_timeout``, ``stop_timeout``: seconds.
    """

    folder: Path
    nodes: int = 1
    port: int | None = None
    listeners: Mapping[str, str] = field(default_factory=dict)
    advertised: Mapping[tuple[int, str], str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    scram_users: Mapping[str, str] = field(default_factory=dict)
    java_options: tuple[str, ...] = ()
    heap: str = "512m"
    start_timeout: float = 60.0
    stop_timeout: float = 15.0


class ApacheNode:
    """One node; ``address`` is ``host:port`` of its PLAINTEXT listener."""

    def __init__(self, number: int, ports: Mapping[str, int], options: ApacheOptions) -> None:
        self.number, self.ports, self._options = number, dict(ports), options
        self.folder = (options.folder / f"node-{number}").absolute()
        self.log = self.folder / "kafka.log"
        self._process: GuardedProcess | None = None

    @property
    def address(self) -> str:
        """``host:port`` of the PLAINTEXT listener."""
        return self.address_of(PLAINTEXT)

    @property
    def pid(self) -> int | None:
        """The id of the Java process; None where it does not run."""
        return self._process.pid if self.is_running and self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the Java process runs."""
        return self._process is not None and self._process.exit_code is None

    def address_of(self, listener: str) -> str:
        """Return ``host:port`` of *listener*. Raises KeyError for an unknown name."""
        return f"{HOST}:{self.ports[listener]}"

    def format(self, voters: str) -> None:
        """Write the configuration, and format the storage if the folder has none yet.

        *voters*: the property ``controller.quorum.voters``. Raises FolderUnusable, BrokerStartFailed.
        """
        private(self.folder)
        config = self.folder / "server.properties"
        properties = server_properties(self, voters, self._options)
        write_private(config, "".join(f"{name}={value}\n" for name, value in properties.items()))
        write_private(self.folder / "log4j2.properties", _LOG4J.format(log=self.log))
        if not (self.folder / "data" / "meta.properties").exists():
            self._format_storage(config)

    def start(self) -> None:
        """Start the process and return at once; see ``wait_until_ready``."""
        command = self._java(
            f"-Xmx{self._options.heap}", "kafka.Kafka", str(self.folder / "server.properties")
        )
        self._process = GuardedProcess(command, self.folder / "output.log")

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL after ``stop_timeout`` seconds; wait until it has ended. Safe to repeat."""
        if self._process is not None:
            self._process.stop(self._options.stop_timeout)

    def ask_to_stop(self) -> None:
        """Send SIGTERM and return at once."""
        if self._process is not None:
            self._process.send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL: the process ends as in a power failure."""
        if self._process is not None:
            self._process.kill()

    def pause(self) -> None:
        """Send SIGSTOP: the process does nothing, and its connections stay open."""
        if self._process is not None:
            self._process.pause()

    def resume(self) -> None:
        """Send SIGCONT: the process goes on."""
        if self._process is not None:
            self._process.resume()

    def wait_until_ended(self) -> str:
        """Wait until the process ends by itself; return the reason from its log."""
        if self._process is not None:
            self._process.wait(None)
        return self._end_reason()

    def wait_until_ready(self, brokers: int = 1) -> None:
        """Wait until this node answers and counts *brokers* as alive in its cluster. Raises BrokerStartFailed."""
        deadline = time.monotonic() + self._options.start_timeout
        while not self._sees(brokers):
            if not self.is_running:
                raise BrokerStartFailed("Apache Kafka", self._end_reason(), str(self.folder))
            if time.monotonic() > deadline:
                seconds = self._options.start_timeout
                raise BrokerStartFailed("Apache Kafka", f"no answer within {seconds:g} s", str(self.folder))
            time.sleep(0.1)

    def _sees(self, brokers: int) -> bool:
        try:
            return alive_brokers(self.address) >= brokers
        except OSError:
            return False

    def _end_reason(self) -> str:
        logs = (self.log, self.folder / "output.log")
        written = (log.read_text(errors="replace") for log in logs if log.exists())
        return next(filter(None, map(_last_error, written)), "its process ended and logged no reason")

    def _scram(self) -> list[str]:
        mechanisms = ("SCRAM-SHA-256", "SCRAM-SHA-512")
        users = self._options.scram_users.items()
        pairs = [
            ("--add-scram", f"{m}=[name={name},password={word}]") for m in mechanisms for name, word in users
        ]
        return [word for pair in pairs for word in pair]

    def _format_storage(self, config: Path) -> None:
        command = self._java(
            "-Xmx128m",
            "kafka.tools.StorageTool",
            "format",
            "-t",
            _CLUSTER_ID,
            "-c",
            str(config),
            *self._scram(),
        )
        done = subprocess.run(  # noqa: S603 - our command, no shell
            command, capture_output=True, text=True, check=False, timeout=self._options.start_timeout
        )
        if done.returncode != 0:
            output = done.stderr + done.stdout
            reason = _last_error(output) or output.strip()[-300:]
            raise BrokerStartFailed("Apache Kafka", reason, str(self.folder))

    def _java(self, heap: str, *arguments: str) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={(self.folder / 'log4j2.properties').as_uri()}"
        java = [artifacts.java(), *_JVM, *self._options.java_options, heap, log4j]
        return [*java, "-cp", f"{artifacts.kafka_jars()}/*", *arguments]


class ApacheCluster:
    """Runs all nodes of a cluster for as long as the ``with`` block lasts.

    >>> with ApacheCluster(ApacheOptions(folder=Path("data"))) as cluster:  # doctest: +SKIP
    ...     cluster.address
    '127.0.0.1:38231'

    Raises ToolMissing without Java or Maven, DownloadFailed, PortInUse, BrokerStartFailed.
    """

    def __init__(self, options: ApacheOptions) -> None:
        self._options = options
        self.nodes: Sequence[ApacheNode] = ()

    @property
    def address(self) -> str:
        """The bootstrap servers of all nodes, ``host:port,host:port``."""
        return ",".join(node.address for node in self.nodes)

    def __enter__(self) -> Self:
        artifacts.java()
        artifacts.kafka_jars()
        if self._options.port:
            require_free(self._options.port)
        for tries_left in reversed(range(_START_TRIES)):
            try:
                self._start_at_free_ports()
                break
            except BrokerStartFailed as error:
                if not tries_left or _PORT_LOST not in str(error):
                    raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop all nodes within about ``stop_timeout`` seconds. Safe to repeat."""
        # Every node gets SIGTERM before the first is waited for, so they stop at the same time.
        for node in self.nodes:
            node.ask_to_stop()
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """Kill all nodes; for data that is not needed any more."""
        for node in self.nodes:
            node.kill()

    def _start_at_free_ports(self) -> None:
        self.nodes = _place(self._options)
        try:
            self._start()
        except BaseException:
            self.kill()
            raise

    def _start(self) -> None:
        voters = ",".join(f"{node.number}@{node.address_of(_CONTROLLER)}" for node in self.nodes)
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(lambda node: node.format(voters), self.nodes))
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_until_ready(len(self.nodes))


def _place(options: ApacheOptions) -> list[ApacheNode]:
    names = [PLAINTEXT, _CONTROLLER, *options.listeners]
    ports = iter(free_ports(len(names) * options.nodes))
    placed = [{name: next(ports) for name in names} for _ in range(options.nodes)]
    if options.port:
        placed[0][PLAINTEXT] = options.port
    return [ApacheNode(number, own, options) for number, own in enumerate(placed, start=1)]


def _last_error(log: str) -> str:
    """Return the last line of a Java program's output that names an error; "" where there is none."""
    lines = [
        line.strip()
        for line in log.splitlines()
        if any(word in line for word in ("Exception", "ERROR", "Error:"))
    ]
    # The frames of a stack trace name exceptions too, and do not help a user.
    errors = [line for line in lines if not line.startswith("at ")]
    return errors[-1] if errors else ""


def server_properties(node: ApacheNode, voters: str, options: ApacheOptions) -> dict[str, str]:
    """Return the node's ``server.properties``; the ``properties`` of the options replace those of the same name."""
    protocols = {PLAINTEXT: PLAINTEXT, _CONTROLLER: PLAINTEXT, **options.listeners}
    client_listeners = [PLAINTEXT, *options.listeners]
    advertised = {
        name: options.advertised.get((node.number, name), node.address_of(name)) for name in client_listeners
    }
    copies = str(min(3, options.nodes))
    return {
        "process.roles": "broker,controller",
        "node.id": str(node.number),
        "controller.quorum.voters": voters,
        "controller.listener.names": _CONTROLLER,
        "inter.broker.listener.name": PLAINTEXT,
        "listeners": ",".join(f"{name}://{node.address_of(name)}" for name in protocols),
        "advertised.listeners": ",".join(f"{name}://{address}" for name, address in advertised.items()),
        "listener.security.protocol.map": ",".join(f"{name}:{value}" for name, value in protocols.items()),
        "log.dirs": str(node.folder / "data"),
        "default.replication.factor": copies,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": str(min(2, options.nodes)),
        "min.insync.replicas": str(min(2, options.nodes)),
        # The default of 50 partitions costs seconds of file work at the first commit, and has no use here.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "num.partitions": "4",
        "auto.create.topics.enable": "false",
        # By default, a group waits three seconds for further members. A worker that starts alone would wait too.
        "group.initial.rebalance.delay.ms": "0",
        **options.properties,
    }
