"""What a handler's annotation asks for: found, evaluated and taken apart. Decoding is in ``codecs``."""

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

# What a batch handler may call the list that it gets; a tuple is made of it where a tuple is asked for.
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
    """The annotation of the first parameter of *function*, evaluated; ``dict`` where there is none.

    Only this one annotation is evaluated: a ``context: Context`` imported for type checkers alone is fine. *names* are
    those that can be seen where the worker is defined, for what the function's own module does not know.
    Raises OptionError for what cannot be evaluated.
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
    """What the module of the function itself knows, not that of a decorator around it."""
    known: dict[str, Any] = {}
    for layer in layers(function):
        known = getattr(layer, "__globals__", known)
    return known


def names_where_defined() -> Mapping[str, Any]:
    """What can be seen where the worker that is being made is written: a class may stand inside of a function."""
    return place_of_definition().f_locals


def place_of_definition() -> types.FrameType:
    """The frame in which the worker that is being made is written."""
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to the caller
    while frame.f_back is not None and _makes_classes(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return frame


def _makes_classes(module: str) -> bool:
    return module.startswith("core_messaging.") or module in ("abc", "types", "functools")


def bound_in(worker: type, owner: type, annotation: Any) -> Any:
    """*annotation* with the type variables of *owner*, a generic base, as *worker* fills them: ``Orders(Base[Order])``."""
    return _filled(annotation, _arguments(worker, owner))


def _arguments(cls: type, owner: type) -> dict[Any, Any]:
    """Type variable of *owner* -> what *cls* puts there, through all classes between the two."""
    if cls is owner:
        return {variable: variable for variable in getattr(owner, "__parameters__", ())}
    for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
        kind = get_origin(base) or base
        if isinstance(kind, type) and issubclass(kind, owner):
            given = dict(zip(getattr(kind, "__parameters__", ()), get_args(base), strict=False))
            return {variable: _filled(value, given) for variable, value in _arguments(kind, owner).items()}
    return {}


def _filled(annotation: Any, given: Mapping[Any, Any]) -> Any:
    if isinstance(annotation, TypeVar):
        return given.get(annotation, annotation)
    variables = getattr(annotation, "__parameters__", ())
    if not variables or isinstance(annotation, type):
        return annotation
    return annotation[tuple(given.get(variable, variable) for variable in variables)]


def type_variables(annotation: Any) -> tuple[Any, ...]:
    """The type variables that nobody has filled."""
    if isinstance(annotation, TypeVar):
        return (annotation,)
    return () if isinstance(annotation, type) else tuple(getattr(annotation, "__parameters__", ()))


def with_bounds(annotation: Any) -> Any:
    """*annotation* with the bound (or default) of each type variable that nobody has filled, where it has one."""
    fallbacks = {variable: _fallback(variable) for variable in type_variables(annotation)}
    return _filled(annotation, fallbacks)


def _fallback(variable: Any) -> Any:
    if getattr(variable, "has_default", lambda: False)():
        return variable.__default__
    return getattr(variable, "__bound__", None) or variable


def bare(annotation: Any) -> Any:
    """What stands below ``Annotated``, ``NewType`` and the names that ``type X = ...`` gives."""
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
    """Whether *annotation* is a name that ``type X = ...`` gives, with or without arguments."""
    named = get_origin(annotation) or annotation
    return type(named).__name__ == "TypeAliasType" and hasattr(named, "__value__")


def _value_of(alias: Any) -> Any:
    named = get_origin(alias) or alias
    given = dict(zip(getattr(named, "__type_params__", ()), get_args(alias), strict=False))
    return _filled(named.__value__, given)


def members(annotation: Any) -> tuple[Any, ...]:
    """The kinds of which *annotation* is the union, however that is written; of anything else, itself alone."""
    inner = bare(annotation)
    if get_origin(inner) not in (Union, types.UnionType):
        return (annotation,)
    return tuple(member for part in get_args(inner) for member in members(part))


def takes_none(annotation: Any) -> bool:
    """Whether a record without a value (a tombstone) is something that *annotation* asks for."""
    return any(bare(member) in (NoneType, None, Any, object) for member in members(annotation))


def without_none(annotation: Any) -> Any:
    """``X`` of ``X | None``; any other annotation as it is."""
    every = members(annotation)
    kinds = tuple(kind for kind in every if bare(kind) not in (NoneType, None))
    if len(kinds) == len(every) or not kinds:
        return annotation
    return kinds[0] if len(kinds) == 1 else Union[kinds]  # noqa: UP007 - a union of what is known only now


def batch_item(annotation: Any) -> Any | None:
    """What one message of a batch is annotated as; None where *annotation* is of no list of messages."""
    inner = bare(without_none(annotation))
    origin, arguments = get_origin(inner) or inner, get_args(inner)
    if any(origin is kind for kind in _BATCHES):  # ``in`` would hash it, and ``[dict]`` has no hash
        return arguments[0] if arguments else dict
    if origin is tuple:
        if not arguments:
            return dict
        return arguments[0] if arguments[1:] == (...,) else None
    return None


def wants_tuple(annotation: Any) -> bool:
    """Whether a batch is to come as a tuple."""
    inner = bare(without_none(annotation))
    return (get_origin(inner) or inner) is tuple


def parts(annotation: Any, *, fields: bool = True) -> Iterator[Any]:
    """*annotation* and everything that is written inside of it; with *fields*, those of classes that declare some too."""
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
        return []  # whoever makes the decoder meets the same, and says it


def declares_fields(cls: type) -> bool:
    """Whether it is a Struct, a dataclass, an attrs class, a TypedDict or a NamedTuple."""
    declares = ("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__", "__total__", "_fields")
    return any(hasattr(cls, name) for name in declares)


def one_line(error: BaseException) -> str:
    """What *error* says, in one line of bounded length."""
    text = " ".join(text_of(error).split())
    return text if len(text) <= 300 else f"{text[:299]}…"  # noqa: PLR2004 - as long as a person reads
