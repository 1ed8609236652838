"""How users define a worker: a subclass of ``Worker``, or a function under ``@worker(...)``."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeGuard, TypeVar, overload

from core_messaging.config import OPTIONS, WorkerConfig, make_config, nearest_option, pattern_of
from core_messaging.definition.annotations import (
    batch_item,
    bound_in,
    message_annotation,
    names_where_defined,
    place_of_definition,
    type_variables,
    wants_tuple,
    with_bounds,
)
from core_messaging.definition.decodability import NotDecodable, way_of
from core_messaging.definition.method_checks import HANDLERS, check_methods, refuse_misspelled_methods
from core_messaging.definition.names import plain
from core_messaging.definition.signatures import as_called, layers
from core_messaging.errors import OptionError

Function = TypeVar("Function", bound=Callable[..., Any])

MARK = "__core_worker__"
_ATTRIBUTE_OF = {"topic": "input_topic"}  # argument of the decorator -> class attribute of another name


class Worker:
    """The base class of workers. Options are class attributes; see the table of options in the README.

    A subclass with an ``input_topic`` is a worker. It is checked when it is defined, and a mistake raises OptionError. A
    subclass without one is a base class for others. A worker defines ``process(self, message)`` or ``process_batch(self,
    messages)``. It may define ``on_success(self, message, result)``, ``on_error(self, message, error)`` and
    ``on_undecodable(self, data, error)``. Each of them may be ``async def`` or plain ``def`` (which runs in a thread), and may
    have a further parameter ``context`` (a Context).
    """

    __core_config__: ClassVar[WorkerConfig | None] = None
    __core_message__: ClassVar[Any] = dict
    __core_tuples__: ClassVar[bool] = False
    __core_home__: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _refuse_misspelled(cls)
        cls.__core_config__, cls.__core_home__ = None, place_of_definition().f_globals
        if getattr(cls, "input_topic", None) is None:
            return
        cls.__core_config__ = make_config(_name_of(cls), _options_of(cls), _source_of(cls))
        refuse_misspelled_methods(cls, Worker)
        check_methods(cls)
        _check_message_type(cls)
        _register(cls)

    async def setup(self) -> None:
        """Run once before the first message. An error stops the start."""

    async def teardown(self) -> None:
        """Run once after the last message, however the worker ends."""


# Every worker class that was defined in this process, by module:qualname. A module that is imported twice (as a script and
# by name) replaces its own entry only.
defined: dict[str, type[Worker]] = {}

# By the same key: a worker that another one with the same name in the same module has replaced. It can no longer be found.
overwritten: dict[str, type[Worker]] = {}


def _register(cls: type[Worker]) -> None:
    key = f"{cls.__module__}:{cls.__qualname__}"
    before = defined.get(key)
    if before is not None and home_of(before) is home_of(cls):
        overwritten[key] = before
    else:
        overwritten.pop(key, None)
    defined[key] = cls


def home_of(cls: type[Worker]) -> Mapping[str, Any]:
    """Return the namespace of the module that defined *cls*; another object if the module was imported again."""
    return cls.__core_home__


def config_of(worker: type[Worker]) -> WorkerConfig:
    """Return the configuration of a worker class. Raises OptionError for a base class."""
    config = worker.__core_config__
    if config is None:
        raise OptionError(
            worker.__name__, "it has no input_topic", 'write input_topic = "tasks" in the class'
        )
    return config


def with_config(worker: type[Worker], config: WorkerConfig) -> type[Worker]:
    """Return a subclass of *worker* with another configuration; the class itself does not change."""
    # The subclass is made without a topic, so it is not checked as a worker of its own, and discovery does not find it.
    attributes = {"__module__": worker.__module__, "input_topic": None}
    twin: Any = types.new_class(worker.__name__, (worker,), exec_body=lambda body: body.update(attributes))
    original: Any = worker
    twin.input_topic = original.input_topic
    twin.__core_config__ = config
    made: type[Worker] = twin
    return made


def as_worker(thing: object) -> type[Worker] | None:
    """Return the worker class of a class or a decorated function; None if *thing* is neither."""
    if (found := _worker_class(thing)) is not None:
        return found if found.__core_config__ is not None else None
    try:
        mark = getattr(thing, MARK, None)
    except Exception:
        return None  # for example a lazy object that exists only inside a web request: it is no worker
    return _worker_class(mark)


def _worker_class(thing: Any) -> type[Worker] | None:
    return thing if is_class(thing) and issubclass(thing, Worker) else None


def is_class(thing: Any) -> TypeGuard[type]:
    """Whether *thing* is a class. It uses ``type()``, because the ``__class__`` of another library's object may raise."""
    return issubclass(type(thing), type)


@overload
def worker(function: Function, /) -> Function: ...
@overload
def worker(**options: Any) -> Callable[[Function], Function]: ...
def worker(function: Function | None = None, /, **options: Any) -> Any:
    r"""Make a function a worker: ``@worker(topic="tasks", group_id="task-processor")``.

    The arguments are the options of :class:`Worker`, with ``topic`` for ``input_topic``. ``pattern`` in its place is a regular
    expression for the names of topics: ``@worker(pattern=r"orders\.\w+")``. The function itself does not change
    and can be called as before. Raises OptionError for a wrong option or a function that cannot handle messages.
    """
    if isinstance(function, str | list | tuple):
        raise OptionError(
            "(not named yet)",
            f"@worker({function!r}) gives its topic without a name",
            f"write @worker(topic={function!r})",
        )
    if function is not None:
        raise OptionError(
            _function_name(function), "@worker without arguments", 'write @worker(topic="tasks")'
        )

    def mark(decorated: Function) -> Function:
        made = _class_for(decorated, options)
        try:
            setattr(decorated, MARK, made)
        except (AttributeError, TypeError) as error:
            raise OptionError(
                made.__name__,
                f"{decorated!r} takes no attribute, so it cannot be found as a worker",
                "put a function of your own around it, or write a Worker class",
            ) from error
        return decorated

    return mark


def _class_for(function: Callable[..., Any], options: Mapping[str, Any]) -> type[Worker]:
    _refuse_no_function(function)
    given = options.get("name")
    name = plain(given) if isinstance(given, str) else _function_name(function)
    attributes: dict[str, Any] = {"__module__": _module_of(function), "__doc__": function.__doc__}
    for given, value in _with_pattern(name, options).items():
        option = _ATTRIBUTE_OF.get(given, given)
        if option not in OPTIONS:
            nearest = nearest_option(given)
            # The decorator calls the input topic "topic".
            spelled = "topic" if nearest == "input_topic" else nearest
            raise OptionError(
                name,
                f"@worker has no option {given!r}",
                f"did you mean {spelled!r}?" if spelled else f"the options are {', '.join(sorted(OPTIONS))}",
            )
        attributes[option] = value
    if "input_topic" not in attributes:
        raise OptionError(name, "@worker without a topic", 'write @worker(topic="tasks"), or pattern=r"..."')
    handler = "process_batch" if _takes_batches(function, name, options) else "process"
    attributes[handler] = staticmethod(function)
    attributes["__qualname__"] = getattr(function, "__qualname__", name)
    return types.new_class(name, (Worker,), exec_body=lambda body: body.update(attributes))


def _with_pattern(name: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put the argument ``pattern`` in the place of ``topic``, compiled."""
    if options.get("pattern") is None:
        return {option: value for option, value in options.items() if option != "pattern"}
    if options.keys() & {"topic", "input_topic"}:
        raise OptionError(name, "@worker has a topic and a pattern", "write one of them")
    others = {option: value for option, value in options.items() if option != "pattern"}
    return {"topic": pattern_of(name, options["pattern"]), **others}


def _refuse_no_function(thing: Any) -> None:
    if isinstance(thing, type):
        raise OptionError(
            thing.__name__,
            "@worker decorates a class",
            'write class ...(Worker) with input_topic = "tasks" in it',
        )
    if not callable(thing):
        raise OptionError(
            _function_name(thing),
            f"@worker decorates {thing!r}, which cannot be called",
            "decorate a function",
        )


def _function_name(function: Any) -> str:
    """Return the name of a function; for a partial or another object, that of the function inside, or of its type."""
    named = (getattr(layer, "__name__", None) for layer in layers(function))
    return next(
        (name for name in named if isinstance(name, str) and name != "__call__"), type(function).__name__
    )


def _module_of(function: Any) -> str:
    modules = (getattr(layer, "__module__", None) for layer in layers(function))
    return next(
        (module for module in modules if isinstance(module, str) and module != "functools"), "__main__"
    )


def _takes_batches(function: Callable[..., Any], name: str, options: Mapping[str, Any]) -> bool:
    """Whether a decorated function with a batch_size gets lists: its message parameter is annotated as a list."""
    if options.get("batch_size") is None:
        return False
    return batch_item(message_annotation(name, function, names_where_defined())) is not None


def _name_of(cls: type[Worker]) -> str:
    # "name" is inherited like any attribute, but a subclass of a named worker is another worker with its own name.
    name: str = cls.__dict__.get("name", cls.__name__)
    return name


def _options_of(cls: type[Worker]) -> dict[str, Any]:
    return {option: getattr(cls, option) for option in OPTIONS - {"name"} if hasattr(cls, option)}


def _source_of(cls: type[Worker]) -> str:
    return cls.__module__


def _refuse_misspelled(cls: type[Worker]) -> None:
    """Raise OptionError for a class attribute that resembles an option: the worker would run with the default."""
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


def _check_message_type(cls: type[Worker]) -> None:
    annotation = cls.__core_message__ = _message_type(cls, names_where_defined())
    if config_of(cls).codec is not None:
        return  # the type that it decodes to is known when the plugins are loaded
    try:
        way_of(annotation)
    except NotDecodable as error:
        raise OptionError(
            cls.__name__,
            f"messages cannot be decoded to {annotation!r}: {error}",
            "annotate the message as dict, bytes, str, a msgspec Struct, a dataclass, a TypedDict or a pydantic model",
        ) from error


def message_type(cls: type[Worker]) -> Any:
    """Return the type that a message of this worker is decoded to."""
    return cls.__core_message__


def gets_tuples(cls: type[Worker]) -> bool:
    """Whether the ``process_batch`` of this worker is annotated to get a tuple of messages instead of a list."""
    return cls.__core_tuples__


def _message_type(cls: type[Worker], names: Mapping[str, Any]) -> Any:
    handlers = _handlers_of(cls)
    if not handlers:
        return dict
    batches = "process_batch" in handlers and (
        "process" not in handlers or config_of(cls).batch_size is not None
    )
    annotation = _annotation(cls, "process_batch" if batches else "process", names)
    if batches:
        item = batch_item(annotation)
        if item is None and annotation not in (dict, Any, object):
            raise OptionError(
                cls.__name__,
                f"process_batch gets a list of messages, and is annotated {annotation!r}",
                "write messages: list[dict], list[Order] or the like",
            )
        cls.__core_tuples__ = wants_tuple(annotation)
        annotation = dict if item is None else item
    return _without_variables(cls.__name__, annotation)


def _handlers_of(cls: type[Worker]) -> list[str]:
    return [name for name in HANDLERS if inspect.getattr_static(cls, name, None) is not None]


def _annotation(cls: type[Worker], method: str, names: Mapping[str, Any]) -> Any:
    function = as_called(cls, method)
    if function is None:
        return dict
    owner = next(kind for kind in cls.__mro__ if method in vars(kind))
    return bound_in(cls, owner, message_annotation(cls.__name__, function, names))


def _without_variables(worker: str, annotation: Any) -> Any:
    found = with_bounds(annotation)
    if type_variables(found):
        raise OptionError(
            worker,
            f"its message is annotated {annotation!r}, a type variable without a value",
            "name the type in the base class: class Orders(Base[Order])",
        )
    return found
