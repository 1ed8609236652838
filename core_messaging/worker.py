"""What users write: a ``Worker`` subclass, or a function under ``@worker(...)``."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, get_type_hints, overload

from core_messaging.codecs import describes_a_message
from core_messaging.config import OPTIONS, WorkerConfig, make_config, nearest_option
from core_messaging.errors import OptionError

Function = TypeVar("Function", bound=Callable[..., Any])

MARK = "__core_worker__"
_SPELLED_DIFFERENTLY = {"topic": "input_topic"}  # decorator argument -> class attribute


class Worker:
    """Base of class-based workers. Options are class attributes; see the options table in the README.

    A subclass with an ``input_topic`` is a worker and is checked whole when it is made (OptionError); one
    without is a base for others. It defines ``process(self, message)`` or ``process_batch(self, messages)``,
    and may define ``on_success(self, message, result)``, ``on_error(self, message, error)`` and
    ``on_undecodable(self, data, error)``. Each may be ``async def`` or plain ``def`` (a plain one runs in a
    thread), and each may take one more parameter named ``context`` (a Context).
    """

    __core_config__: ClassVar[WorkerConfig | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _refuse_misspelled(cls)
        cls.__core_config__ = None
        if getattr(cls, "input_topic", None) is None:
            return
        cls.__core_config__ = make_config(_name_of(cls), _options_of(cls), _source_of(cls))
        _check_handler(cls)
        defined[f"{cls.__module__}:{cls.__qualname__}"] = cls

    async def setup(self) -> None:
        """Runs once before the first message; an error here stops the start."""

    async def teardown(self) -> None:
        """Runs once after the last message, whatever ended the run."""


# Every worker class made in this process, by module:qualname. A module that is imported twice (as a script
# and by name) replaces its own entry and nobody else's; names are resolved only when somebody asks.
defined: dict[str, type[Worker]] = {}


def config_of(worker: type[Worker]) -> WorkerConfig:
    """The configuration of a worker class. Raises OptionError for a base class."""
    config = worker.__core_config__
    if config is None:
        raise OptionError(
            worker.__name__, "it has no input_topic", 'write input_topic = "tasks" in the class'
        )
    return config


def with_config(worker: type[Worker], config: WorkerConfig) -> type[Worker]:
    """*worker* with another configuration; the class itself stays as it is."""
    # Without a topic it is not checked as a worker of its own, nor found by discovery as one.
    attributes = {"__module__": worker.__module__, "input_topic": None}
    twin: Any = types.new_class(worker.__name__, (worker,), exec_body=lambda body: body.update(attributes))
    original: Any = worker
    twin.input_topic = original.input_topic
    twin.__core_config__ = config
    made: type[Worker] = twin
    return made


def as_worker(thing: object) -> type[Worker] | None:
    """The worker class behind a class or a decorated function; None if *thing* is neither."""
    if isinstance(thing, type) and issubclass(thing, Worker):
        return thing if thing.__core_config__ is not None else None
    found = getattr(thing, MARK, None)
    return found if isinstance(found, type) and issubclass(found, Worker) else None


@overload
def worker(function: Function, /) -> Function: ...
@overload
def worker(**options: Any) -> Callable[[Function], Function]: ...
def worker(function: Function | None = None, /, **options: Any) -> Any:
    """Make a function a worker: ``@worker(topic="tasks", group_id="task-processor")``.

    The arguments are the options of :class:`Worker`, with ``topic`` for ``input_topic``. The function stays an
    ordinary callable. Raises OptionError.
    """
    if function is not None:
        raise OptionError(function.__name__, "@worker without arguments", 'write @worker(topic="tasks")')

    def mark(decorated: Function) -> Function:
        setattr(decorated, MARK, _class_for(decorated, options))
        return decorated

    return mark


def _class_for(function: Callable[..., Any], options: Mapping[str, Any]) -> type[Worker]:
    name = str(options.get("name") or function.__name__)
    attributes: dict[str, Any] = {"__module__": function.__module__, "__doc__": function.__doc__}
    for given, value in options.items():
        option = _SPELLED_DIFFERENTLY.get(given, given)
        if option not in OPTIONS:
            nearest = nearest_option(given)
            # In the decorator the input topic is called topic.
            spelled = "topic" if nearest == "input_topic" else nearest
            raise OptionError(
                name,
                f"@worker has no option {given!r}",
                f"did you mean {spelled!r}?" if spelled else f"the options are {', '.join(sorted(OPTIONS))}",
            )
        attributes[option] = value
    if "input_topic" not in attributes:
        raise OptionError(name, "@worker without a topic", 'write @worker(topic="tasks")')
    handler = "process_batch" if _takes_batches(function, options) else "process"
    attributes[handler] = staticmethod(function)
    attributes["__qualname__"] = function.__qualname__
    return types.new_class(name, (Worker,), exec_body=lambda body: body.update(attributes))


def _takes_batches(function: Callable[..., Any], options: Mapping[str, Any]) -> bool:
    """A decorated function under batch_size gets lists if its message parameter is annotated as a list."""
    return options.get("batch_size") is not None and typing_origin(message_annotation(function)) is list


def typing_origin(annotation: Any) -> Any:
    return getattr(annotation, "__origin__", annotation)


def message_annotation(function: Callable[..., Any], *, skip: int = 0) -> Any:
    """The annotation of the first parameter after *skip* ones; ``dict`` where there is none.

    Only this one annotation is evaluated: a ``context: Context`` imported for type checkers alone is fine.
    Raises OptionError if the name cannot be found when the worker is defined.
    """
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    if not parameters or parameters[0].annotation is inspect.Parameter.empty:
        return dict
    first = types.SimpleNamespace(__annotations__={"message": parameters[0].annotation})
    try:
        return get_type_hints(first, globalns=getattr(function, "__globals__", None))["message"]
    except NameError as error:
        raise OptionError(
            function.__qualname__,
            f"its message is annotated {parameters[0].annotation!r}, and {error}",
            "define or import the type at module level, outside of `if TYPE_CHECKING:`",
        ) from error


def _name_of(cls: type[Worker]) -> str:
    # "name" is inherited like any attribute, but a subclass of a named worker is another worker.
    return str(cls.__dict__.get("name") or cls.__name__)


def _options_of(cls: type[Worker]) -> dict[str, Any]:
    return {option: getattr(cls, option) for option in OPTIONS - {"name"} if hasattr(cls, option)}


def _source_of(cls: type[Worker]) -> str:
    return cls.__module__


def _refuse_misspelled(cls: type[Worker]) -> None:
    """A class attribute that nearly is an option was meant to be one; silence would run with the default."""
    for attribute, value in cls.__dict__.items():
        if attribute.startswith("_") or isinstance(
            value, types.FunctionType | staticmethod | classmethod | property
        ):
            continue
        nearest = nearest_option(attribute)
        if nearest is not None:
            raise OptionError(
                cls.__name__,
                f"{attribute} is no option",
                f"did you mean {nearest!r}? (rename the attribute if it is your own)",
            )


def _handler(cls: type[Worker], method: str) -> tuple[Callable[..., Any], int] | None:
    """The function behind *method*, and how many parameters stand before the message (``self``, if any)."""
    found = inspect.getattr_static(cls, method, None)
    if found is None:
        return None
    return (found.__func__, 0) if isinstance(found, staticmethod) else (getattr(found, "__func__", found), 1)


def _check_handler(cls: type[Worker]) -> None:
    for method, wants in (("process", "a message"), ("process_batch", "a list of messages")):
        handler = _handler(cls, method)
        if handler is None:
            continue
        function, skip = handler
        if len(inspect.signature(function).parameters) <= skip:
            raise OptionError(
                cls.__name__, f"{method} takes no message", f"write {method}(self, message): it gets {wants}"
            )
    _check_annotation(cls)


def _check_annotation(cls: type[Worker]) -> None:
    annotation = message_type(cls)
    if config_of(cls).codec is not None:
        return  # what it decodes to is known when the plugins are loaded
    if not describes_a_message(annotation):
        raise OptionError(
            cls.__name__,
            f"messages cannot be decoded to {annotation!r}",
            "annotate the message as dict, bytes, str, a msgspec Struct, a dataclass, a TypedDict or a pydantic model",
        )


def message_type(cls: type[Worker]) -> Any:
    """What one message of this worker is decoded to."""
    process, batch = _handler(cls, "process"), _handler(cls, "process_batch")
    if batch is not None and (process is None or config_of(cls).batch_size is not None):
        annotation = message_annotation(batch[0], skip=batch[1])
        arguments = getattr(annotation, "__args__", ())
        return arguments[0] if typing_origin(annotation) is list and arguments else dict
    return dict if process is None else message_annotation(process[0], skip=process[1])
