"""Every error this project raises, in one tree.

::

    CoreMessagingError
    ├── ConfigurationError         what the user wrote cannot work
    │   ├── OptionError            a worker option
    │   ├── PluginError            a plugin's hooks
    │   ├── NotRegistered          a broker or codec that no plugin registers
    │   ├── RegisteredTwice        ... or that two plugins register
    │   ├── NotKafka               kafka_broker names another broker, and a command reads Kafka itself
    │   ├── KafkaDisabled          kafka_enabled is False
    │   ├── SecondMember           a group has one member at most at the embedded broker
    │   └── InvalidRecord          no record can have this topic, key, header, partition or timestamp
    ├── DiscoveryError             a worker or its package cannot be found or loaded
    │   ├── UnknownWorker
    │   ├── UnknownProcess         no process of the fleet is named like that, or several are
    │   ├── UnknownQueue           neither a worker nor a topic
    │   ├── NoQueue                a worker without a dead-letter queue
    │   ├── DuplicateWorker
    │   ├── BrokenWorker
    │   ├── WorkerFileError        a file that was given by its path
    │   └── BrokenPackages
    ├── BrokerError                the broker refused, failed or did not answer
    │   ├── BrokerUnreachable
    │   ├── BrokerRefused          authentication, authorization, TLS
    │   ├── TopicMissing
    │   ├── PublishFailed          this record was not acknowledged
    │   ├── ManyNotSent            some records of a send_many
    │   ├── RecordRefused          ... and never will be (invalid)
    │   │   └── RecordTooLarge
    │   ├── CommitRefused          the partition belongs to another member now
    │   ├── GroupRefused           the group does not accept this member
    │   ├── IdentityTaken          another process has the same kafka_group_instance_id
    │   ├── UnreadableRecords      the client cannot parse what the broker stored
    │   ├── UnreadableTopic        ... in a topic that is only read
    │   ├── ReplayFenced           another replay of the same dead-letter queue has started
    │   ├── LetterRefused          a topic does not accept a dead letter that is replayed
    │   ├── TopicForbidden         an ACL for reading is missing
    │   ├── ReplayDenied           an ACL for a replay is missing
    │   └── NoSuchLetter           there is no record at the given coordinates
    ├── MessageError               about one message
    │   ├── Undecodable
    │   ├── Unencodable
    │   ├── AttemptTimeout
    │   ├── HandlerExit            a handler raised SystemExit, CancelledError or the like
    │   ├── NothingRan             a decorator hides that the handler is a generator
    │   ├── BatchLengthMismatch
    │   ├── TriedBefore            stands for the errors of earlier attempts that are not known any more
    │   └── KilledTheProcess
    ├── RetriesExhausted           a worker with on_exhausted = "stop" has stopped
    │   └── DeadLetterRefused      ... because its dead-letter queue refuses a dead letter
    ├── MessagesGone               a worker with kafka_auto_offset_reset = "stop" has stopped
    ├── LocalBrokerError           a local broker cannot be started
    │   ├── ToolMissing            Java, Maven or an extra is not installed
    │   ├── DownloadFailed
    │   ├── PortInUse
    │   ├── ForeignFolder          a folder that `core kafka up` did not create
    │   ├── FolderUnusable         a folder where this user cannot write
    │   ├── FolderInUse            another running broker uses the folder
    │   ├── BrokerStartFailed
    │   └── BrokerEnded            by itself, while it was in use
    ├── NewPackageError            `core new` cannot write a package
    │   ├── NameRefused
    │   ├── FolderRefused
    │   └── ExtraMissing           a package that `core new` needs is not installed
    ├── CommandRefused             a process of the fleet does not obey a command
    ├── ShutdownTimeout            messages were still running at the end of the shutdown
    ├── SimulationStuck            a simulation can make no progress
    ├── SimulationFailed           a guarantee was broken in a simulation
    ├── NoWorker                   the testing kit got something that is no worker
    ├── LoopRunning                the testing kit was called inside a running event loop
    └── NotFinished                the messages of a test were not finished in time

Handlers raise :class:`Reject`, :class:`RetryAfter` and :class:`PartialBatchError` to steer the runtime. So they are not in
the tree.

A constructor takes facts and writes the message. The message says what happened, what becomes of the data, and the remedy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Self

from core_messaging.text.printable import short
from core_messaging.text.wording import counted

NAMED = 5  # of many names in one message


def text_of(error: BaseException) -> str:
    """Return the message of *error*, at most ``printable.LONGEST`` characters, also if its ``str`` raises."""
    try:
        return short(str(error))
    except KeyboardInterrupt:
        raise
    except BaseException as reason:  # also SystemExit: reading a text must not end the program
        return f"(its text cannot be read: {type(reason).__name__})"


def cause_of(error: BaseException) -> str:
    """Return the type of *error* and its message, if it has one: ``ValueError: no address``."""
    text = text_of(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class CoreMessagingError(Exception):
    """Base of all errors of this project; the command line prints it as one line."""


class ConfigurationError(CoreMessagingError):
    """What the user wrote (options, settings, arguments) cannot work."""


class OptionError(ConfigurationError):
    """A worker option is unknown, has a wrong type, or contradicts another one."""

    def __init__(self, worker: str, problem: str, remedy: str) -> None:
        super().__init__(f"worker {worker}: {problem}; {remedy}")
        self.worker = worker


class PluginError(ConfigurationError):
    """A plugin implements hooks in a way that cannot work; its author has to correct it."""


class NotRegistered(ConfigurationError):
    """No plugin registers the broker, codec or command that is named."""

    def __init__(self, kind: str, name: str, known: Sequence[str], broken: Sequence[str]) -> None:
        nearest = get_close_matches(name, known, n=1)
        there_is = f"there is {', '.join(sorted(set(known)))}" if known else f"no plugin registers a {kind}"
        hint = f"did you mean {nearest[0]!r}?" if nearest else there_is
        culprits = f"; broken: {'; '.join(broken)}" if broken else ""
        super().__init__(f"there is no {kind} {name!r}: {hint}{culprits}; see `core plugins`")
        self.kind, self.name = kind, name


class RegisteredTwice(ConfigurationError):
    """Two plugins register the same name, so neither can be used."""

    def __init__(self, kind: str, name: str, labels: Sequence[str]) -> None:
        super().__init__(
            f"the {kind} {name!r} is registered by {' and '.join(sorted(labels))}; "
            "disable one of the plugins with --disable-plugin or CORE_PLUGINS_DISABLE (see `core plugins`)"
        )
        self.kind, self.name, self.labels = kind, name, tuple(labels)


class KafkaDisabled(ConfigurationError):
    """The settings switch Kafka off, and the program needs it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} needs Kafka, but the setting kafka_enabled is False; "
            "set kafka_enabled = True in your settings or KAFKA_ENABLED=true in the environment"
        )


class NotKafka(ConfigurationError):
    """A command reads Kafka itself, and the settings name the broker of a plugin."""

    def __init__(self, what: str, broker: str) -> None:
        super().__init__(
            f"{what} reads Kafka itself, but the setting kafka_broker is {broker!r}; nothing was read. "
            "Use that broker's own tools, or set KAFKA_BROKER=kafka to look at kafka_bootstrap_servers"
        )
        self.broker = broker


class SecondMember(ConfigurationError):
    """The group has a member already, and it may have only one at the embedded broker."""

    def __init__(self, group: str, address: str) -> None:
        super().__init__(
            f"group {group} has a member already, and the embedded broker at {address} takes one member in a group; that "
            "member is not affected. Stop it, give this worker a group_id of its own, or use a broker of "
            "`core kafka up --engine apache`"
        )
        self.group = group


class DiscoveryError(CoreMessagingError):
    """A worker, or the package that should provide it, cannot be found or loaded."""


class UnknownWorker(DiscoveryError):
    """No worker has this name. *broken*: places that could not be searched, each with its cause."""

    def __init__(
        self, name: str, nearest: Sequence[str], searched: Sequence[str], broken: Sequence[str] = ()
    ) -> None:
        hint = f"did you mean {' or '.join(nearest)}?" if nearest else "see `core kafka workers`"
        places = ", ".join(searched) or "nothing"
        cause = f"{'; '.join(broken)}; correct or uninstall it. " if broken else ""
        super().__init__(
            f"{cause}{'No' if broken else 'no'} worker is named {name!r} (searched: {places}); {hint}"
        )
        self.name, self.nearest, self.searched = name, tuple(nearest), tuple(searched)


class UnknownProcess(DiscoveryError):
    """No process of the fleet is named like that, or several are. *found*: the names of those."""

    def __init__(self, name: str, found: Sequence[str]) -> None:
        if found:
            several = ", ".join(found[:NAMED]) + ", ..." * (len(found) > NAMED)
            text = f"{name!r} may be several processes ({several}); nothing was done. Write more of its id"
        else:
            text = f"no process of the fleet is named {name!r}; nothing was done. See `core kafka fleet`"
        super().__init__(text)
        self.name, self.found = name, tuple(found)


class UnknownQueue(DiscoveryError):
    """No worker and no topic has this name."""

    def __init__(self, name: str, servers: str, no_worker: Exception) -> None:
        super().__init__(f"no topic at {servers} is called {name!r}, and {no_worker}")
        self.name = name


class NoQueue(DiscoveryError):
    """A worker has no dead-letter queue."""

    def __init__(self, worker: str) -> None:
        super().__init__(
            f"worker {worker} has no dlq_topic, so it has no dead letters; give it one, or name a topic"
        )
        self.worker = worker


class SeveralQueues(DiscoveryError):
    """A worker has several dead-letter queues, and one has to be named."""

    def __init__(self, worker: str, topics: Sequence[str]) -> None:
        super().__init__(
            f"worker {worker} has several dead-letter queues, so a partition or an offset names no letter; name the topic: "
            f"{' or '.join(topics)}"
        )
        self.worker, self.topics = worker, tuple(topics)


class DuplicateWorker(DiscoveryError):
    """Two places offer a worker with the same name."""

    def __init__(self, name: str, offers: Sequence[str]) -> None:
        choices = " or ".join(f"{offer}:{name}" for offer in offers)
        remedy = f"say which one ({choices}), or uninstall one"
        if len(offers) == 1:
            remedy = "two of its workers have that name; give one of them another name"
        super().__init__(f"worker {name!r} is offered by {' and by '.join(offers)}; {remedy}")
        self.name, self.offers = name, tuple(offers)


class BrokenWorker(DiscoveryError):
    """The named worker cannot be loaded or cannot run. ``cause``: why."""

    def __init__(self, name: str, source: str, cause: str) -> None:
        super().__init__(f"worker {name!r} from {source} is broken: {cause}; correct or upgrade {source}")
        self.name, self.source, self.cause = name, source, cause

    @classmethod
    def by(cls, name: str, source: str, what: str, error: BaseException) -> Self:
        """Make the error for a worker whose *what* (a method, or its constructor) raised *error*."""
        return cls(name, source, f"{what} raised {type(error).__name__}: {text_of(error)}")


class WorkerFileError(DiscoveryError):
    """A file that is given by its path has no worker to run."""

    def __init__(self, file: str, cause: str, remedy: str) -> None:
        super().__init__(f"{file}: {cause}; {remedy}")
        self.file, self.cause = file, cause


class BrokenPackages(DiscoveryError):
    """``--all`` refuses to start while some workers cannot be loaded."""

    def __init__(self, culprits: Mapping[str, str]) -> None:
        listing = "; ".join(f"{who}: {cause}" for who, cause in culprits.items())
        super().__init__(
            f"{len(culprits)} broken: {listing}; nothing was started. "
            "Correct or uninstall them, or run the healthy workers with --skip-broken"
        )
        self.culprits = dict(culprits)


class BrokerError(CoreMessagingError):
    """The broker refused, failed, or did not answer."""


class BrokerUnreachable(BrokerError):
    """No Kafka broker answers at the configured address."""

    def __init__(self, servers: str, cause: str) -> None:
        super().__init__(
            f"no Kafka broker answers at {servers} ({cause}); "
            "start one (`core kafka up` for a try) or set KAFKA_BOOTSTRAP_SERVERS to the address of yours"
        )
        self.servers = servers


class BrokerRefused(BrokerError):
    """The broker answers and refuses this client: credentials, permissions or TLS."""

    def __init__(self, servers: str, cause: str) -> None:
        super().__init__(
            f"the Kafka broker at {servers} refuses this client ({cause}); "
            "check the kafka_security_protocol, kafka_sasl_* and kafka_ssl_* settings and the ACLs"
        )
        self.servers = servers


class ControlUnread(BrokerError):
    """The control topic was not read in time, and ``kafka_control_required`` is set."""

    def __init__(self, topic: str, seconds: float) -> None:
        super().__init__(
            f"the control topic {topic} was not read within {seconds:g} s (kafka_control_timeout), so nobody knows what is "
            "paused; nothing was started. Look at the broker, or set kafka_control_required = False"
        )
        self.topic = topic


class TopicMissing(BrokerError):
    """Topics that are needed do not exist."""

    def __init__(self, topics: Sequence[str], servers: str) -> None:
        names = ", ".join(topics)
        super().__init__(
            f"topics that do not exist at {servers}: {names}; "
            "create them, or start `core kafka worker` or `core kafka publish` with --create-topics"
        )
        self.topics = tuple(topics)


class PublishFailed(BrokerError):
    """A record was not acknowledged; another try may work."""

    def __init__(self, topic: str, cause: str) -> None:
        super().__init__(f"publishing to {topic} was not acknowledged: {cause}; send it again")
        self.topic = topic


class RecordRefused(BrokerError):
    """The broker or the client never accepts this record, however often it is sent."""

    def __init__(self, topic: str, cause: str, remedy: str = "sending it again cannot help") -> None:
        super().__init__(f"{topic} does not take this record: {cause}; {remedy}")
        self.topic = topic


class RecordTooLarge(RecordRefused):
    """The record has more bytes than its topic, or this producer, accepts."""


class ManyNotSent(BrokerError):
    """Some messages of a ``send_many`` were not stored.

    ``receipts``: of the stored messages, in order. ``failures``: index of a message -> its error. ``tried``: how many messages
    were tried; those that follow were not.
    """

    def __init__(self, receipts: Sequence[object], failures: Mapping[int, Exception]) -> None:
        first = min(failures)
        self.receipts, self.failures = list(receipts), dict(failures)
        self.tried = len(receipts) + len(failures)
        super().__init__(
            f"{counted(self.tried, 'message', 'was', 'were')} tried, {len(receipts)} stored and {len(failures)} not; those "
            f"that follow were not tried. The first failure is message {first}: {failures[first]}"
        )


class CommitRefused(BrokerError):
    """The group has rebalanced, and the partitions belong to another member now."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"the offsets were not committed: {cause}; "
            "these messages are delivered again to the member that has the partition now"
        )


class GroupRefused(BrokerError):
    """The group does not accept this member, and will not until something is changed."""

    def __init__(self, group: str, cause: str, remedy: str) -> None:
        super().__init__(f"group {group} does not take this member: {cause}; {remedy}")
        self.group = group


class IdentityTaken(BrokerError):
    """Another process has joined the group under the same static identity."""

    def __init__(self, group: str, instance: str) -> None:
        super().__init__(
            f"another process has joined group {group} with the same kafka_group_instance_id = {instance!r}; this process goes "
            "on as a member without a static identity. Give each replica a kafka_group_instance_id of its own (for example the "
            "name of its pod), or none"
        )
        self.group, self.instance = group, instance


class UnreadableRecords(BrokerError):
    """The client library cannot parse stored bytes, and never will."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"the Kafka client cannot parse what the broker stores: {cause}; "
            "the partition stands still at this offset. Save the record if you need it, stop the worker, "
            "and move its group past the record: core kafka reset-offsets NAME --to OFFSET+1 --topic TOPIC --partition PARTITION"
        )


class ReplayFenced(BrokerError):
    """Another replay of the same dead-letter queue has started; the transactional id belongs to it now."""

    def __init__(self, queue: str) -> None:
        super().__init__(
            f"another replay or drop of {queue} has begun, so this one stops. What this one has reported as done is done and "
            "marked; the other one does the rest"
        )
        self.queue = queue


class LetterRefused(BrokerError):
    """A topic does not accept a dead letter that is replayed. *place*: queue, partition and offset of the letter."""

    def __init__(self, place: str, cause: str) -> None:
        super().__init__(
            f"letter {place} was not stored: {cause}. Nothing of this step was stored either; correct the topic, leave the letter out "
            "(--partition, --offsets), or drop it"
        )
        self.place = place


class TopicForbidden(BrokerError):
    """An ACL is missing: this client may not read topics that it needs."""

    def __init__(self, topics: Sequence[str], servers: str) -> None:
        super().__init__(
            f"the Kafka broker at {servers} does not let this client see {', '.join(topics)}; nothing was changed. Ask for the ACLs "
            "Describe and Read on it (docs/dead-letters.md lists all)"
        )
        self.topics = tuple(topics)


class ReplayDenied(BrokerError):
    """An ACL that a replay or a drop needs is missing."""

    def __init__(self, queue: str, transactional_id: str, cause: str) -> None:
        super().__init__(
            f"the broker does not let this client replay or drop letters of {queue} ({cause}); nothing of this step was stored. "
            f"It needs Read on {queue}, Read and Write on {queue}.handled, Write on the topics that letters go to, and Write "
            f"and Describe on the transactional id {transactional_id}"
        )
        self.queue = queue


class NoSuchLetter(BrokerError):
    """There is no record at the given coordinates."""

    def __init__(self, coordinates: str) -> None:
        super().__init__(
            f"there is no record at {coordinates}: it was never there, or retention has removed it; see `core kafka dlq list`"
        )


class UnreadableTopic(BrokerError):
    """The client library cannot parse a record of a topic that is only read. *where*: its coordinates."""

    def __init__(self, where: str, cause: str) -> None:
        super().__init__(
            f"the Kafka client cannot parse {where} ({cause}); this record and those behind it in its partition are left as they "
            "are. Read them with another client"
        )


class MessageError(CoreMessagingError):
    """An error of one message, not of the worker."""


class Undecodable(MessageError):
    """The value does not fit the handler's annotation; a retry cannot help."""


class Unencodable(MessageError):
    """A result or message cannot be encoded as bytes."""

    def __init__(self, kind: str, cause: str) -> None:
        super().__init__(
            f"a value of type {kind} cannot be published: {cause}; "
            "return dict, list, str, bytes, a number, a msgspec Struct, a dataclass or a pydantic model"
        )


class InvalidRecord(MessageError, ConfigurationError):
    """The topic, key, headers, partition or timestamp is not valid in Kafka; nothing was sent."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}. Nothing was sent")


class AttemptTimeout(MessageError):
    """One attempt took longer than the worker's ``timeout``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the attempt took longer than timeout = {seconds:g} s; it was cancelled")


class HandlerExit(MessageError):
    """A handler raised an error that would end the process or its task; it counts as a failure of the message."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(
            f"the handler raised {type(error).__name__}({text_of(error)}); treated as a failed attempt"
        )


class NothingRan(MessageError):
    """A method returned a generator: a decorator hides a ``yield``, and nothing of the method has run."""

    def __init__(self, method: str) -> None:
        super().__init__(
            f"{method} returned a generator, so nothing of it ran; "
            "return the result instead of yielding it, or let the decorator run the generator"
        )


class TriedBefore(MessageError):
    """Stands for the errors of earlier attempts that another process, or an earlier run, has made."""

    def __init__(self, attempt: int) -> None:
        super().__init__(
            f"it waited for attempt {attempt}, and there was no room to wait any more; the errors of the earlier attempts are "
            "in the log of the process that made them"
        )


class BatchLengthMismatch(MessageError):
    """``process_batch`` did not return one result for each message."""

    def __init__(self, messages: int, results: int) -> None:
        super().__init__(
            f"process_batch got {counted(messages, 'message')} and returned {counted(results, 'result')}; "
            "return a list with one result for each message, or None for no results"
        )


class KilledTheProcess(MessageError):
    """Several processes in a row died while they processed only this message."""

    def __init__(self, crashes: int, alone: int, coordinates: str) -> None:
        super().__init__(
            f"{counted(crashes, 'process')} crashed in a row with its partition, the last {alone} of them while only {coordinates} "
            "ran; it is not tried again. Look for out-of-memory kills, segmentation faults and os._exit in what the "
            "handler does with it"
        )


class FollowsADeadLetter(MessageError):
    """An earlier message of the key was dead-lettered, and ``on_dead_letter = "follow"``."""

    def __init__(self, coordinates: str) -> None:
        super().__init__(
            f"{coordinates} was not tried: an earlier message of its key is in the dead-letter queue and this one "
            "follows it. Replay that one first, then this one"
        )


class RetriesExhausted(CoreMessagingError):
    """A message failed for good, there is no dead-letter queue, and ``on_exhausted = "stop"``."""

    def __init__(self, worker: str, coordinates: str, error: BaseException) -> None:
        super().__init__(
            f"worker {worker} stopped: {coordinates} failed for good ({type(error).__name__}: {text_of(error)}) and "
            'on_exhausted = "stop". The message is not committed and comes first at the next start; '
            "correct the handler, or give the worker a dlq_topic"
        )
        self.coordinates = coordinates


class MessagesGone(CoreMessagingError):
    """The broker has deleted messages that the group has not read, and ``kafka_auto_offset_reset = "stop"``."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f'{what}. kafka_auto_offset_reset = "stop", so the worker stops and skips nothing: the committed offset stays where '
            "it is. To go on without what is gone, use `core kafka reset-offsets NAME --to earliest`, or set "
            'kafka_auto_offset_reset to "earliest"'
        )


class DeadLetterRefused(RetriesExhausted):
    """The dead-letter queue refuses a dead letter for good, and ``on_exhausted = "stop"``."""

    def __init__(self, worker: str, coordinates: str, error: BaseException) -> None:
        CoreMessagingError.__init__(
            self,
            f'worker {worker} stopped: the dead letter of {coordinates} is refused and on_exhausted = "stop": '
            f"{text_of(error)}. The message is not committed and is tried again at the next start",
        )
        self.coordinates = coordinates


class LocalBrokerError(CoreMessagingError):
    """The local broker, for a first try or for tests, cannot be started."""


class ToolMissing(LocalBrokerError):
    """A program or package that the broker needs is not installed."""

    def __init__(self, what: str, missing: str, remedy: str) -> None:
        super().__init__(f"{what} needs {missing}, which is not installed; {remedy}")
        self.missing = missing


class DownloadFailed(LocalBrokerError):
    """The files of the broker could not be downloaded."""

    def __init__(self, what: str, cause: str, variable: str) -> None:
        super().__init__(
            f"{what} could not be downloaded by Maven: {cause}; "
            f"check the connection and Maven's settings, or let {variable} name a folder that has its jar files"
        )


class PortInUse(LocalBrokerError):
    """Another process listens on the port."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} of 127.0.0.1 is in use; stop what listens there, choose another one with --port, "
            "or take any free one with --port 0"
        )
        self.port = port


class ForeignFolder(LocalBrokerError):
    """The folder was not created by ``core kafka up``, so it is neither used nor deleted."""

    def __init__(self, folder: str) -> None:
        super().__init__(
            f"{folder} is not empty and was not made by `core kafka up`, so it is left as it is; "
            "name another folder with --data"
        )


class FolderUnusable(LocalBrokerError):
    """The data folder cannot be created or written."""

    def __init__(self, folder: str, cause: str) -> None:
        super().__init__(f"no data can be kept in {folder}: {cause}; name another folder with --data")


class FolderInUse(LocalBrokerError):
    """Another broker uses the data folder at the moment."""

    def __init__(self, folder: str) -> None:
        super().__init__(
            f"{folder} is in use by another `core kafka up`; its data was not touched. "
            "Stop that one, or name another folder with --data"
        )


class BrokerStartFailed(LocalBrokerError):
    """The process of the broker was started and did not become ready."""

    def __init__(self, what: str, cause: str, log: str) -> None:
        super().__init__(f"{what} did not start: {cause}; correct that (its log is {log}) and start it again")
        self.log = log


class BrokerEnded(LocalBrokerError):
    """The process of the broker ended by itself."""

    def __init__(self, what: str, cause: str, log: str) -> None:
        super().__init__(
            f"{what} ended by itself: {cause}; its data is kept, start it again. Its log is {log}"
        )
        self.log = log


class NewPackageError(CoreMessagingError):
    """``core new`` cannot write a package."""


class NameRefused(NewPackageError):
    """The name is not allowed for a package. *why*: the part of the sentence after the name."""

    def __init__(self, name: str, why: str, remedy: str) -> None:
        super().__init__(f"{name!r} {why}; {remedy}")
        self.name = name


class FolderRefused(NewPackageError):
    """A package cannot be written to the folder. *why*: the part of the sentence after the folder."""

    def __init__(self, folder: str, why: str) -> None:
        super().__init__(f"{folder} {why}; choose another name, or run `core new` in another folder")
        self.folder = folder


class ExtraMissing(NewPackageError):
    """A package that *what* needs is not installed; *extra* installs it."""

    def __init__(self, what: str, missing: str, extra: str) -> None:
        super().__init__(
            f"{what} needs {missing}, which is not installed; pip install 'core-messaging[{extra}]'"
        )
        self.missing = missing


class CommandRefused(CoreMessagingError):
    """A process of the fleet does not obey a command."""

    @classmethod
    def unknown(cls, name: str, version: str) -> Self:
        """Make the error of a process that does not know the command."""
        return cls(
            f"this process (version {version}) knows no command {name!r}; nothing was done. It may be older than the one "
            "that asks"
        )


class ShutdownTimeout(CoreMessagingError):
    """Messages were still running at the end of ``shutdown_timeout``. ``blockers``: what was running."""

    def __init__(self, seconds: float, blockers: Sequence[str]) -> None:
        super().__init__(
            f"still running after shutdown_timeout = {seconds:g} s: {', '.join(blockers)}; "
            "these messages were not committed and are delivered again at the next start"
        )
        self.blockers = tuple(blockers)


class SimulationStuck(CoreMessagingError):
    """A simulation can make no progress. *now*: seconds of its clock."""

    def __init__(self, what: str, now: float) -> None:
        super().__init__(
            f"the simulation is stuck at {now:g} s: {what}. A handler that waits for the real world (network, "
            "another thread) cannot be simulated; otherwise please report this with the seed"
        )


class SimulationFailed(CoreMessagingError, AssertionError):
    """A guarantee was broken in a simulation. A simulation with the same ``seed`` does the same again."""

    def __init__(self, seed: int, violations: Sequence[str]) -> None:
        super().__init__(
            f"seed {seed}: {counted(len(violations), 'guarantee')} broken: {'; '.join(violations[:5])}. "
            f"simulate(..., seed={seed}) does the same again; the trace of its report tells step by step what happened"
        )
        self.seed = seed
        self.violations = tuple(violations)


class NoWorker(CoreMessagingError, TypeError):
    """The testing kit got something that is no worker."""

    def __init__(self, thing: object) -> None:
        super().__init__(
            f"{thing!r} is no worker; pass a subclass of Worker that has an input_topic, or a function under @worker"
        )


class LoopRunning(CoreMessagingError, RuntimeError):
    """A function that makes an event loop was called inside a running one."""

    def __init__(self) -> None:
        super().__init__(
            "run() and simulate() make their own event loop, and one runs here already; in an async test await "
            "process_all(...) instead, or call them from a plain def test"
        )


class NotFinished(CoreMessagingError, TimeoutError):
    """The messages of a test were not finished in time. ``unfinished``: their coordinates."""

    def __init__(self, seconds: float, unfinished: Sequence[str]) -> None:
        more = " ..." if len(unfinished) > 5 else ""  # noqa: PLR2004 - as many as one line holds
        super().__init__(
            f"not finished after {seconds:g} s: {', '.join(unfinished[:5])}{more}. A handler that waits for the real "
            "world (network, another thread) cannot run on the virtual clock of run(): use process_all(); one that "
            "takes longer needs until_finished(seconds)"
        )
        self.unfinished = tuple(unfinished)


class Reject(Exception):
    """Raise it in a handler to send this message to the dead-letter queue at once, without retries."""


class RetryAfter(Exception):
    """Raise it in a handler to try this message again after *seconds*, whatever the retry policy says.

    It counts as one of ``max_retries``. *reason*: the text of the error. Raises ValueError for negative or infinite
    *seconds*.
    """

    def __init__(self, seconds: float, reason: str = "") -> None:
        super().__init__(reason or f"asked to be retried after {seconds:g} s")
        if not 0 <= seconds < math.inf:
            raise ValueError(f"RetryAfter({seconds!r}): seconds must not be negative, and a number")
        self.seconds = seconds


class PartialBatchError(Exception):
    """Raise it in ``process_batch`` if only some messages failed: *errors* maps their indices to their errors.

    The other messages are finished. *results*: one result for each message of the batch, published to the ``output_topic``;
    those of failed messages are ignored. None: no results.

    >>> raise PartialBatchError({3: ValueError("no address")})
    Traceback (most recent call last):
    ...
    core_messaging.errors.PartialBatchError: 1 message of the batch failed: [3]
    """

    def __init__(self, errors: Mapping[int, BaseException], results: Sequence[object] | None = None) -> None:
        super().__init__(f"{counted(len(errors), 'message')} of the batch failed: {sorted(errors)}")
        self.results = results
        # A handler may give a text in place of an error.
        self.errors = {i: e if isinstance(e, BaseException) else RuntimeError(e) for i, e in errors.items()}
