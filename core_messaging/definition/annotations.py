"""Finds the type annotation of a handler's message, evaluates it and takes it apart. ``codecs`` does the decoding."""

from __future__ import annotations

import collections.abc
import inspect
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import Annotated, Any, ClassVar, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

from core_messaging.definition.signatures import declared, layers
from core_messaging.errors import OptionError, text_of

# Types by which a batch handler may annotate the list that it gets. It gets a tuple if it is annotated with one.
_BATCHES = frozenset(
    {
        list,
        collections.abc.Sequence,
        collections.abc.MutableSequence,
        collections.abc.Collection,
        collections.abc.Iterable,
        collections.abc.Reversible,
    }
)


def message_annotation(
    worker: str, function: Callable[..., Any], names: Mapping[str, Any] | None = None
) -> Any:
    """Return the evaluated annotation of the first parameter of *function*; ``dict`` if it has none.

    Only this annotation is evaluated: a ``context: Context`` may be imported for type checkers only. *names*: the names that
    are visible where the worker is defined, for those that the function's own module lacks. *worker*: its name, for errors.

    Raises OptionError if the annotation cannot be evaluated.
    """
    signature = declared(function)
    first = next(iter(signature.parameters.values()), None) if signature else None
    if first is None or first.annotation is inspect.Parameter.empty:
        return dict
    try:
        return _evaluated(first.annotation, _globals_of(function), names or {})
    except NameError as error:
        raise OptionError(
            worker,
            f"its message is annotated {first.annotation!r}, and {error}",
            "define or import the type at module level, outside of `if TYPE_CHECKING:`",
        ) from error
    except Exception as error:
        raise OptionError(
            worker,
            f"its message is annotated {first.annotation!r}, which raises {type(error).__name__}: {one_line(error)}",
            "annotate the message with a type",
        ) from error


def _evaluated(annotation: Any, known: dict[str, Any], names: Mapping[str, Any]) -> Any:
    holder = types.SimpleNamespace(__annotations__={"message": annotation})
    try:
        return get_type_hints(holder, globalns=known, include_extras=True)["message"]
    except NameError:
        return get_type_hints(holder, globalns={**names, **known}, include_extras=True)["message"]


def _globals_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the global names of the function's own module, not those of a decorator around it."""
    known: dict[str, Any] = {}
    for layer in layers(function):
        known = getattr(layer, "__globals__", known)
    return known


def names_where_defined() -> Mapping[str, Any]:
    """Return the names that are visible where the worker is defined: a class may be inside a function."""
    return place_of_definition().f_locals


def place_of_definition() -> types.FrameType:
    """Return the frame in which the worker is defined."""
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller
    while frame.f_back is not None and _makes_classes(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return frame


def _makes_classes(module: str) -> bool:
    return module.startswith("core_messaging.") or module in ("abc", "types", "functools")


def bound_in(worker: type, owner: type, annotation: Any) -> Any:
    """Return *annotation* with the type variables of *owner* replaced as *worker* says: ``Orders(Base[Order])``."""
    return _substituted(annotation, _arguments(worker, owner))


def _arguments(cls: type, owner: type) -> dict[Any, Any]:
    """Return each type variable of *owner* and its value in *cls*, through all classes between the two."""
    if cls is owner:
        return {variable: variable for variable in getattr(owner, "__parameters__", ())}
    for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
        kind = get_origin(base) or base
        if isinstance(kind, type) and issubclass(kind, owner):
            given = dict(zip(getattr(kind, "__parameters__", ()), get_args(base), strict=False))
            return {
                variable: _substituted(value, given) for variable, value in _arguments(kind, owner).items()
            }
    return {}


def _substituted(annotation: Any, given: Mapping[Any, Any]) -> Any:
    if isinstance(annotation, TypeVar):
        return given.get(annotation, annotation)
    variables = getattr(annotation, "__parameters__", ())
    if not variables or isinstance(annotation, type):
        return annotation
    return annotation[tuple(given.get(variable, variable) for variable in variables)]


def type_variables(annotation: Any) -> tuple[Any, ...]:
    """Return the type variables of *annotation* that have no value yet."""
    if isinstance(annotation, TypeVar):
        return (annotation,)
    return () if isinstance(annotation, type) else tuple(getattr(annotation, "__parameters__", ()))


def with_bounds(annotation: Any) -> Any:
    """Return *annotation* with each type variable replaced by its default or its bound, if it has one."""
    fallbacks = {variable: _fallback(variable) for variable in type_variables(annotation)}
    return _substituted(annotation, fallbacks)


def _fallback(variable: Any) -> Any:
    if getattr(variable, "has_default", lambda: False)():
        return variable.__default__
    return getattr(variable, "__bound__", None) or variable


def bare(annotation: Any) -> Any:
    """Return the type inside ``Annotated``, ``NewType`` and aliases of ``type X = ...``."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = annotation.__origin__
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif is_alias(annotation):
            annotation = _value_of(annotation)
        else:
            return annotation


def is_alias(annotation: Any) -> bool:
    """Whether *annotation* is an alias of ``type X = ...``, with or without arguments."""
    named = get_origin(annotation) or annotation
    return type(named).__name__ == "TypeAliasType" and hasattr(named, "__value__")


def _value_of(alias: Any) -> Any:
    named = get_origin(alias) or alias
    given = dict(zip(getattr(named, "__type_params__", ()), get_args(alias), strict=False))
    return _substituted(named.__value__, given)


def members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, however it is written; for any other annotation, only itself."""
    inner = bare(annotation)
    if get_origin(inner) not in (Union, types.UnionType):
        return (annotation,)
    return tuple(member for part in get_args(inner) for member in members(part))


def takes_none(annotation: Any) -> bool:
    """Whether *annotation* accepts None, as it comes from a record without a value (a tombstone)."""
    return any(bare(member) in (NoneType, None, Any, object) for member in members(annotation))


def without_none(annotation: Any) -> Any:
    """Return ``X`` of ``X | None``; any other annotation unchanged."""
    every = members(annotation)
    kinds = tuple(kind for kind in every if bare(kind) not in (NoneType, None))
    if len(kinds) == len(every) or not kinds:
        return annotation
    return kinds[0] if len(kinds) == 1 else Union[kinds]  # noqa: UP007 - the members are known at run time only


def batch_item(annotation: Any) -> Any | None:
    """Return the annotation of one message of a batch; None if *annotation* is no list of messages."""
    inner = bare(without_none(annotation))
    origin, arguments = get_origin(inner) or inner, get_args(inner)
    if any(origin is kind for kind in _BATCHES):  # ``in`` needs a hash, and ``[dict]`` has none
        return arguments[0] if arguments else dict
    if origin is tuple:
        if not arguments:
            return dict
        return arguments[0] if arguments[1:] == (...,) else None
    return None


def wants_tuple(annotation: Any) -> bool:
    """Whether *annotation* asks for a tuple of messages."""
    inner = bare(without_none(annotation))
    return (get_origin(inner) or inner) is tuple


def parts(annotation: Any, *, fields: bool = True) -> Iterator[Any]:
    """Yield *annotation* and all annotations inside it. *fields*: also those of the fields that classes declare."""
    seen: list[Any] = []
    waiting = [annotation]
    while waiting:
        part = waiting.pop()
        if any(part is known for known in seen):
            continue
        seen.append(part)
        yield part
        waiting += _inside(part) + (_fields_of(part) if fields else [])


def _inside(part: Any) -> list[Any]:
    if get_origin(part) is Annotated:
        return [part.__origin__]
    if isinstance(part, NewType) or is_alias(part):
        return [bare(part)]
    return [each for each in get_args(part) if not isinstance(each, str | int | list)]


def _fields_of(part: Any) -> list[Any]:
    cls = get_origin(part) or part
    if not isinstance(cls, type) or not declares_fields(cls):
        return []
    try:
        hints = list(get_type_hints(cls, include_extras=True).values())
        return [hint for hint in hints if (get_origin(hint) or hint) is not ClassVar]
    except Exception:
        return []  # making the decoder raises the same error


def declares_fields(cls: type) -> bool:
    """Whether *cls* is a Struct, a dataclass, an attrs class, a TypedDict or a NamedTuple."""
    declares = ("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__", "__total__", "_fields")
    return any(hasattr(cls, name) for name in declares)


def one_line(error: BaseException) -> str:
    """Return the message of *error* as one line of at most 300 characters."""
    text = " ".join(text_of(error).split())
    return text if len(text) <= 300 else f"{text[:299]}…"  # noqa: PLR2004 - as long as a person reads
