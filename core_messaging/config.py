"""The options of a worker, and their checks when its class is defined."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

from core_messaging.definition.names import TOPIC_RULE, is_topic, plain, problem_of
from core_messaging.errors import OptionError
from core_messaging.options import (
    Backoff,
    DlqLimit,
    OnDeadLetter,
    OnExhausted,
    OnFullRetries,
    Ordering,
    Topic,
    TopicPattern,
    same_topic,
)
from core_messaging.rules.dead_letter import queue_of
from core_messaging.rules.retry import BACKOFFS, RetryPolicy


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """The configuration of a worker: what the runtime knows before it runs, and what ``get_worker`` returns.

    The fields are the options that users write as class attributes or arguments of the decorator. Times are in seconds.
    ``source``: where the worker comes from, ``distribution version`` or a file. ``declared_topics``: those of the topics that
    are written as a ``Topic``. ``input_pattern``: the input topics by a regular expression, beside no ``input_topics``. ``dlq_topic``: the dead-letter queue; where the option is a mapping, that of all other errors.
    ``dlq_routes``: the mapping, exception class and topic.
    """

    name: str
    input_topics: tuple[str, ...]
    group_id: str
    output_topic: str | None = None
    concurrency: int = 1
    ordering: Ordering = "key"
    max_retries: int = 3
    retry_backoff: Backoff | RetryPolicy = "exponential"
    initial_delay: float = 1.0
    batch_size: int | None = None
    batch_timeout: float = 1.0
    dlq_topic: str | None = None
    dlq_routes: tuple[tuple[type[BaseException], str], ...] = ()
    dlq_limit: DlqLimit | None = None
    timeout: float | None = None
    on_exhausted: OnExhausted = "skip"
    on_full_retries: OnFullRetries = "wait"
    on_dead_letter: OnDeadLetter = "continue"
    codec: str | None = None
    source: str = ""
    declared_topics: tuple[Topic, ...] = ()
    input_pattern: re.Pattern[str] | None = None

    @property
    def retry_policy(self) -> RetryPolicy:
        """``retry_backoff`` and ``initial_delay`` as one policy."""
        if isinstance(self.retry_backoff, RetryPolicy):
            return self.retry_backoff
        return RetryPolicy(backoff=self.retry_backoff, initial_delay=self.initial_delay)

    @property
    def topics(self) -> tuple[str, ...]:
        """All topics that the worker needs: input, output and dead-letter queue."""
        output = () if self.output_topic is None else (self.output_topic,)
        return tuple(dict.fromkeys((*self.input_topics, *output, *self.dlq_topics)))

    @property
    def inputs(self) -> str:
        """The input topics in words."""
        if self.input_pattern is None:
            return ", ".join(self.input_topics)
        return f"topics that match {self.input_pattern.pattern}"

    def reads(self, topic: str) -> bool:
        """Whether *topic* is an input topic."""
        pattern = self.topic_pattern()
        return topic in self.input_topics or (pattern is not None and pattern.matches(topic))

    def topic_pattern(self, others: Iterable[str] = ()) -> TopicPattern | None:
        """The pattern without the topics that the worker writes to, and without *others*; None: the topics have names."""
        if self.input_pattern is None:
            return None
        output = () if self.output_topic is None else (self.output_topic,)
        return TopicPattern(self.input_pattern, frozenset((*output, *self.dlq_topics, *others)))

    @property
    def dlq_topics(self) -> tuple[str, ...]:
        """All dead-letter queues of the worker; the one of all other errors comes first."""
        if self.dlq_topic is None:
            return ()
        return tuple(dict.fromkeys((self.dlq_topic, *(topic for _, topic in self.dlq_routes))))

    def dlq_topic_of(self, error: BaseException) -> str | None:
        """The dead-letter queue for a message that failed because of *error*; None: the worker has none."""
        return queue_of(type(error), self.dlq_routes) or self.dlq_topic


# The names that a user may write. The option input_topic is a str or a list; the field input_topics is a tuple.
OPTIONS = frozenset(
    {"input_topic"}
    | {f.name for f in fields(WorkerConfig)}
    - {"input_topics", "source", "declared_topics", "dlq_routes", "input_pattern"}
)

# Names of other systems for these options, which a comparison of spellings does not find.
_ALIASES = {
    "topic": "input_topic",
    "topics": "input_topic",
    "queue": "input_topic",
    "retries": "max_retries",
    "dead_letter_topic": "dlq_topic",
    "group": "group_id",
    "workers": "concurrency",
    "max_workers": "concurrency",
}

# Names that resemble an option, and that users often give to attributes of their own.
_OWN = frozenset({"code"})


def nearest_option(name: str) -> str | None:
    """Return the option that *name* probably stands for; None if it is an option, or resembles none."""
    if name in OPTIONS or name in _OWN:
        return None
    if name in _ALIASES:
        return _ALIASES[name]
    found = difflib.get_close_matches(name, sorted(OPTIONS), n=1, cutoff=0.8)
    return found[0] if found else None


def kebab(name: str) -> str:
    """Return *name* in kebab case: ``EmailWorker`` -> ``email-worker``, ``process_task`` -> ``process-task``."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name)
    return split.replace("_", "-").lower()


def make_config(name: str, options: Mapping[str, Any], source: str) -> WorkerConfig:
    """Check *options*, as the user wrote them, and return the configuration.

    *name*: of the worker. *source*: where it comes from, for messages. Raises OptionError.
    """
    name = _checked_name(name, "name", name)
    _check_types(name, options)
    given: dict[str, Any] = {
        option: plain(value) if isinstance(value, str) else value for option, value in options.items()
    }
    declared = _declared_topics(name, options)
    topics, pattern = _inputs(name, given.pop("input_topic"))
    given |= _dead_letter_queues(name, given.get("dlq_topic"))
    given.setdefault("group_id", kebab(name))
    for option in ("group_id", "codec"):
        if given.get(option) is not None:
            _checked_name(name, option, given[option])
    given |= {"input_topics": topics, "input_pattern": pattern, "declared_topics": declared}
    config = WorkerConfig(name=name, source=source, **given)
    config = _with_policy_retries(config, given)
    _check_numbers(config)
    _check_batches(config, given)
    _check_full_retries(config)
    _check_limit(config)
    _check_following(config)
    _check_topics(config)
    return config


def pattern_of(name: str, value: Any) -> re.Pattern[str]:
    """Return the regular expression *value* for the input topics of worker *name*, compiled. Raises OptionError."""
    try:
        pattern: re.Pattern[Any] = re.compile(value)
    except (re.error, TypeError) as error:
        problem = f"pattern = {value!r} is no regular expression ({error})"
        raise OptionError(name, problem, r'write a valid one: r"orders\.\w+"') from error
    if not isinstance(pattern.pattern, str):
        raise OptionError(
            name, f"pattern = {value!r} is one for bytes", r'write one for text: r"orders\.\w+"'
        )
    return pattern


def _inputs(name: str, value: object) -> tuple[tuple[str, ...], re.Pattern[str] | None]:
    if isinstance(value, re.Pattern):
        return (), pattern_of(name, value)
    topics = (value,) if isinstance(value, str) else value
    if not isinstance(topics, list | tuple) or not topics or not all(isinstance(t, str) for t in topics):
        raise OptionError(
            name,
            f"input_topic = {value!r}",
            'write a topic name or a list of them: "emails"; or a regular expression: re.compile("...")',
        )
    return tuple(dict.fromkeys(plain(topic) for topic in topics)), None


def _dead_letter_queues(name: str, value: object) -> dict[str, Any]:
    """The fields for the option ``dlq_topic``, which may be a mapping of exception classes to topics."""
    if not isinstance(value, Mapping):
        return {}
    for kind, topic in value.items():
        if not (isinstance(kind, type) and issubclass(kind, BaseException) and isinstance(topic, str)):
            raise OptionError(
                name,
                f"dlq_topic maps {kind!r} to {topic!r}",
                'write classes of exceptions and topics: {ValueError: "orders-invalid", Exception: "orders-dlq"}',
            )
    routes = tuple((kind, plain(topic)) for kind, topic in value.items())
    rest = queue_of(Exception, routes)
    if rest is None:
        raise OptionError(
            name,
            "dlq_topic maps no class that every error has, so other errors have no queue",
            'add one for all others: Exception: "orders-dlq"',
        )
    return {"dlq_topic": rest, "dlq_routes": routes}


def _declared_topics(name: str, options: Mapping[str, Any]) -> tuple[Topic, ...]:
    inputs, queues = options["input_topic"], options.get("dlq_topic")
    given = [
        *(inputs if isinstance(inputs, list | tuple) else [inputs]),
        options.get("output_topic"),
        *(queues.values() if isinstance(queues, Mapping) else [queues]),
    ]
    declared = [topic for topic in given if isinstance(topic, Topic)]
    for topic in declared:
        if any(other == topic and not same_topic(topic, other) for other in declared):
            raise OptionError(name, f"the topic {str(topic)!r} is declared in two ways", "declare it once")
    return tuple({str(topic): topic for topic in declared}.values())


def _checked_name(worker: str, option: str, value: object) -> str:
    if not isinstance(value, str):
        raise OptionError(
            worker if isinstance(worker, str) else "", f"{option} = {value!r}", f"write {_TYPES[option][1]}"
        )
    problem = problem_of(plain(value))
    if option == "name" and ":" in value:
        problem = "a name with a colon, which stands between a package and a name"
    if problem:
        raise OptionError(worker, f"{option} = {plain(value)!r} is {problem}", f"write {_TYPES[option][1]}")
    return plain(value)


_TYPES: dict[str, tuple[tuple[Any, ...], str]] = {
    "name": ((str,), 'a name: "EmailWorker"'),
    "group_id": ((str,), 'a name: "email-sender"'),
    "output_topic": ((str, type(None)), 'a topic name: "results", or None for no results'),
    "dlq_topic": (
        (str, Mapping, type(None)),
        'a topic name: "tasks-dlq", or None for no dead-letter queue, or a mapping of exception classes to topics',
    ),
    "dlq_limit": ((DlqLimit, type(None)), "a limit: DlqLimit(consecutive=50), or None for no limit"),
    "codec": ((str, type(None)), 'the name of a codec that a plugin registers: "protobuf"'),
    "concurrency": ((int,), "a whole number from 1 up"),
    "max_retries": ((int,), "a whole number from 0 up"),
    "batch_size": ((int, type(None)), "a whole number from 1 up"),
    "batch_timeout": ((int, float), "seconds, more than 0"),
    "initial_delay": ((int, float), "seconds, 0 or more"),
    "timeout": ((int, float, type(None)), "seconds, more than 0"),
    "retry_backoff": ((str, RetryPolicy), f"one of {', '.join(BACKOFFS)}, or a RetryPolicy"),
    "ordering": ((str,), f"one of {', '.join(get_args(Ordering))}"),
    "on_exhausted": ((str,), f"one of {', '.join(get_args(OnExhausted))}"),
    "on_full_retries": ((str,), f"one of {', '.join(get_args(OnFullRetries))}"),
    "on_dead_letter": ((str,), f"one of {', '.join(get_args(OnDeadLetter))}"),
}

_CHOICES = {
    "retry_backoff": BACKOFFS,
    "ordering": get_args(Ordering),
    "on_exhausted": get_args(OnExhausted),
    "on_full_retries": get_args(OnFullRetries),
    "on_dead_letter": get_args(OnDeadLetter),
}


def _check_types(name: str, given: Mapping[str, Any]) -> None:
    for option, value in given.items():
        if option == "input_topic":
            continue
        kinds, wanted = _TYPES[option]
        # True is an int in Python, but concurrency = True is a mistake.
        wrong = not isinstance(value, kinds) or isinstance(value, bool)
        if not wrong and isinstance(value, str) and option in _CHOICES:
            wrong = value not in _CHOICES[option]
        if wrong:
            raise OptionError(name, f"{option} = {value!r}", f"write {wanted}")


def _with_policy_retries(config: WorkerConfig, given: Mapping[str, Any]) -> WorkerConfig:
    """Take max_retries from a RetryPolicy that has it. Raises OptionError if the option says something else."""
    policy = config.retry_backoff
    if not isinstance(policy, RetryPolicy):
        return config
    if "initial_delay" in given:
        raise OptionError(
            config.name,
            f"initial_delay = {config.initial_delay:g} beside a RetryPolicy",
            f"write RetryPolicy(initial_delay={config.initial_delay:g}, ...) and drop the option",
        )
    if policy.max_retries is None:
        return config
    if "max_retries" in given and given["max_retries"] != policy.max_retries:
        raise OptionError(
            config.name,
            f"max_retries = {given['max_retries']} but RetryPolicy(max_retries={policy.max_retries})",
            "write it in one place only",
        )
    values = {f.name: getattr(config, f.name) for f in fields(config)}
    return WorkerConfig(**(values | {"max_retries": policy.max_retries}))


def _check_numbers(config: WorkerConfig) -> None:
    least: dict[str, float] = {"concurrency": 1, "max_retries": 0, "batch_size": 1, "initial_delay": 0}
    for option, bound in least.items():
        value = getattr(config, option)
        if value is not None and value < bound:
            raise OptionError(config.name, f"{option} = {value}", f"write {_TYPES[option][1]}")
    for option in ("batch_timeout", "timeout"):
        value = getattr(config, option)
        if value is not None and not value > 0:
            raise OptionError(config.name, f"{option} = {value}", f"write {_TYPES[option][1]}")


def _check_batches(config: WorkerConfig, given: Mapping[str, Any]) -> None:
    if "batch_timeout" in given and config.batch_size is None:
        raise OptionError(
            config.name,
            f"batch_timeout = {config.batch_timeout:g} without batch_size",
            "add batch_size, or drop batch_timeout (timeout is what limits one attempt)",
        )


def _check_full_retries(config: WorkerConfig) -> None:
    if config.on_full_retries == "wait":
        return
    lacks = "without a dlq_topic" if config.dlq_topic is None else "beside batch_size"
    if config.dlq_topic is None or config.batch_size is not None:
        raise OptionError(
            config.name,
            f"on_full_retries = {config.on_full_retries!r} {lacks}",
            'add a dlq_topic and leave batches out, or write "wait": the intake stops then',
        )


def _check_limit(config: WorkerConfig) -> None:
    if config.dlq_limit is not None and config.dlq_topic is None:
        raise OptionError(
            config.name,
            f"dlq_limit = {config.dlq_limit} without a dlq_topic",
            "add a dlq_topic, or drop dlq_limit: it counts dead letters",
        )


def _check_following(config: WorkerConfig) -> None:
    if config.on_dead_letter == "continue":
        return
    lacks = {
        "without a dlq_topic": config.dlq_topic is None,
        "beside batch_size": config.batch_size is not None,
        "with several dead-letter queues": len(config.dlq_topics) > 1,
        f"with ordering = {config.ordering!r}": config.ordering != "key",
    }
    for why in (why for why, wrong in lacks.items() if wrong):
        raise OptionError(
            config.name,
            f"on_dead_letter = {config.on_dead_letter!r} {why}",
            'it is for messages of one key, one at a time, that go to a dlq_topic; or write "continue"',
        )


def _check_topics(config: WorkerConfig) -> None:
    for topic in config.topics:
        if not is_topic(topic):
            options = {"output_topic": (config.output_topic,), "dlq_topic": config.dlq_topics}
            option = next((option for option, values in options.items() if topic in values), "input_topic")
            none = "" if option == "input_topic" else ", or None for none"
            raise OptionError(
                config.name, f"{option} = {topic!r} is no topic name", f"use {TOPIC_RULE}{none}"
            )
    made = [("output_topic", config.output_topic), *(("dlq_topic", topic) for topic in config.dlq_topics)]
    for option, target in made:
        if target in config.input_topics:
            raise OptionError(
                config.name,
                f"{option} = {target!r} is an input topic too, so the worker would feed itself for ever",
                f"give {option} a topic of its own",
            )
