"""Tells of a callable whether a call runs its body, and which arguments it accepts, without calling it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

_UNKNOWN = object()  # a placeholder for ``self`` and for every argument: only their number counts


def layers(function: Any) -> Iterator[Any]:
    """Yield *function* and then each function that it wraps: partials, methods, callable objects, ``functools.wraps``."""
    seen: set[int] = set()
    while function is not None and id(function) not in seen:
        seen.add(id(function))
        yield function
        function = _below(function)


def _below(function: Any) -> Any:
    if isinstance(function, functools.partial | functools.partialmethod):
        return function.func
    for attribute in ("__func__", "__wrapped__"):
        try:
            found = getattr(function, attribute, None)
        except Exception:  # noqa: S112 - another library's object may raise for any attribute; then it has none
            continue
        if callable(found) or isinstance(found, staticmethod | classmethod):
            return found
    if inspect.isroutine(function) or isinstance(function, type):
        return None
    call = getattr(type(function), "__call__", None)  # noqa: B004 - the function itself, to look into
    return call if inspect.isfunction(call) else None


def is_generator(function: Any) -> bool:
    """Whether *function* is or wraps a function with a ``yield``: a call makes a generator and runs nothing."""
    return any(_is_generator(layer) for layer in layers(function))


def _is_generator(layer: Any) -> bool:
    if inspect.isasyncgenfunction(layer):
        return True
    # A generator under ``types.coroutine`` is a coroutine: it is awaited, and runs.
    flags = getattr(getattr(layer, "__code__", None), "co_flags", 0)
    return inspect.isgeneratorfunction(layer) and not flags & inspect.CO_ITERABLE_COROUTINE


def is_async(function: Any) -> bool:
    """Whether a call of *function* makes a coroutine: it is an ``async def``, or its ``__call__`` is one."""
    if inspect.iscoroutinefunction(function):
        return True
    called = function.func if isinstance(function, functools.partial) else function
    return not inspect.isroutine(called) and inspect.iscoroutinefunction(
        getattr(type(called), "__call__", None)  # noqa: B004 - the function itself, to look into
    )


def as_called(cls: type, attribute: str) -> Any:
    """Return what ``instance.attribute`` will be, without an instance; None if only an instance can tell (a property)."""
    found = inspect.getattr_static(cls, attribute, None)
    if isinstance(found, property | functools.cached_property):
        return None
    bind = getattr(type(found), "__get__", None)
    if bind is None:
        return found
    try:
        return bind(found, _UNKNOWN, cls)
    except Exception:
        return None  # a descriptor that needs a real instance


def why_uncallable(function: Callable[..., Any], arguments: int, *named: str) -> str:
    """Return why *function* cannot be called with this number of positional *arguments* and those *named*; "" if it can."""
    given, by_name = [_UNKNOWN] * arguments, dict.fromkeys(named, _UNKNOWN)
    while inspect.ismethod(function):  # inspect has no signature for a method without ``self``
        function, given = function.__func__, [_UNKNOWN, *given]
    own, written = outermost(function), declared(function)
    try:
        if own is not None:
            own.bind(*given, **by_name)
        if own != written and written is not None and _passes_all_on(own):
            # A decorator may pass more arguments to the function that it wraps, never less.
            written.bind_partial(*given, **by_name)
    except TypeError as error:
        return str(error)
    return ""


def _passes_all_on(signature: inspect.Signature | None) -> bool:
    kinds = {parameter.kind for parameter in signature.parameters.values()} if signature else set()
    return kinds == {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def outermost(function: Callable[..., Any]) -> inspect.Signature | None:
    """Return the signature of *function* itself, not of the function that it wraps. None if it has no signature."""
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def declared(function: Callable[..., Any]) -> inspect.Signature | None:
    """Return the signature of the innermost function under ``functools.wraps``. None if it has no signature."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def takes_context(function: Callable[..., Any]) -> bool:
    """Whether *function* has a parameter ``context``, and a decorator around it passes it on."""
    written, own = declared(function), outermost(function)
    if written is None or own is None or "context" not in written.parameters:
        return False
    kinds = {parameter.kind for parameter in own.parameters.values()}
    return "context" in own.parameters or inspect.Parameter.VAR_KEYWORD in kinds


def hides_its_message(function: Callable[..., Any]) -> bool:
    """Whether the first parameter of *function* is ``*args``, as with a decorator without ``functools.wraps``.

    Then neither the type of the message nor a parameter ``context`` can be found.
    """
    signature = declared(function)
    if signature is None or not inspect.isroutine(function):
        return False
    first = next(iter(signature.parameters.values()), None)
    return first is not None and first.kind is inspect.Parameter.VAR_POSITIONAL
